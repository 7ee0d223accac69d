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
# # 4. From a photograph to a face
#
# The paper's preparation, step by step: detect, landmark, refuse what does not fit, level the eyes, cut at 0.62 / 0.9 / 1.35
# eye-to-eye distances, stretch the greys. **The frame is synthetic**: no photograph may be committed. With one of your own,
# `frame = cv2.imread("photograph.jpg")`.

# %%
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np

import fer_transfer as ft

# %% [markdown]
# ## A frame
#
# A few frames of invented movies are rendered; the one whose head is tilted most serves.

# %%
ft.prepare(
    [
        *(
            "release=synthetic_emotiw",
            "release.path=small/releases/scenes",
            "release.counts={Train: 7, Val: 7, Test: 7}",
        ),
        *("release.frame_size=[384,480]", "out=small/faces/scenes", "workers=1"),
    ]
)
pipeline = ft.face_pipeline("aligned")
frames = [cv2.imread(str(path)) for path in sorted(Path("small/releases/scenes/Train").rglob("*.png"))]  # BGR
found = [(frame, pipeline.find(frame)) for frame in frames]
found = [(frame, face) for frame, face in found if face.kind == "found"]


def tilt(eyes: np.ndarray) -> float:
    """Degrees by which the line through the eye centres falls to the right of the picture."""
    return float(np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1])))


frame, _ = max(found, key=lambda of: abs(tilt(of[1].eyes)))
print(f"SYNTHETIC frame of {frame.shape[1]} x {frame.shape[0]} pixels")

# %% [markdown]
# ## 1. Detect
#
# OpenCV's Viola-Jones cascades, frontal and profile, give boxes. A false one does no harm: it will not fit.

# %%
detections = pipeline.detector.detect(frame)
print(len(detections), "boxes, scores", detections.scores.round(2).tolist())

# %% [markdown]
# ## 2. Landmark, and refuse
#
# MediaPipe's face mesh is fitted to each box: 468 points and a fit score. Under 0.3 it is no face (the paper's threshold, for
# IntraFace's score). Six points around each eye stand for IntraFace's; their mean is the eye centre.

# %%
fits = [pipeline.landmarker.fit(frame, box) for box in detections.boxes]
best = max(fits, key=lambda fit: fit.score)
print("fit scores", [round(float(fit.score), 2) for fit in fits], "threshold", pipeline.fit)
print("eye centres", best.eyes.round(1).tolist(), f"tilted by {tilt(best.eyes):.1f} degrees")

# %% [markdown]
# ## 3. Align and cut
#
# Rotated so that the eyes are level; e2e is the distance between their centres. The box reaches 0.62 e2e to the sides, 0.9 above
# and 1.35 below, and becomes 256 x 256 grey pixels in one interpolation; the darkest becomes 0, the brightest 255.

# %%
corners = pipeline.crop.corners(best.eyes, best.points)
face = pipeline.find(frame)
e2e = float(np.hypot(*(best.eyes[1] - best.eyes[0])))
width = np.hypot(*(corners[1] - corners[0])) / e2e
print(f"e2e {e2e:.1f} px; the crop is {width:.2f} e2e wide; pixels {face.pixels.shape} {face.pixels.dtype}")

# %% [markdown]
# ## All of it, drawn

# %%
rgb = frame[..., ::-1]
figure, axes = plt.subplots(2, 3, figsize=(11, 6.6), layout="constrained")
figure.suptitle("SYNTHETIC FRAME: from a frame to a face, as Ng et al. (2015) prepare it")
titles = (
    *("the frame", "1. boxes", "2. the mesh, and the eye centres", "3. the crop, level with the eyes"),
    *("the face, 256 px", "as FER-2013 has faces, 48 px"),
)
for axis, title in zip(axes.flat, titles, strict=True):
    axis.set_title(title, fontsize=10)
    axis.axis("off")
for axis in axes.flat[:4]:
    axis.imshow(rgb)
for x, y, width, height in detections.boxes:
    axes[0, 1].add_patch(plt.Rectangle((x, y), width, height, fill=False, color="yellow"))
axes[0, 2].plot(*best.points.T, ".", color="lime", markersize=1)
axes[0, 2].plot(*best.eyes.T, "o-", color="red", markersize=4)
axes[1, 0].plot(*np.vstack([corners, corners[:1]]).T, color="cyan")
axes[1, 0].plot(*best.eyes.T, "o-", color="red", markersize=4)
for axis in axes.flat[1:4]:
    axis.set(xlim=(0, frame.shape[1]), ylim=(frame.shape[0], 0))
axes[1, 1].imshow(face.pixels, cmap="gray", vmin=0, vmax=255)
axes[1, 2].imshow(cv2.resize(face.pixels, (48, 48), interpolation=cv2.INTER_AREA), cmap="gray", vmin=0, vmax=255)
plt.show()
