"""Distortions of whole batches, against SciPy and torchvision one face at a time."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from torchvision.transforms.v2 import functional

from fer_transfer.data.distorter import Distorter
from fer_transfer.data.distortion import Distortion
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.plan import plan_from

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
COUNT, SIDE = 6, 20


def faces(count=COUNT, side=SIDE):
    """Grey faces 0..1, float32 [N, 3, side, side], smooth, so that interpolation is no matter of taste."""
    noise = np.random.default_rng(0).random((count, 1, 6, 6), np.float32)
    smooth = torch.nn.functional.interpolate(torch.from_numpy(noise), (side, side), mode="bicubic").clamp(0, 1)
    return smooth.expand(-1, 3, -1, -1)


def normalised(pictures):
    return (pictures - MEAN[:, None, None]) / STD[:, None, None]


def distorted(pictures, seed=3, **options):
    torch.manual_seed(seed)
    distorter = Distorter(Distortion(**options), -MEAN / STD, (1 - MEAN) / STD)
    return distorter(normalised(pictures)) * STD[:, None, None] + MEAN[:, None, None]


def test_geometry_is_scipys():
    given = faces()
    own = distorted(given, rotate=30, zoom=0.3, shift=0.2)
    torch.manual_seed(3)
    angle, zoom, right, down = torch.empty(4, COUNT).uniform_(-1, 1).double().numpy()
    middle = (SIDE - 1) / 2
    row, column = np.mgrid[:SIDE, :SIDE] - middle
    for i in range(COUNT):
        turn, side = np.deg2rad(30 * angle[i]), 1 / (1 + 0.3 * zoom[i])
        x = side * (np.cos(turn) * column - np.sin(turn) * row) + 0.2 * right[i] * SIDE + middle
        y = side * (np.sin(turn) * column + np.cos(turn) * row) + 0.2 * down[i] * SIDE + middle
        expected = map_coordinates(given[i, 0].numpy(), [y, x], order=1, mode="reflect")
        assert np.abs(own[i].numpy() - expected).max() < 1e-4, i
    assert (own - given).abs().amax(dim=(1, 2, 3)).min() > 0.05


def test_light_is_torchvisions():
    given = faces()
    own = distorted(given, light=0.6)
    torch.manual_seed(3)
    brightness, contrast = 1 + 0.6 * torch.empty(2, COUNT, 1, 1, 1).uniform_(-1, 1).squeeze()
    for i in range(COUNT):
        lit = functional.adjust_brightness(given[i], float(brightness[i]))
        assert torch.allclose(own[i], functional.adjust_contrast(lit, float(contrast[i])), atol=2e-4), i
    assert own.min() >= -1e-6 and own.max() <= 1 + 1e-6


def test_rectangles_are_erased_of_the_share_that_was_asked_for():
    torch.manual_seed(1)
    given = torch.ones(2000, 1, 40, 40)
    erased = Distorter(Distortion(erase=0.25), torch.tensor([-2.0]), torch.tensor([2.0]))(given) == 0
    shares = erased.float().mean(dim=(1, 2, 3))
    hit = shares[shares > 0]
    assert 0.21 < len(hit) / 2000 < 0.29
    assert 0.01 < hit.min() < 0.04 and 0.28 < hit.max() < 0.36, "2 to 33 %, to whole pixels"
    for face in erased[shares > 0][:50, 0]:
        rows, columns = face.any(dim=1), face.any(dim=0)
        assert torch.equal(face, rows[:, None] & columns[None]), "a rectangle"


def test_nothing_asked_for_changes_nothing_and_each_face_has_its_own_numbers():
    same = faces(1).expand(4, -1, -1, -1)
    assert torch.equal(distorted(same), normalised(same) * STD[:, None, None] + MEAN[:, None, None])
    for options in ({"rotate": 20}, {"zoom": 0.3}, {"shift": 0.2}, {"light": 0.5}):
        own = distorted(same, **options)
        assert all((own[0] - other).abs().max() > 1e-3 for other in own[1:]), options


@pytest.mark.parametrize("word", ["rotate=90", "zoom=0.6", "shift=-0.1", "light=1", "erase=2"])
def test_what_is_out_of_range_is_refused(word):
    with pytest.raises(ConfigError, match=rf"recipe\.distortion\.{word.partition('=')[0]} to be 0 to"):
        plan_from(compose("train", ["plan=emotiw", f"recipe.distortion.{word}"]))
