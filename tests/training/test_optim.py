"""Schedules and parameter groups, against torch's own."""

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.optim import param_groups_layer_decay
from torch import nn

from fer_transfer.backbones.backbone import BackboneRecipe, describe
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
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


class CaffeLayers(nn.Module):
    """Two layers with Caffe's multipliers."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Linear(3, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.fc(self.conv(x).tanh())

    def parameter_multipliers(self):
        return {n: (2.0, 0.0) if n.endswith("bias") else (1.0, 1.0) for n, _ in self.named_parameters()}


def test_multipliers_split_backbone_and_head():
    network = CaffeLayers()
    groups = parameter_groups(network, ["fc.*"], 0.001, 10)
    assert [(names_of(network, g), g["lr"], g.get("weight_decay")) for g in groups] == [
        ({"conv.weight"}, 0.001, None),
        ({"conv.bias"}, 0.002, 0.0),
        ({"fc.weight"}, 0.01, None),
        ({"fc.bias"}, 0.02, 0.0),
    ]
    freeze(network, ["*.bias"])
    assert [g["lr"] for g in parameter_groups(network, ["fc.*"], 0.001, 10)] == [0.001, 0.01]


def rate_of_each(network, groups):
    return {name: group["lr"] for group in groups for name in names_of(network, group)}


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "mobilenetv2_100"])
def test_layer_decay_gives_timms_rates(name):
    network = timm.create_model(name, num_classes=7)
    theirs = param_groups_layer_decay(network, weight_decay=0.0, layer_decay=0.7)
    expected = {name: 0.01 * group["lr_scale"] for group in theirs for name in names_of(network, group)}
    own = rate_of_each(network, parameter_groups(network, [], 0.01, 1, 0.7))
    assert own == pytest.approx(expected) and len(set(own.values())) > 3
    head = [name for name in own if network.get_submodule(name.rpartition(".")[0]) is network.get_classifier()]
    assert rate_of_each(network, parameter_groups(network, head, 0.01, 10, 0.7)) == pytest.approx(
        expected | dict.fromkeys(head, 0.1)
    )


def test_layer_decay_multiplies_caffes_rates():
    backbone = describe(BackboneRecipe("bvlc_alexnet", kwargs={"img_size": 67}))
    network = backbone.network()
    own = rate_of_each(network, parameter_groups(network, backbone.head, 1.0, 1, 0.5))
    assert [own[f"{name}.weight"] for name in ("conv1", "conv5", "fc6", "fc7", "fc8")] == [0.5**7, 0.5**3, 0.25, 0.5, 1]
    assert own["conv5.bias"] == 2 * own["conv5.weight"]


def test_a_network_without_layers_has_no_layer_decay():
    with pytest.raises(ConfigError, match="CaffeLayers does not"):
        parameter_groups(CaffeLayers(), ["fc.*"], 0.001, 10, 0.5)


def test_alexnets_parameters_make_four_groups():
    backbone = describe(BackboneRecipe("bvlc_alexnet", kwargs={"img_size": 67}))
    groups = parameter_groups(backbone.network(), backbone.head, 0.001, 1)
    assert [len(g["params"]) for g in groups] == [7, 7, 1, 1]
    assert [g["lr"] for g in groups] == [0.001, 0.002] * 2
    assert [g.get("weight_decay") for g in groups] == [None, 0.0] * 2


def test_steps_are_caffes():
    """v = m v + lr_mult lr (g + decay_mult wd w); w -= v, as Caffe's SGDSolver has it, at one learning rate."""
    torch.manual_seed(0)
    network = CaffeLayers().double()
    rate, momentum, decay, head_multiplier = 0.05, 0.9, 0.3, 4.0
    optimizer = torch.optim.SGD(
        parameter_groups(network, ["fc.*"], rate, head_multiplier), lr=rate, momentum=momentum, weight_decay=decay
    )
    expected = {n: p.detach().clone() for n, p in network.named_parameters()}
    velocity = {n: torch.zeros_like(p) for n, p in expected.items()}
    for step in range(4):
        x = torch.full((5, 3), 0.1 * step + 0.2, dtype=torch.float64)
        shadow = {n: w.clone().requires_grad_() for n, w in expected.items()}
        torch.func.functional_call(network, shadow, x).square().sum().backward()
        for n, w in expected.items():
            lr = rate * (2 if n.endswith("bias") else 1) * (head_multiplier if n.startswith("fc") else 1)
            decayed = 0 if n.endswith("bias") else decay
            velocity[n] = momentum * velocity[n] + lr * (shadow[n].grad + decayed * w)
            expected[n] = w - velocity[n]
        optimizer.zero_grad()
        network(x).square().sum().backward()
        optimizer.step()
    for n, p in network.named_parameters():
        torch.testing.assert_close(p.detach(), expected[n], rtol=1e-12, atol=1e-14)


def test_other_decay_multipliers_are_refused(network):
    network.parameter_multipliers = lambda: {"fc.weight": (1.0, 0.5)}
    with pytest.raises(ConfigError, match=r"decay multipliers of 0 or 1.*1 others.*fc\.weight"):
        parameter_groups(network, ["fc.*"], 0.1, 1)


def test_other_networks_keep_their_groups(network):
    """Optimiser states of runs in progress depend on the groups and their order."""
    backbone, head = parameter_groups(network, ["fc.*"], 0.001, 10)
    assert backbone.keys() == head.keys() == {"params", "lr"}
    names = {id(p): n for n, p in network.named_parameters()}
    assert [names[id(p)] for p in backbone["params"]] == [n for n in names.values() if not n.startswith("fc.")]


def test_patterns_that_freeze_nothing_or_everything(network):
    with pytest.raises(ConfigError, match=r"'convv1\.\*'.*conv1"):
        freeze(network, ["conv1.*", "convv1.*"])
    with pytest.raises(ConfigError, match=r"leave a parameter to train.*'\*'"):
        freeze(network, ["*"])


def test_an_optimizer_without_rate_is_refused():
    with pytest.raises(ConfigError, match=r"optimizer\.lr.*'emotiw'"):
        plan_from(compose("train", ["plan=emotiw", "~recipe.optimizer.lr"]))
