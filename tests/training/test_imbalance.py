"""Losses and samplings for rare expressions against formulas written out and code of others."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import sigmoid_focal_loss

from fer_transfer.cli.train import train
from fer_transfer.data.datamodules import EpochSampler
from fer_transfer.data.targets import balanced_chances
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.key import recipe_of_weights
from fer_transfer.stages.plan import plan_from
from fer_transfer.training.loss import TrainingLoss, effective_number_weights, focal_loss, log_shares, loss_of

RANDOM = np.random.default_rng(0)
TARGETS = torch.from_numpy(RANDOM.choice(7, 600, p=[0.3, 0.02, 0.1, 0.25, 0.13, 0.1, 0.1]))
SOFT = torch.softmax(2 * torch.randn(600, 7, generator=torch.Generator().manual_seed(0)), dim=1)
LOGITS = 3 * torch.randn(600, 7, generator=torch.Generator().manual_seed(1))


def recipe_with(*overrides):
    return plan_from(compose("train", ["plan=emotiw", *overrides])).last.recipe


@pytest.mark.parametrize("target", [TARGETS, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 3, 0.5, 1, 2, 1, 0.1])], ids=["alike", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_gamma_the_focal_loss_is_cross_entropy(target, weights, smoothing):
    expected = F.cross_entropy(LOGITS, target, weights, label_smoothing=smoothing)
    assert float(focal_loss(LOGITS, target, 0.0, weights, smoothing)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_of_two_classes_it_is_torchvisions(gamma):
    """A softmax of two is a sigmoid of their difference."""
    logits, target = LOGITS[:, :2], TARGETS % 2
    expected = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], target.float(), alpha=-1, gamma=gamma, reduction="mean")
    assert float(focal_loss(logits, target, gamma)) == pytest.approx(float(expected), rel=1e-5)


def test_the_focal_loss_by_hand_of_hard_and_soft_targets():
    for target, shares in ((TARGETS[:20], F.one_hot(TARGETS[:20], 7).tolist()), (SOFT[:20], SOFT[:20].tolist())):
        total = 0.0
        for logits, own in zip(LOGITS[:20].tolist(), shares, strict=True):
            p = [math.exp(v) / sum(map(math.exp, logits)) for v in logits]
            total += sum(-s * (1 - q) ** 2 * math.log(q) for s, q in zip(own, p, strict=True))
        assert float(focal_loss(LOGITS[:20], target, 2.0)) == pytest.approx(total / 20, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.3, 2.0])
def test_a_face_that_is_quite_sure_has_a_finite_slope(gamma):
    logits = torch.tensor([[200.0, 0, 0, 0, 0, 0, 0]], requires_grad=True)
    focal_loss(logits, torch.tensor([0]), gamma).backward()
    assert logits.grad.isfinite().all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.999, 0.9999]))
def test_effective_numbers_are_the_papers_sums(labels, beta):
    """E_n = 1 + beta + ... + beta^(n-1), one after another."""
    effective = [sum(beta**i for i in range(labels.count(c))) for c in range(7)]
    raw = [1 / e if e else 0.0 for e in effective]
    expected = [w * len(set(labels)) / sum(raw) for w in raw]
    found = effective_number_weights(torch.tensor(labels), 7, beta)
    assert found.tolist() == pytest.approx(expected, rel=1e-4)
    assert torch.allclose(found, effective_number_weights(F.one_hot(torch.tensor(labels), 7).float(), 7, beta))


def test_adjusted_logits_are_the_papers_loss():
    """log(1 + sum over others of (pi_other / pi_own)^tau e^(f_other - f_own)), equation 10 of Menon et al."""
    tau, counts = 1.5, [int((c == TARGETS).sum()) for c in range(7)]
    loss = TrainingLoss(adjustment=tau * log_shares(TARGETS, 7))
    total = 0.0
    for logits, own in zip(LOGITS.tolist(), TARGETS.tolist(), strict=True):
        ratios = ((counts[c] / counts[own]) ** tau * math.exp(logits[c] - logits[own]) for c in range(7) if c != own)
        total += math.log(1 + sum(ratios))
    assert float(loss(LOGITS, TARGETS)) == pytest.approx(total / 600, rel=1e-5)


def test_a_class_without_faces_is_no_infinity():
    few = torch.tensor([0, 0, 1])
    for words in (["imbalance=logit_adjustment"], ["imbalance=effective_number"], ["imbalance=balanced_focal"]):
        loss = loss_of(recipe_with(*words, "recipe.label_smoothing=0.1"), few, 7)
        assert loss(LOGITS[:3], few).isfinite()
    assert balanced_chances(few).isfinite().all()


def test_balanced_sampling_makes_every_expression_as_likely():
    sampler = EpochSampler(600, 3, balanced_chances(TARGETS))
    drawn = torch.zeros(7)
    for epoch in range(40):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == 600 and 0 <= min(order) <= max(order) < 600
        drawn += F.one_hot(TARGETS, 7)[order].sum(dim=0).float()
    assert (drawn / drawn.sum() - 1 / 7).abs().max() < 0.01


def test_with_soft_labels_an_expression_is_drawn_and_then_a_face_by_its_share_of_it():
    sums = SOFT.sum(dim=0).tolist()
    expected = [sum(share / total / 7 for share, total in zip(face, sums, strict=True)) for face in SOFT.tolist()]
    chances = balanced_chances(SOFT)
    assert (chances / chances.sum()).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_drawn_order_is_a_function_of_seed_and_epoch_and_can_be_begun_within():
    chances = balanced_chances(TARGETS)
    torch.manual_seed(9)
    one, other = EpochSampler(600, 3, chances), EpochSampler(600, 3, chances)
    list(one), torch.rand(5)
    one.set_epoch(2), other.set_epoch(2)
    whole = list(one)
    other.skip = 100
    assert list(other) == whole[100:] and list(other) == whole
    assert whole != list(EpochSampler(600, 4, chances)) and len(set(whole)) < 600


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recipe.class_weights=balanced", "imbalance=balanced_sampling"], r"class_weights=balanced and recipe\.imbalance"),
        (["imbalance=balanced_sampling", "recipe.imbalance.logit_adjustment=1"], r"sampling=balanced and recipe\.imb"),
        (["imbalance=effective_number", "recipe.imbalance.logit_adjustment=1"], r"effective_number=0\.999 and recipe.*Keep one"),
        (["imbalance=focal", "recipe.imbalance.logit_adjustment=1"], "which that of the focal loss does not"),
        (["recipe.imbalance.sampling=balance"], "sampling to be one of"),
        (["recipe.imbalance.effective_number=1"], "below 1 such as 0.999, but got 1"),
        (["recipe.imbalance.focal=-1"], "focal to be 0 to 10"),
    ],
)  # fmt: skip
def test_what_cannot_be_combined_is_refused_with_the_reason(words, message):
    with pytest.raises(ConfigError, match=message):
        recipe_with(*words)


def test_they_are_in_the_recipes_key_where_they_change_something():
    assert "imbalance" not in recipe_of_weights(recipe_with(), {})
    kept = recipe_of_weights(recipe_with("imbalance=balanced_focal"), {})["imbalance"]
    assert kept == {"sampling": "all", "effective_number": 0.999, "focal": 2, "logit_adjustment": 0}


@pytest.mark.parametrize("preset", ["balanced_sampling", "balanced_focal", "logit_adjustment"])
def test_a_stage_trains_with_each(tiny, preset):
    words = ["plan=emotiw", "recipe.epochs=1", f"imbalance={preset}"]
    keys = {train(compose("train", [*tiny, *words, *more])).jobs[-1].key for more in ([], ["imbalance=none"])}
    assert len(keys) == 2
