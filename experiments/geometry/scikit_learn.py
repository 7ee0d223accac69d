"""scikit-learn's logistic regression on the geometry of prepared faces: by cross-validation on Train, and on Val.

::

    python experiments/geometry/scikit_learn.py faces/mediapipe
"""

import argparse
import warnings
from pathlib import Path

import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fer_transfer.backbones.face_geometry import blendshapes, frontal_points
from fer_transfer.faces.opening import open_faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path, help="folder of faces that pipeline=mediapipe made")
    parser.add_argument(
        "--c", type=float, nargs="+", default=[1, 0.1, 0.03, 0.01, 0.003], help="(default: %(default)s)"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    faces = open_faces(options.faces)
    numbers = torch.from_numpy(faces.seen("geometry").copy())
    train, val = (rows[faces.found[rows]] for rows in (faces.rows(["Train"]), faces.rows(["Val"])))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for name, features in (("blendshapes", blendshapes), ("points", frontal_points)):
        seen = features(numbers).numpy()
        for c in options.c:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=300))
            within = cross_val_score(model, seen[train], faces.labels[train], cv=folds).mean()
            right = int((model.fit(seen[train], faces.labels[train]).predict(seen[val]) == faces.labels[val]).sum())
            print(
                f"{name}, C={c:g} (weight_decay {1 / (c * len(train)):.5f}): 5-fold on Train {100 * within:.1f} %, "
                f"Val {right}/{len(val)} ({100 * right / len(val):.1f} %)",
                flush=True,
            )


if __name__ == "__main__":
    main()
