"""Sharpness-aware steps: the gradient of another point, by an implementation apart; what else of the batch happens once."""

import copy

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.plan import plan_from
from fer_transfer.stages.progress import read_metrics
from fer_transfer.training.ascent import Ascent

RADIUS, RATE = 0.1, 0.5


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def by_hand(model, batch, target):
    """One step of Foret et al.'s algorithm 1 by plain gradient descent: weights and stored statistics after it."""
    names = [name for name, _ in model.named_parameters()]

    def gradients(at):
        of = copy.deepcopy(model)
        of.load_state_dict(at, strict=False)
        F.cross_entropy(of(batch), target).backward()
        return {name: of.get_parameter(name).grad for name in names}, of.state_dict()

    here = {name: model.get_parameter(name).detach().clone() for name in names}
    slope, after_first = gradients(here)
    length = sum(float((g**2).sum()) for g in slope.values()) ** 0.5
    there, _ = gradients({name: here[name] + RADIUS * slope[name] / length for name in names})
    return {**after_first, **{name: here[name] - RATE * there[name] for name in names}}


def test_a_step_goes_by_the_gradient_at_the_radius():
    model, batch, target = network(), torch.randn(8, 1, 8, 8), torch.arange(8) % 3
    expected, optimizer, seen = by_hand(model, batch, target), torch.optim.SGD(model.parameters(), lr=RATE), []

    def closure():
        optimizer.zero_grad()
        seen.append(torch.rand(()))  # a crop, a mixture, dropout
        loss = F.cross_entropy(model(batch), target)
        loss.backward()
        return loss

    optimizer.step(Ascent(RADIUS).twice(model, closure))
    for name, tensor in model.state_dict().items():
        assert torch.allclose(tensor, expected[name], atol=1e-6), name
    assert model[1].num_batches_tracked == 1 and model[1].track_running_stats
    assert len(seen) == 2 and seen[0] == seen[1] != torch.rand(()), "drawn alike, and behind it as after one pass"


@pytest.mark.parametrize("overflows", [False, True])
def test_a_loss_scaled_for_half_precision_climbs_as_far_and_one_that_overflows_takes_no_step(overflows):
    """The radius is along the gradient, whatever its length; what is not finite there is not finite in the second pass."""
    model, batch, target = network(), torch.randn(8, 1, 8, 8), torch.arange(8) % 3
    before, expected = copy.deepcopy(model.state_dict()), by_hand(model, batch, target)
    optimizer, scaler = torch.optim.SGD(model.parameters(), lr=RATE), torch.amp.GradScaler("cpu")
    scale, passes = 2.0**16, []

    def closure():
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(model(batch), target)).backward()
        passes.append(1)
        if overflows and len(passes) == 1:
            model[4].weight.grad[0, 0] = torch.inf

    Ascent(RADIUS).twice(model, closure)()
    scaler.step(optimizer)
    scaler.update()
    for name, _ in model.named_parameters():
        assert torch.allclose(model.get_parameter(name), (before if overflows else expected)[name], atol=1e-6), name
    assert scaler.get_scale() == (scale / 2 if overflows else scale) and model[1].running_mean.isfinite().all()


def test_weights_come_back_where_a_pass_fails():
    model, calls = network(), []

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        model(torch.ones(2, 1, 8, 8)).sum().backward()

    before = copy.deepcopy(list(model.parameters()))
    with pytest.raises(RuntimeError, match="out of memory"):
        Ascent(RADIUS).twice(model, closure)()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def test_a_sharpness_aware_stage_tells_of_where_its_weights_are(tiny):
    """With a learning rate of nothing the weights stay, and all that is told of a batch is as without."""
    words = [*tiny, "plan=emotiw", "recipe.epochs=1", "recipe.optimizer.lr=0", "recipe.head_multiplier=0"]
    plain, aware = (train(compose("train", [*words, f"recipe.sharpness={rho}"])).jobs[-1] for rho in (0, 0.5))
    assert plain.key != aware.key
    told = ("train_loss", "train_accuracy", "selection_loss")
    one, other = ([read_metrics(job.folder.metrics)[0][name] for name in told] for job in (plain, aware))
    assert one == other
    kept = [load_file(job.folder.weights) for job in (plain, aware)]
    assert all(torch.equal(tensor, kept[1][name]) for name, tensor in kept[0].items()), "statistics too"


def test_a_radius_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"sharpness of stage 'emotiw' to be 0 to 10, but got -0\.1"):
        plan_from(compose("train", ["plan=emotiw", "recipe.sharpness=-0.1"]))
