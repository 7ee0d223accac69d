"""Unfolding, on networks whose batch normalisation is folded here, layer by layer."""

import pytest
import timm
import torch
from folded_networks import fold, norms, trained_like
from torch import nn

from fer_transfer.backbones.batch_norm import unfold


@pytest.fixture(params=["test_resnet", "test_efficientnet"])  # the latter's norms are timm's own subclass
def original(request):
    return trained_like(request.param)


@pytest.fixture
def batch():
    return torch.randn(16, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def outputs(network, batch):
    return network.eval()(batch)


def close(a, b, tolerance=1e-4):
    return float((a - b).abs().max() / b.abs().max()) < tolerance


def test_function_is_kept(original, batch):
    others = torch.randn(4, 3, 64, 64)
    expected, of_others = outputs(original, batch), outputs(original, others)
    network = fold(original)
    assert close(outputs(network, batch), expected)
    assert unfold(network, batch) == len(norms(network)) > 5
    assert close(outputs(network, batch), expected) and close(outputs(network, others), of_others)


def test_statistics_are_those_of_the_batch(original, batch):
    network = fold(original)
    inputs = {}
    for layer in norms(network):
        layer.register_forward_pre_hook(lambda layer, given: inputs.__setitem__(layer, given[0].detach().clone()))
    outputs(network, batch)
    folded_inputs = dict(inputs)
    unfold(network, batch)
    for layer in norms(network):
        values = folded_inputs[layer].transpose(0, 1).flatten(1).double()
        assert close(layer.running_mean.double(), values.mean(dim=1))
        assert close(layer.running_var.double(), values.var(dim=1, correction=0).clamp_min(1e-4))


def test_training_then_starts_from_the_same_function(original, batch):
    network = fold(original)
    unfold(network, batch)
    expected = outputs(network, batch)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        assert close(network.train()(batch), expected, 1e-3)  # normalising by this batch changes nothing


def test_without_unfolding_training_starts_from_another_function(original, batch):
    network = fold(original)
    expected = outputs(network, batch)
    with torch.no_grad():
        assert not close(network.train()(batch), expected, 0.1)


def test_networks_that_are_not_folded_are_left_alone(original, batch):
    before = {name: tensor.clone() for name, tensor in original.state_dict().items()}
    assert unfold(original, batch) == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in original.state_dict().items())


@pytest.mark.parametrize("training", [True, False])
def test_mode_and_hooks_are_as_before(training, batch):
    network = fold(trained_like("test_resnet")).train(training)
    unfold(network, batch)
    assert network.training is training and not any(layer._forward_pre_hooks for layer in norms(network))
    assert unfold(network, batch) == 0  # once is enough


def test_networks_without_batch_normalisation(batch):
    assert unfold(timm.create_model("test_convnext", num_classes=7), batch) == 0


def test_dead_channel_stays_finite():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    nn.init.zeros_(network[0].weight)
    unfold(network, torch.randn(8, 1, 4, 4))
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values()) and network[1].weight.min() > 0
