"""An input that grows over the epochs: its sides, its view, what the network sees, and what it refuses."""

import pytest
import torch

from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.cli.train import train
from fer_transfer.data.augment import BatchTransform
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.plan import plan_from
from fer_transfer.training.module import ExpressionClassifier
from fer_transfer.training.progressive import Progressive

PREPROCESSING = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=64)


def test_the_last_epochs_are_whole_whatever_the_side():
    for whole, epochs in ((227, 30), (48, 3), (64, 1), (20, 4)):
        sides = [Progressive(0.4, 1.0).side(epoch, epochs, whole) for epoch in range(epochs)]
        assert sides == sorted(sides) and sides[-1] == whole
        assert all(side % 8 == 0 for side in sides if side != whole)
        assert epochs == 1 or sides[0] < whole
    assert [Progressive().side(epoch, 4, 48) for epoch in range(4)] == [48] * 4


@pytest.mark.parametrize("random", [False, True])
def test_a_smaller_view_is_that_of_a_transform_made_for_it(random):
    faces = torch.randint(0, 256, (5, 48, 48), dtype=torch.uint8)
    small, made = (
        BatchTransform(72, 64, True, "bilinear", PREPROCESSING).at(32),
        BatchTransform(36, 32, True, "bilinear", PREPROCESSING),
    )
    views = []
    for transform in (small, made):
        torch.manual_seed(1)
        views.append(transform((faces,), random=random))
    assert views[0].shape == (5, 3, 32, 32) and torch.equal(*views)


def test_the_network_sees_the_schedule_and_is_watched_whole(tiny, monkeypatch):
    seen, step, watched = [], ExpressionClassifier.training_step, []

    def noted(self, batch, index):
        hook = self.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
        told = step(self, batch, index)
        hook.remove()
        return told

    monkeypatch.setattr(ExpressionClassifier, "training_step", noted)
    original = ExpressionClassifier.forward
    monkeypatch.setattr(
        ExpressionClassifier,
        "forward",
        lambda self, groups: (watched.append(self.transform.crop), original(self, groups))[1],
    )
    words = [
        *tiny,
        "plan=emotiw",
        "recipe.batch_size=64",
        "recipe.progressive.start=0.5",
        "recipe.progressive.until=0.5",
    ]
    job = train(compose("train", [*words, "recipe.epochs=4"])).jobs[-1]
    assert seen == [16, 24, 32, 32] and set(watched) == {32}
    assert job.own.recipe["progressive"] == {"start": 0.5, "until": 0.5}


def test_a_network_of_one_size_is_refused(tiny):
    kwargs = "++recipe.backbone.kwargs={img_size: 32, dynamic_img_size: false}"
    words = ["recipe.backbone.name=test_vit", kwargs, "recipe.progressive.start=0.5"]
    with pytest.raises(ConfigError, match=r"refuses an input of 16 x 16.*Change recipe\.progressive\.start"):
        train(compose("train", [*tiny, "plan=emotiw", *words]))


@pytest.mark.parametrize("word", ["start=0", "start=1.5", "until=-1"])
def test_what_is_out_of_range_is_refused(word):
    with pytest.raises(ConfigError, match=rf"recipe\.progressive\.{word.partition('=')[0]} to be"):
        plan_from(compose("train", ["plan=emotiw", f"recipe.progressive.{word}"]))
