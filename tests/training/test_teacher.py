"""What teachers say of a batch: each sees the view as its own weights expect it, and the mean is learned from."""

import numpy as np
import pytest
import torch
from torch import nn

from fer_transfer.backbones.preprocessing import Preprocessing
from fer_transfer.data.augment import BatchTransform
from fer_transfer.errors import ConfigError
from fer_transfer.training.teacher import Member, Teacher

FACES = torch.randint(0, 256, (6, 48, 48, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
CAFFE = Preprocessing((104.0, 117.0, 123.0), (1.0, 1.0, 1.0), scale=1.0, size=32, channel_order="BGR")
TIMM = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), size=32)


class Seeing(nn.Module):
    """Logits of the mean colours; remembers what it saw."""

    def __init__(self, seed):
        super().__init__()
        self.head = nn.Linear(3, 5)
        nn.init.normal_(self.head.weight, generator=torch.Generator().manual_seed(seed))
        self.dropout, self.seen = nn.Dropout(0.5), []

    def forward(self, pixels):
        self.seen.append(pixels)
        return self.head(self.dropout(pixels.mean(dim=(2, 3))))


def transform(preprocessing, side=32):
    return BatchTransform(side, side, False, "bilinear", preprocessing)


@pytest.mark.parametrize(("own", "theirs"), [(TIMM, CAFFE), (CAFFE, TIMM), (TIMM, TIMM)])
def test_a_teacher_sees_what_its_own_transform_makes(own, theirs):
    student, member = transform(own), Member(Seeing(0), transform(theirs))
    Teacher([member], student, 1.0).probabilities(student((FACES,), random=False))
    [seen] = member.network.seen
    torch.testing.assert_close(seen, member.transform((FACES,), random=False), rtol=1e-4, atol=1e-3)


def test_a_teacher_of_another_side_sees_the_view_at_its_own():
    smooth = torch.linspace(0, 255, 48).expand(2, 48, 48).to(torch.uint8)
    student, member = transform(TIMM, 32), Member(Seeing(0), transform(TIMM, 40))
    Teacher([member], student, 1.0).probabilities(student((smooth,), random=False))
    torch.testing.assert_close(member.network.seen[0], member.transform((smooth,), random=False), rtol=0, atol=0.05)


def test_the_mean_of_softened_probabilities_is_learned_from():
    student, members = transform(TIMM), [Member(Seeing(seed), transform(TIMM)) for seed in (1, 2)]
    teacher, pixels = Teacher(members, student, 3.0), student((FACES,), random=False)
    said = teacher.probabilities(pixels)
    logits = [of.network.head(pixels.mean(dim=(2, 3))).detach().double().numpy() / 3 for of in members]  # no dropout
    expected = np.mean([np.exp(of) / np.exp(of).sum(axis=1, keepdims=True) for of in logits], axis=0)
    assert np.allclose(said.numpy(), expected, atol=1e-6) and not said.requires_grad
    own = torch.randn(6, 5, requires_grad=True)
    soft = np.exp(own.detach().double().numpy() / 3)
    divergence = (expected * np.log(expected / (soft / soft.sum(axis=1, keepdims=True)))).sum(axis=1).mean()
    loss = teacher.loss(own, said)
    assert divergence > 0 and loss.item() == pytest.approx(9 * divergence, rel=1e-5)
    loss.backward()
    assert own.grad.abs().sum() > 0


def test_a_teacher_of_other_channels_is_refused():
    grey = Preprocessing((0.5,), (0.5,), size=32)
    with pytest.raises(ConfigError, match="whose input has 3 channels, as the network's own, but one has 1"):
        Teacher([Member(Seeing(0), transform(grey))], transform(TIMM), 1.0)
