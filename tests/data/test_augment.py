"""The batched transform against resizing and cropping one picture at a time, by three other libraries."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.functional import ten_crop

from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.data.augment import BatchTransform, resampling_matrix, traced_matrix
from fer_transfer.errors import ConfigError

IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
GREY = Preprocessing((0.0,), (1.0,), scale=1.0)  # the network is fed 0..255: pixels can be read off the output


def faces(count, height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, height, width), dtype=np.uint8))


def one_at_a_time(pixels, resize, crop, mode, preprocessing):
    """uint8 [H, W] to float32 [C, crop, crop]."""
    resized = F.interpolate(pixels[None, None].float(), (resize, resize), mode=mode, antialias=True)[0, 0]
    start = (resize - crop) // 2
    grey = resized.clamp(0, 255)[start : start + crop, start : start + crop] / preprocessing.scale
    return torch.stack([(grey - m) / s for m, s in zip(preprocessing.mean, preprocessing.std, strict=True)])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("shape", "resize", "crop"), [((48, 48), 256, 227), ((64, 64), 73, 64), ((90, 70), 36, 35)])
def test_evaluation_is_resize_centre_crop_normalise(shape, resize, crop, mode):
    pixels = faces(3, *shape)
    batch = BatchTransform(resize, crop, True, mode, IMAGENET)((pixels,), random=False)
    assert batch.shape == (3, 3, crop, crop) and batch.dtype == torch.float32
    for picture, got in zip(pixels, batch, strict=True):
        torch.testing.assert_close(got, one_at_a_time(picture, resize, crop, mode, IMAGENET), atol=2e-4, rtol=0)


def test_enlarging_equals_opencv():
    pixels = faces(2, 48, 48)
    got = BatchTransform(256, 256, False, "bilinear", GREY)((pixels,), random=False)[:, 0].numpy()
    for picture, enlarged in zip(pixels.numpy(), got, strict=True):
        in_float = cv2.resize(picture.astype(np.float32), (256, 256), interpolation=cv2.INTER_LINEAR)
        assert np.abs(enlarged - in_float).max() < 1e-3
        assert np.abs(enlarged - cv2.resize(picture, (256, 256), interpolation=cv2.INTER_LINEAR)).max() < 1  # rounded


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_shrinking_equals_pillow(mode):
    pixels = faces(2, 256, 256)
    got = BatchTransform(73, 73, False, mode, GREY)((pixels,), random=False)[:, 0].numpy()
    for picture, shrunk in zip(pixels.numpy(), got, strict=True):
        theirs = np.asarray(Image.fromarray(picture).resize((73, 73), Image.Resampling[mode.upper()]), float)
        difference = np.abs(shrunk - theirs)  # Pillow rounds to whole grey levels after either axis
        assert difference.mean() < 0.4 and difference.max() < 1.2


def test_training_takes_every_crop_and_both_mirrors_and_nothing_else():
    picture = faces(1, 5, 7)
    resize, crop, count = 6, 4, 600
    whole = BatchTransform(resize, resize, False, "bilinear", GREY)((picture,), random=False)[0, 0]
    margin = range(resize - crop + 1)
    possible = [whole[y : y + crop, x : x + crop] for y in margin for x in margin]
    possible = torch.stack([p for crop_ in possible for p in (crop_, crop_.flip(1))])
    torch.manual_seed(0)
    batch = BatchTransform(resize, crop, True, "bilinear", GREY)((picture.expand(count, -1, -1),), random=True)[:, 0]
    distance = (batch[:, None] - possible).abs().amax(dim=(2, 3))
    assert (distance.amin(dim=1) < 1e-3).all()  # each is one of the 18, to float32 of 0..255 ...
    counts = torch.bincount(distance.argmin(dim=1), minlength=len(possible))
    assert (counts > 0).all()  # ... all of the 18 occur ...
    assert (
        (counts - count / 18) ** 2 / (count / 18)
    ).sum() < 43  # ... equally often (chi-squared, 17 degrees, p = 0.0005)


@pytest.mark.parametrize("mirror", [True, False])
def test_a_share_gets_the_crops_of_the_whole(mirror):
    groups, transform = (faces(5, 48, 48), faces(4, 64, 64, seed=1)), BatchTransform(36, 32, mirror, "bilinear", GREY)
    torch.manual_seed(3)
    whole, after = transform(groups, random=True), torch.rand(1)
    for own in ((slice(0, None, 2), slice(1, None, 2)), (slice(4, None, 5), slice(4, None, 5))):
        torch.manual_seed(3)
        counts = [(len(group), which) for group, which in zip(groups, own, strict=True)]
        share = transform([g[which] for g, which in zip(groups, own, strict=True)], random=True, own=counts)
        expected = torch.cat([whole[:5][own[0]], whole[5:][own[1]]])
        assert torch.equal(share, expected) and torch.equal(torch.rand(1), after), "and all go on alike"


def test_without_mirror_nothing_is_mirrored():
    picture = faces(1, 6, 6)
    batch = BatchTransform(6, 6, False, "bilinear", GREY)((picture.expand(40, -1, -1),), random=True)
    torch.testing.assert_close(batch, picture.float()[None].expand_as(batch), atol=1e-3, rtol=0)


def test_batch_of_several_sizes_keeps_its_order():
    small, large = faces(3, 48, 48, seed=1), faces(2, 256, 200, seed=2)
    transform = BatchTransform(36, 32, True, "bilinear", IMAGENET)
    mixed = transform((small, large), random=False)
    assert torch.equal(mixed, torch.cat([transform((small,), random=False), transform((large,), random=False)]))


def test_memory_format():
    pixels = faces(2, 8, 8)
    last = BatchTransform(8, 6, True, "bilinear", IMAGENET)((pixels,), random=False)
    first = BatchTransform(8, 6, True, "bilinear", IMAGENET, channels_last=False)((pixels,), random=False)
    assert last.is_contiguous(memory_format=torch.channels_last) and first.is_contiguous() and torch.equal(last, first)


def test_networks_of_one_channel():
    pixels = faces(2, 8, 8)
    batch = BatchTransform(8, 8, False, "bilinear", Preprocessing((0.5,), (0.25,)))((pixels,), random=False)
    torch.testing.assert_close(batch, (pixels[:, None].float() / 255 - 0.5) / 0.25)


def test_mixed_precision_does_not_touch_pixels():
    pixels, transform = faces(2, 48, 48), BatchTransform(73, 64, True, "bicubic", IMAGENET)
    plain = transform((pixels,), random=False)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = transform((pixels,), random=False)
    assert mixed.dtype == torch.float32 and torch.equal(mixed, plain)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_no_grey_leaves_0_to_255(mode):
    stripes = torch.tensor([0, 255], dtype=torch.uint8).repeat(24).expand(1, 48, 48)
    batch = BatchTransform(97, 97, False, mode, GREY)((stripes,), random=False)
    assert batch.min() >= 0 and batch.max() <= 255


def test_nothing_of_it_is_kept_with_the_weights():
    assert not BatchTransform(8, 6, True, "bilinear", IMAGENET).state_dict()


@pytest.mark.parametrize(
    ("resize", "crop", "mode", "message"),
    [(32, 33, "bilinear", "crop 33, resize 32"), (32, 0, "bilinear", "crop 0"), (32, 32, "nearest", "'nearest'")],
)
def test_wrong_settings(resize, crop, mode, message):
    with pytest.raises(ConfigError, match=message):
        BatchTransform(resize, crop, True, mode, IMAGENET)


def test_auto_takes_sizes_and_interpolation_from_the_record_of_the_weights():
    record = Preprocessing((0.5,), (0.5,), size=30, crop_pct=0.9, interpolation="bicubic")
    transform = BatchTransform("auto", "auto", False, "auto", record)
    assert (transform.crop, transform.resize, transform.interpolation) == (30, 33, "bicubic")
    assert transform.description == "30 of 33 px, bicubic"
    assert BatchTransform("auto", 20, False, "bilinear", record).resize == 22


def test_ten_crops_are_those_of_torchvision():
    pixels = faces(3, 40, 40, seed=2)
    transform = BatchTransform(40, 24, True, "bilinear", Preprocessing((0.0,) * 3, (1.0,) * 3, scale=1.0))
    ours = [batch[:, 0] for batch in transform.ten_crops((pixels,))]
    order = [0, 6, 1, 5, 2, 8, 3, 7, 4, 9]  # torchvision: five crops, then five of the mirrored picture
    theirs = ten_crop(pixels.float(), [24, 24])
    for i, k in enumerate(order):
        torch.testing.assert_close(ours[i], theirs[k], atol=1e-4, rtol=0)
    torch.testing.assert_close(ours[8], transform((pixels,), random=False)[:, 0])


@pytest.mark.parametrize(("order", "text"), [("RGB", "32 of 36 px, bilinear"), ("BGR", "32 of 36 px, bilinear, BGR")])
def test_the_description_says_another_order_of_channels(order, text):
    preprocessing = Preprocessing((0.5,) * 3, (0.5,) * 3, channel_order=order)
    assert BatchTransform(36, 32, True, "bilinear", preprocessing).description == text


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("source", "target"), [(48, 256), (256, 256), (300, 73), (1, 7), (301, 300)])
def test_the_matrix_of_an_export_is_that_of_training(source, target, mode):
    made = traced_matrix(torch.tensor(source), target, mode)
    torch.testing.assert_close(made, resampling_matrix(source, target, mode), atol=2e-6, rtol=0)
