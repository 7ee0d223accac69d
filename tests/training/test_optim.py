"""Schedules and parameter groups, against torch's own."""

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fer_transfer.config import compose
from fer_transfer.errors import ConfigError
from fer_transfer.stages.plan import plan_from
from fer_transfer.training.optim import freeze, parameter_groups, step_decay, warmup_cosine


def optimizer_at(rate):
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=rate)


def rates(optimizer, scheduler, count):
    values = []
    for _ in range(count):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return values


@given(st.integers(1, 12), st.sampled_from([0.1, 0.5, 0.9]), st.integers(1, 7))
def test_step_decay_is_torchs_step_lr(every, factor, steps):
    """Every step of an epoch has the rate that StepLR, advanced once an epoch, gives the epoch."""
    optimizer = optimizer_at(1.0)
    theirs = rates(optimizer, torch.optim.lr_scheduler.StepLR(optimizer, every, factor), 30)
    ours = [
        step_decay((epoch * steps + step) / steps, 30, every, factor) for epoch in range(30) for step in range(steps)
    ]
    assert ours == pytest.approx([rate for rate in theirs for _ in range(steps)])


@given(st.integers(2, 40))
def test_cosine_is_torchs(epochs):
    optimizer = optimizer_at(1.0)
    theirs = rates(optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs), epochs + 1)
    assert [warmup_cosine(e, epochs, 0) for e in range(epochs + 1)] == pytest.approx(theirs, abs=1e-9)


@given(st.floats(0, 50), st.integers(1, 50), st.floats(0, 60))
def test_warmup_stays_between_0_and_1(epoch, epochs, warmup):
    assert 0 <= warmup_cosine(epoch, epochs, warmup) <= 1


def test_warmup_is_linear_then_falls():
    values = [warmup_cosine(e / 10, 5, 2) for e in range(51)]
    assert values[:21] == pytest.approx([e / 20 for e in range(21)])
    assert (
        values[20:] == sorted(values[20:], reverse=True)
        and values[20] == 1
        and values[-1] == pytest.approx(0, abs=1e-12)
    )


@pytest.fixture
def network():
    return timm.create_model("test_resnet", num_classes=7)


def names_of(network, group):
    wanted = {id(parameter) for parameter in group["params"]}
    return {name for name, parameter in network.named_parameters() if id(parameter) in wanted}


def test_head_has_its_own_rate(network):
    backbone, head = parameter_groups(network, ["fc.*"], 0.001, 10)
    assert (backbone["lr"], head["lr"]) == (0.001, 0.01)
    assert names_of(network, head) == {"fc.weight", "fc.bias"}
    assert names_of(network, backbone) | names_of(network, head) == dict(network.named_parameters()).keys()
    assert not names_of(network, backbone) & names_of(network, head)
    torch.optim.SGD([backbone, head], lr=0.001, momentum=0.9)  # torch refuses a parameter in two groups


def test_frozen_parameters_are_in_no_group(network):
    freeze(network, ["conv1.*", "layer1.*", "bn1.bias"])
    backbone, head = parameter_groups(network, ["fc.*"], 0.1, 1)
    trained = names_of(network, backbone) | names_of(network, head)
    untrained = dict(network.named_parameters()).keys() - trained
    assert untrained == {
        n for n, _ in network.named_parameters() if n.startswith(("conv1.", "layer1.")) or n == "bn1.bias"
    }


def test_linear_probing_has_one_group(network):
    freeze(network, [f"{name}*" for name in ("conv1", "bn1", "layer")])
    (head,) = parameter_groups(network, ["fc.*"], 0.1, 10)
    assert head["lr"] == 1.0 and names_of(network, head) == {"fc.weight", "fc.bias"}


def test_patterns_that_freeze_nothing_or_everything(network):
    with pytest.raises(ConfigError, match=r"'convv1\.\*'.*conv1"):
        freeze(network, ["conv1.*", "convv1.*"])
    with pytest.raises(ConfigError, match=r"leave a parameter to train.*'\*'"):
        freeze(network, ["*"])


def test_an_optimizer_without_rate_is_refused():
    with pytest.raises(ConfigError, match=r"optimizer\.lr.*'emotiw'"):
        plan_from(compose("train", ["plan=emotiw", "~recipe.optimizer.lr"]))
