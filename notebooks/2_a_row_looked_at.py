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
# # 2. A row looked at closely
#
# Where is it wrong, does it know how sure it may be, and what did the second fine-tuning change?
# **All faces here are synthetic**: no number on this page says anything about people.
# The store is that of the [quickstart](1_quickstart.ipynb): run that first.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import fer_transfer as ft

# %% [markdown]
# ## The row before and after
#
# `fer28` ends after the first stage of `fer28_emotiw`: the same weights, before they were fine-tuned on the frames. So the stage
# is in the store already, and only its faces are scored.

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
rows = {name: ft.train([*small, f"plan={name}"]) for name in ("fer28", "fer28_emotiw")}
before, after = (rows[name].predictions("emotiw/Val", "pandas") for name in rows)
for name, row in rows.items():
    [score] = [of for of in row.scores if of.split == "emotiw/Val"]
    print(f"SYNTHETIC {name}: {score.line()}")

# %% [markdown]
# ## Errors
#
# What was taken for what (rows: drawn; columns: said), and the faces that it is most surely wrong about.

# %%
matrix = pd.crosstab(after["label"], after["expression"]).reindex(
    index=list(ft.EXPRESSIONS), columns=list(ft.EXPRESSIONS), fill_value=0
)
matrix.rename_axis(index="SYNTHETIC: drawn", columns="said")

# %%
wrong = after[after["label"] != after["expression"]].assign(faces="synthetic")
wrong["probability"] = wrong[list(ft.EXPRESSIONS)].max(axis=1)
wrong.sort_values("probability", ascending=False)[["faces", "label", "expression", "probability"]].head(5).round(2)

# %% [markdown]
# ## Calibration
#
# A network of probability 0.8 should be right four times of five. One temperature, fitted on the selection split, divides its
# logits; no expression changes. Measured on that same split, as here, it flatters.

# %%
temperature = ft.open_store("small/store").load("fer28_emotiw/test_resnet").about.temperature
print("SYNTHETIC", temperature.line())

said = after[list(ft.EXPRESSIONS)].to_numpy()
softened = said ** (1 / temperature.value)
softened /= softened.sum(axis=1, keepdims=True)
is_right = (after["label"] == after["expression"]).to_numpy()


def reliability(probabilities: np.ndarray, bins: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability and share right of as many faces in each bin, the least sure first."""
    parts = np.array_split(np.argsort(probabilities), bins)
    return np.array([probabilities[of].mean() for of in parts]), np.array([is_right[of].mean() for of in parts])


# %% [markdown]
# ## What fine-tuning changed
#
# Face by face: which became right, which became wrong; and the probability of the true expression.

# %%
both = before.merge(after, on=["face", "label"], suffixes=("_before", "_after"))
was, now = both["expression_before"] == both["label"], both["expression_after"] == both["label"]
print(f"SYNTHETIC: of {len(both)} faces {(~was & now).sum()} became right, {(was & ~now).sum()} became wrong")
true = [
    np.array([of[f"{label}_{when}"] for of, label in zip(both.to_dict("records"), both["label"], strict=True)])
    for when in ("before", "after")
]

# %%
figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
figure.suptitle("SYNTHETIC FACES: fer28_emotiw, a tiny network, on emotiw/Val")
axes[0].imshow(matrix.div(matrix.sum(axis=1).clip(lower=1), axis=0), cmap="Blues", vmin=0, vmax=1)
axes[0].set_xticks(range(7), ft.EXPRESSIONS, rotation=60)
axes[0].set_yticks(range(7), ft.EXPRESSIONS)
for (i, j), count in np.ndenumerate(matrix.to_numpy()):
    axes[0].text(j, i, count or "", ha="center", va="center", fontsize=8)
axes[0].set_title("errors: drawn (down), said (across)", fontsize=9)
axes[1].plot([0, 1], [0, 1], color="gray", linewidth=0.8)
axes[1].plot(*reliability(said.max(axis=1)), "o-", label="as the network gives them")
axes[1].plot(*reliability(softened.max(axis=1)), "s-", label=f"temperature {temperature.value:.2f}")
axes[1].set(xlabel="probability", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
axes[1].legend(fontsize=8)
axes[1].set_title("calibration, a fifth of the faces a point", fontsize=9)
for kind, chosen, colour in (("became right", ~was & now, "tab:green"), ("became wrong", was & ~now, "tab:red")):
    axes[2].scatter(true[0][chosen], true[1][chosen], s=14, color=colour, label=kind)
axes[2].scatter(true[0][was == now], true[1][was == now], s=8, color="lightgray", label="as before", zorder=0)
axes[2].set(xlabel="before: after FER alone", ylabel="after: then the frames", xlim=(0, 1), ylim=(0, 1))
axes[2].legend(fontsize=8)
axes[2].set_title("probability of the true expression", fontsize=9)
plt.show()
