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
# # 3. Your own data set and backbone in the grid
#
# A folder of pictures becomes a data set that plans train on, a network written here becomes a backbone, and both go through the
# grid beside those that come with the package. **All pictures here are synthetic**: cartoons drawn by this page; no number says
# anything about people. The store is that of the [quickstart](1_quickstart.ipynb): run that first.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn

import fer_transfer as ft

# %% [markdown]
# ## A data set of your own
#
# Pictures in folders, `SPLIT/CLASS/picture.png`. Here: cartoons of 64 x 64 pixels whose brows, eyes and mouth say the class.

# %%
#: Of each expression: brows (inner, outer end; down is more), how far the eyes open, corners of the mouth, how far it opens.
CARTOONS = {
    "Angry": (4, -2, 3, 2, 0), "Disgust": (3, 0, 1, 3, 3), "Fear": (-4, 1, 6, 2, 4), "Happy": (0, 0, 3, -5, 4),
    "Sad": (-4, 3, 2, 5, 0), "Surprise": (-4, -4, 6, 0, 9), "Neutral": (0, 0, 3, 0, 0),
}  # fmt: skip


def cartoon(random: np.random.Generator, expression: str) -> Image.Image:
    """A face, grey, 64 x 64 pixels; no two are alike."""
    inner, outer, eye, corner, gap = np.array(CARTOONS[expression]) * random.uniform(0.4, 1.2) + random.normal(
        0, 0.7, 5
    )
    picture = Image.new("L", (64, 64), int(random.integers(60, 120)))
    draw, ink = ImageDraw.Draw(picture), int(random.integers(0, 50))
    draw.ellipse((6, 2, 58, 62), fill=int(random.integers(150, 240)))
    for side in (-1, 1):
        x = 32 + side * 12
        draw.ellipse((x - 4, 26 - max(eye, 0.5), x + 4, 26 + max(eye, 0.5)), fill=ink)
        draw.line((x - side * 6, 17 + inner, x + side * 6, 17 + outer), fill=ink, width=2)
    points = [(32 + x, 46 + corner * (x / 11) ** 2) for x in range(-11, 12)]
    draw.line(points, fill=ink, width=2)
    draw.polygon([*points, *((x, y + max(gap, 0) * (1 - ((x - 32) / 11) ** 2)) for x, y in points[::-1])], fill=ink)
    return Image.fromarray(np.clip(np.asarray(picture) + random.normal(0, 12, (64, 64)), 0, 255).astype(np.uint8))


random = np.random.default_rng(0)
for split, count in (("Train", 24), ("Val", 12)):
    for expression in ft.EXPRESSIONS:
        folder = Path("small/cartoons") / split / expression
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            cartoon(random, expression).save(folder / f"{expression}_{number:03}.png")

# %% [markdown]
# `release=frames` reads any such folder. Pictures of `release.aligned_size` are faces already and are not searched; of
# photographs leave that word out.

# %%
ft.prepare(
    [
        *("release=frames", "release.path=small/cartoons", "release.name=cartoons", "release.aligned_size=[64,64]"),
        *("out=small/faces/cartoons", "workers=1", "replace=true"),
    ]
)

# %% [markdown]
# Two small files in a folder of your own say what is trained on and selected on, and in which order. The folder is named by
# `hydra.searchpath` (`--config-dir` on a command line).

# %%
OWN = {
    "data/cartoons.yaml": """
_target_: fer_transfer.data.datamodules.FacesDataModule
train: {cartoons: [Train]}
selection: {cartoons: [Val]}
""",
    "plan/cartoons.yaml": """
defaults: [{/data@stages.cartoons.data: cartoons}, _self_]
name: cartoons
stages:
  cartoons: {init_from: null}
""",
    "plan/fer28_cartoons.yaml": """
defaults: [{/data@stages.fer.data: fer28}, {/data@stages.cartoons.data: cartoons}, _self_]
name: fer28_cartoons
stages:
  fer: {init_from: null}
  cartoons: {init_from: fer}
""",
}
for name, text in OWN.items():
    path = Path("small/conf") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.lstrip())

# %% [markdown]
# ## A backbone of your own
#
# A network under timm's contract, registered with timm by its name. `pretrained_cfg` says what it expects of its input, and which
# layer is its head.


# %%
from timm.models import register_model


class MyNet(nn.Module):
    """Three convolutions."""

    def __init__(self, num_classes: int = 1000) -> None:
        super().__init__()
        self.num_features = self.head_hidden_size = 64
        layers = []
        for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.feature_info = [{"num_chs": 64, "reduction": 8, "module": "body"}]  # where Grad-CAM may look
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        self.fc = nn.Linear(64, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        return self.fc

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        pooled = x.mean(dim=(2, 3))
        return pooled if pre_logits else self.fc(pooled)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_head(self.forward_features(x))


@register_model
def my_net(pretrained: bool = False, **kwargs) -> MyNet:
    network = MyNet(kwargs.get("num_classes", 1000))
    network.pretrained_cfg = network.default_cfg = {
        "input_size": (3, 48, 48), "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop_pct": 0.875, "interpolation": "bilinear",
        "first_conv": "body.0", "classifier": "fc",
    }  # fmt: skip
    return network


# %% [markdown]
# ## The grid
#
# Two backbones, each on the cartoons alone and on FER-2013's (synthetic) stand-in first. What rows share is trained once: the
# first stage of `fer28_cartoons` with `test_resnet` is in the store since the quickstart.

# %%
small = [
    *(
        "backbone=timm",
        "recipe.augment.resize=54",
        "recipe.augment.crop=48",
        "optimizer=adamw",
        "scheduler=warmup_cosine",
    ),
    *("recipe.optimizer.lr=0.003", "recipe.head_multiplier=1", "recipe.epochs=12", "recipe.batch_size=32"),
    *("runtime.threads=1", "runtime.progress=none", "runtime.store=small/store"),
    *("runtime.faces.fer2013=small/faces/fer2013", "runtime.faces.emotiw=small/faces/emotiw"),
    *("+runtime.faces.cartoons=small/faces/cartoons", f"hydra.searchpath=[file://{Path('small/conf').resolve()}]"),
]
for backbone in ("test_resnet", "my_net"):
    for plan in ("cartoons", "fer28_cartoons"):
        print(ft.train([*small, f"plan={plan}", f"recipe.backbone.name={backbone}"]).name)

# %%
table = ft.open_store("small/store").frame("pandas")
table = table[table["split"] == "cartoons/Val"].assign(pictures="synthetic")
table[["pictures", "row", "correct", "faces", "accuracy", "low", "high"]].round(3)

# %% [markdown]
# The split was selected on, so these accuracies flatter; a data set of your own deserves a third split, and a study
# (`docs/howto/study.md`) that says which splits are reported and protected.

# %%
figure = plt.figure(figsize=(11, 4.5), layout="constrained")
figure.suptitle("SYNTHETIC CARTOONS: a data set and a backbone of one's own in the grid")
left, right = figure.subfigures(1, 2, width_ratios=[1, 1.2])
for axis, expression in zip(left.subplots(2, 4).flat, [*ft.EXPRESSIONS, ""], strict=True):
    axis.axis("off")
    if expression:
        axis.imshow(plt.imread(f"small/cartoons/Val/{expression}/{expression}_000.png"), cmap="gray", vmin=0, vmax=1)
        axis.set_title(expression, fontsize=9)
axis = right.subplots()
middle = table["accuracy"].to_numpy()
axis.errorbar(middle, table["row"], xerr=[middle - table["low"], table["high"] - middle], fmt="o", capsize=3)
axis.axvline(1 / 7, color="gray", linestyle=":", label="chance")
axis.set(xlim=(0, 1), xlabel="accuracy on cartoons/Val (selected on: optimistic), Wilson's 95 %", ylim=(-0.5, 3.5))
axis.legend(fontsize=8)
plt.show()
