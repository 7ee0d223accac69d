"""Mixed batches: pictures and targets by the same shares, by torch's random numbers alone."""

import pytest
import torch
import torch.nn.functional as F

from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.plan import plan_from
from fer_transfer.training.mixer import Mixer
from fer_transfer.training.mixing import Mixing

TARGETS = torch.arange(8) % 7
#: Each face is a picture of its number alone, so that what of whom is in a mixture can be read from its pixels.
PIXELS = torch.arange(8.0)[:, None, None, None].expand(8, 3, 32, 32).contiguous()


def shares_of_own(mixed):
    """How much of each face is its own, if the rest is of the face before."""
    own, before = PIXELS[:, 0, 0, 0], PIXELS[:, 0, 0, 0].roll(1)
    return (mixed.mean(dim=(1, 2, 3)) - before) / (own - before)


@pytest.mark.parametrize("mixing", [Mixing(mixup=0.4), Mixing(cutmix=1.0)])
@pytest.mark.parametrize("soft", [False, True])
def test_targets_have_the_shares_of_the_pictures(mixing, soft):
    torch.manual_seed(1)
    target = F.one_hot(TARGETS, 7).float() if soft else TARGETS
    mixed, shares = Mixer(mixing, 7)(PIXELS, target)
    own = shares_of_own(mixed)
    assert shares.dtype == torch.float32 and torch.allclose(shares.sum(dim=1), torch.ones(8))
    expected = own[:, None] * F.one_hot(TARGETS, 7) + (1 - own[:, None]) * F.one_hot(TARGETS.roll(1), 7)
    assert torch.allclose(shares, expected, atol=1e-5) and 0 < own[1] < 1
    assert (mixed[1].unique().numel() == 1) == (mixing.mixup > 0), "mixup adds, cutmix cuts"


def test_a_share_of_the_batches_is_mixed_half_by_each():
    torch.manual_seed(1)
    mixer, kinds = Mixer(Mixing(mixup=1.0, cutmix=1.0, share=0.5), 7), {"left": 0, "added": 0, "cut": 0}
    for _ in range(400):
        mixed, target = mixer(PIXELS, TARGETS)
        kinds["left" if target is TARGETS else "cut" if mixed[1].unique().numel() > 1 else "added"] += 1
    assert 160 < kinds["left"] < 240 and 60 < kinds["cut"] < 140, kinds


def test_a_recipe_that_mixes_and_distorts_trains_another_stage_and_the_same_one_again(tiny, tmp_path):
    mixing = ["recipe.mixing.mixup=0.4", "recipe.mixing.cutmix=1"]
    distortion = [f"recipe.distortion.{word}" for word in ("rotate=10", "light=0.2", "erase=0.5")]
    words = [*tiny, "plan=emotiw", "recipe.epochs=2", *mixing, *distortion]
    first, plain = train(compose("train", words)).jobs[-1], train(compose("train", words[:-5])).jobs[-1]
    again = train(compose("train", [*words, f"runtime.store={tmp_path / 'other'}"])).jobs[-1]
    assert first.key != plain.key and first.folder.weights.read_bytes() != plain.folder.weights.read_bytes()
    assert again.key == first.key and again.folder.weights.read_bytes() == first.folder.weights.read_bytes()


@pytest.mark.parametrize("word", ["mixup=-1", "cutmix=11", "share=0", "share=1.5"])
def test_what_is_out_of_range_is_refused(word):
    with pytest.raises(ConfigError, match=rf"recipe\.mixing\.{word.partition('=')[0]} to be"):
        plan_from(compose("train", ["plan=emotiw", f"recipe.mixing.{word}"]))
