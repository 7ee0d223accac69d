# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. Quickstart
#
# From nothing to a face with its expression, and what spoke for it. **All faces here are synthetic**: rendered from parameters,
# so that everything runs without data that may not be handed on. No number on this page says anything about people.

# %%
from pathlib import Path

import matplotlib.pyplot as plt

import fer_transfer as ft

# %% [markdown]
# ## Two small releases, their faces, and a row
#
# The words are those of the commands `fer-prepare` and `fer-train`. What is there already is not made again.

# %%
fer_counts, sfew_counts = "{Training: 560, PublicTest: 70, PrivateTest: 70}", "{Train: 140, Val: 84, Test: 14}"
ft.prepare(
    [
        *("release=synthetic_fer2013", "release.path=small/releases/fer2013", f"release.counts={fer_counts}"),
        *("out=small/faces/fer2013", "workers=1"),
    ]
)
ft.prepare(
    [
        *("release=synthetic_emotiw", "release.path=small/releases/sfew", f"release.counts={sfew_counts}"),
        *("out=small/faces/emotiw", "workers=1"),
    ]
)

# %%
small = [
    *("backbone=timm", "recipe.backbone.name=test_resnet", "recipe.augment.resize=54", "recipe.augment.crop=48"),
    *("optimizer=adamw", "scheduler=warmup_cosine", "recipe.optimizer.lr=0.003", "recipe.head_multiplier=1"),
    *("recipe.epochs=12", "recipe.batch_size=32", "runtime.threads=1", "runtime.progress=none"),
    *(
        "runtime.store=small/store",
        "runtime.faces.fer2013=small/faces/fer2013",
        "runtime.faces.emotiw=small/faces/emotiw",
    ),
]
row = ft.train([*small, "plan=fer28_emotiw"])
print(row.name, "with seeds", ", ".join(row.seeds))

# %% [markdown]
# ## The table of the store
#
# Accuracy on every split with labels, over the faces that were found, with Wilson's interval. (Synthetic faces: see the caveats.)

# %%
store = ft.open_store("small/store")
store.frame("pandas")[["row", "split", "correct", "faces", "accuracy", "low", "high", "caveats"]].round(3)

# %% [markdown]
# ## A model, and what it says of pictures
#
# A row is loaded with all its seeds. Pictures are cut as the faces that it was trained on, and its probabilities are calibrated.

# %%
model = store.load("fer28_emotiw/test_resnet")
print(*model.about.lines(), sep="\n")

# %%
faces = model.predict("small/releases/sfew/Val", threads=1)
table = faces.frame("pandas").assign(faces="synthetic")
table[["faces", "found", "label", "expression", *ft.EXPRESSIONS]].head().round(2)

# %% [markdown]
# ## One face, and what spoke for its expression
#
# Of the faces that it is right about, the surest. The maps say which pixels spoke for the expression (0..1), by three methods;
# integrated gradients is the one to take (`docs/howto/saliency.md` says why).

# %%
right = [face for face in faces if face.found and face.label >= 0 and face.expression == ft.EXPRESSIONS[face.label]]
face = max(right, key=lambda of: of.probabilities.max())
methods = ("integrated_gradients", "grad_cam", "occlusion")
maps = {method: model.saliency(face.pixels[None], method)[0] for method in methods}

figure, axes = plt.subplots(1, 5, figsize=(13, 3), width_ratios=[1.3, 1, 1, 1, 1.1], layout="constrained")
figure.suptitle(f"SYNTHETIC FACE: {face.expression}, {100 * face.probabilities.max():.0f} %")
[path] = Path("small/releases/sfew/Val").rglob(Path(face.picture).name)
x, y, width, height = face.box
axes[0].imshow(plt.imread(path))
axes[0].add_patch(plt.Rectangle((x, y), width, height, fill=False, color="lime"))
axes[0].plot(*face.landmarks.T, ".", color="lime", markersize=0.6)
axes[0].set_title("frame, box, landmarks", fontsize=9)
for axis, (method, values) in zip(axes[1:4], maps.items(), strict=True):
    axis.imshow(face.pixels, cmap="gray")
    axis.imshow(values, cmap="inferno", alpha=0.75 * values, vmin=0, vmax=1)
    axis.set_title(method.replace("_", " "), fontsize=9)
for axis in axes[:4]:
    axis.axis("off")
axes[4].barh(ft.EXPRESSIONS, face.probabilities)
axes[4].set_xlim(0, 1)
axes[4].set_title("probability", fontsize=9)
plt.show()
