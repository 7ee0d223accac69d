"""The one LightningModule, step by step and through Lightning's Trainer, on tiny faces."""

import math

import numpy as np
import pytest
import pytorch_lightning as pl
import timm
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight
from timm.layers import BatchNormAct2d, convert_sync_batchnorm
from torch import nn

from fer_transfer.backbones.backbone import describe
from fer_transfer.config import build
from fer_transfer.data.datamodules import FaceBatch, Whole
from fer_transfer.faces.opening import open_faces
from fer_transfer.settings import compose
from fer_transfer.stages.plan import plan_from
from fer_transfer.training.loss import TrainingLoss, balanced_weights
from fer_transfer.training.module import ExpressionClassifier
from fer_transfer.training.optim import freeze


def recipe_of(tiny, *overrides):
    return plan_from(compose("train", [*tiny, "plan=emotiw", *overrides])).last.recipe


def classifier(recipe, class_weights=None):
    torch.manual_seed(recipe.seed)
    backbone = describe(recipe.backbone)
    network = backbone.network()
    freeze(network, recipe.frozen)
    transform = build("augment", recipe.augment, preprocessing=backbone.preprocessing)
    loss = TrainingLoss(recipe.label_smoothing, class_weights)
    return ExpressionClassifier(network, transform, recipe, backbone.head, loss)


def batch_of(count=12, soft=False):
    random = np.random.default_rng(0)
    groups = (torch.from_numpy(random.integers(0, 256, (count // 2, side, side), dtype=np.uint8)) for side in (48, 64))
    target = torch.arange(count) % 7
    return FaceBatch(tuple(groups), torch.softmax(3 * F.one_hot(target, 7).float(), dim=1) if soft else target)


def loss_and_logits(module, batch):
    """The training loss, and the logits it was computed from, by drawing the same crops again."""
    module.eval()  # the same statistics twice
    module.log_dict = lambda values, **options: None  # Lightning warns where there is no Trainer
    torch.manual_seed(1)
    loss = module.training_step(batch, 0)["loss"]
    torch.manual_seed(1)
    return loss.detach(), module.network(module.transform(batch.pixels, random=True)).detach().double()


def by_hand(logits, shares, weights, smoothing):
    """Mean over faces of the weighted cross-entropy with smoothed targets, as Goodfellow et al. write it."""
    total = weight_sum = 0.0
    for face_logits, face_shares in zip(logits.tolist(), shares.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(v) for v in face_logits))
        for c in range(7):
            share = face_shares[c] * (1 - smoothing) + smoothing / 7
            total += -weights[c] * share * (face_logits[c] - log_sum)
        weight_sum += sum(s * w for s, w in zip(face_shares, weights, strict=True))
    return total, weight_sum


WEIGHTS = [0.5, 1, 2, 1, 1, 3, 0.25]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("soft", [False, True])
def test_loss(tiny, smoothing, weights, soft):
    recipe, batch = recipe_of(tiny, f"recipe.label_smoothing={smoothing}"), batch_of(soft=soft)
    loss, logits = loss_and_logits(classifier(recipe, torch.tensor(weights) if weights else None), batch)
    shares = batch.target if soft else F.one_hot(batch.target, 7).double()
    total, weight_sum = by_hand(logits, shares, weights or [1] * 7, smoothing)
    # torch divides by the faces for soft targets, by the faces' weights for hard ones
    assert float(loss) == pytest.approx(total / (len(shares) if soft else weight_sum), rel=1e-4)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("soft", [False, True])
def test_parts_of_a_batch_make_its_loss_gradient_and_accuracy(tiny, weights, soft):
    """The mean over three processes, as DistributedDataParallel takes it; twelve faces and one more do not divide."""
    recipe = recipe_of(tiny, "recipe.label_smoothing=0.1")
    pixels, target = (t[:11] for t in (torch.cat([batch_of(24).pixels[0]] * 2), batch_of(24, soft).target))
    module = classifier(recipe, torch.tensor(weights) if weights else None).eval()
    module.log_dict = lambda values, **options: logged.append((values, options))

    def stepped(batch, step):
        module.zero_grad()
        torch.manual_seed(1)
        result = step(batch, 0)
        if result is None:
            values, options = logged[-1]
            assert options["batch_size"] == 11
            return torch.stack(list(values.values()))
        result["loss"].backward()
        return torch.cat([result["told"], module.network.fc.weight.grad.flatten()])

    logged = []
    for step, processes in ((module.training_step, 3), (module.validation_step, 3), (module.validation_step, 12)):
        shares = []
        for rank in range(processes):
            own = slice(rank, None, processes)
            shares.append(FaceBatch((pixels[own],), target[own], Whole(target, ((11, own),), processes)))
        whole = stepped(FaceBatch((pixels,), target), step)
        parts = torch.stack([stepped(share, step) for share in shares])
        torch.testing.assert_close(parts.mean(dim=0), whole, rtol=1e-4, atol=1e-5)


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.masks = nn.Linear(1, 7), []

    def forward(self, pixels):
        self.masks.append(torch.nn.functional.dropout(torch.ones(64), 0.5))
        return self.fc(pixels.mean(dim=(1, 2, 3))[:, None])


def test_processes_drop_out_each_for_itself_and_go_on_alike(tiny, monkeypatch):
    module = classifier(recipe_of(tiny))
    module.network = Dropping()
    module.log_dict = lambda values, **options: None
    afterwards = []
    for rank, batch in ((0, 0), (1, 0), (0, 1), (0, 0)):
        monkeypatch.setattr(ExpressionClassifier, "global_rank", rank)
        torch.manual_seed(5)
        share = FaceBatch(
            (batch_of(4).pixels[0],),
            torch.zeros(2).long(),
            Whole(torch.zeros(4).long(), ((4, slice(rank, None, 2)),), 2),
        )
        module.training_step(share, batch)
        afterwards.append(torch.rand(1).item())
    masks = module.network.masks
    assert len(set(afterwards)) == 1
    assert torch.equal(masks[0], masks[3])
    assert not torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_batch_normalisation_for_processes_keeps_names_weights_and_what_follows_it(tiny):
    """Converted by torch, timm's layers would lose their activation."""
    network = timm.create_model("mobilenetv2_050", num_classes=7).eval()
    before, pixels = {n: t.clone() for n, t in network.state_dict().items()}, torch.rand(2, 3, 64, 64)
    expected = network(pixels)
    converted = convert_sync_batchnorm(network)
    assert {type(layer) for layer in converted.modules()} & {nn.BatchNorm2d, BatchNormAct2d} == set()
    after = converted.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in after)
    torch.testing.assert_close(converted(pixels), expected)


def test_validation_is_the_plain_loss_of_the_centre_crop(tiny):
    module = classifier(recipe_of(tiny, "recipe.label_smoothing=0.3"), torch.tensor(WEIGHTS)).eval()
    logged, batch = {}, batch_of()
    module.log_dict = lambda values, **options: logged.update(values)
    with torch.no_grad():
        module.validation_step(batch, 0)
        logits = module.network(module.transform(batch.pixels, random=False))
    assert float(logged["selection_loss"]) == pytest.approx(float(F.cross_entropy(logits, batch.target)), rel=1e-5)
    assert float(logged["selection_accuracy"]) == pytest.approx(
        (logits.argmax(1) == batch.target).double().mean().item()
    )


def test_balanced_weights_are_scikit_learns():
    targets = torch.from_numpy(np.random.default_rng(0).choice(7, 500, p=[0.3, 0.02, 0.1, 0.25, 0.13, 0.1, 0.1]))
    expected = compute_class_weight("balanced", classes=np.arange(7), y=targets.numpy())
    assert balanced_weights(targets, 7).tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    assert balanced_weights(F.one_hot(targets, 7).float(), 7).tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    assert float(balanced_weights(targets, 7)[targets].mean()) == pytest.approx(1)


class Watch(pl.Callback):
    """Rates at every step, and the network before and after."""

    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])


def state(module):
    return {name: tensor.clone() for name, tensor in module.network.state_dict().items()}


def fit(module, faces_folder, recipe, epochs=None):
    given = {"labelling": recipe.labelling, "batch_size": recipe.batch_size, "seed": recipe.seed}
    data = build("data", recipe.data, faces={"emotiw": open_faces(faces_folder / "emotiw")}, **given)
    watch = Watch()
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(
        max_epochs=epochs or recipe.epochs, accelerator="cpu", callbacks=[watch], num_sanity_val_steps=0, **quiet
    )
    trainer.fit(module, data)
    return watch


@pytest.mark.filterwarnings("ignore")
class TestTraining:
    def test_rates_are_the_papers(self, tiny, faces_folder):
        recipe = recipe_of(tiny, "recipe.epochs=5", "recipe.scheduler.every=2", "recipe.batch_size=16")
        watch = fit(classifier(recipe), faces_folder, recipe)
        assert len(watch.rates) == 5 * 3  # 60 faces
        of_epochs = [0.02, 0.02, 0.002, 0.002, 0.0002]
        expected = [[rate, 10 * rate] for rate in of_epochs for _ in range(3)]  # the fresh head's is ten times higher
        assert np.allclose(watch.rates, expected, rtol=1e-9)

    def test_one_step_is_torchs(self, tiny, faces_folder):
        """Lightning, groups and schedule together do what one step of SGD written out does."""
        recipe = recipe_of(
            tiny, "recipe.epochs=1", "recipe.batch_size=60", "recipe.augment.crop=36", "recipe.augment.mirror=false"
        )
        ours, theirs = classifier(recipe), classifier(recipe)
        fit(ours, faces_folder, recipe)
        faces = open_faces(faces_folder / "emotiw")
        rows = faces.rows(["Train"])[faces.found[faces.rows(["Train"])]]
        pixels = theirs.transform((torch.from_numpy(faces.pixels[rows]),), random=False)
        head = list(theirs.network.fc.parameters())
        rest = [p for p in theirs.network.parameters() if not any(p is q for q in head)]
        groups = [{"params": rest, "lr": 0.02}, {"params": head, "lr": 0.2}]
        optimizer = torch.optim.SGD(groups, lr=0.02, momentum=0.9, weight_decay=0.0005)
        F.cross_entropy(theirs.network(pixels), torch.from_numpy(faces.labels[rows].astype(np.int64))).backward()
        optimizer.step()
        after, expected = state(ours), state(theirs)
        assert all(torch.allclose(after[n], expected[n], rtol=1e-3, atol=1e-4) for n in after)
        fresh = state(classifier(recipe))
        assert not torch.allclose(after["fc.weight"], fresh["fc.weight"], atol=1e-3)

    def test_frozen_batch_normalisation_keeps_its_statistics(self, tiny, faces_folder):
        recipe = recipe_of(tiny, "recipe.batch_norm=frozen", "recipe.augment.crop=32")
        module = classifier(recipe)
        before = state(module)
        fit(module, faces_folder, recipe, epochs=2)  # the second epoch comes after a validation
        after = state(module)
        statistics = [n for n in before if "running_" in n or "num_batches" in n]
        assert statistics and all(torch.equal(before[n], after[n]) for n in statistics)
        assert not torch.equal(before["bn1.weight"], after["bn1.weight"])  # gain and bias are trained

    def test_batch_normalisation_otherwise_follows_the_faces(self, tiny, faces_folder):
        recipe = recipe_of(tiny, "recipe.epochs=1")
        module = classifier(recipe)
        fit(module, faces_folder, recipe)
        assert int(module.network.bn1.num_batches_tracked) == 1
        assert not torch.equal(module.network.bn1.running_mean, torch.zeros_like(module.network.bn1.running_mean))

    def test_frozen_parameters_stay(self, tiny, faces_folder):
        # Weight decay would shrink them, and changes every other weight.
        recipe = recipe_of(tiny, "recipe.frozen=[conv1.*, layer1.*]", "recipe.epochs=1")
        module = classifier(recipe)
        before = state(module)
        fit(module, faces_folder, recipe)
        after = state(module)
        for name in (name for name, _ in module.network.named_parameters() if name.endswith("weight")):
            assert torch.equal(before[name], after[name]) == name.startswith(("conv1.", "layer1.")), name

    def test_frozen_layers_keep_the_statistics_of_their_batch_normalisation(self, tiny, faces_folder):
        """A layer that is not trained computes the same afterwards; one that is half trained is trained."""
        recipe = recipe_of(tiny, "recipe.frozen=[conv1.*, bn1.*, layer1.*, layer2.0.bn1.bias]")
        module = classifier(recipe)
        before = state(module)
        fit(module, faces_folder, recipe, epochs=2)  # the second epoch comes after a validation
        after = state(module)
        kept = {n for n in before if "running_" in n and torch.equal(before[n], after[n])}
        frozen = {n for n in before if "running_" in n and n.startswith(("conv1.", "bn1.", "layer1."))}
        assert len(frozen) > 4 and kept == frozen
        assert "layer2.0.bn1.running_mean" in before


def test_first_batch_of_an_epoch_reseeds(tiny):
    module = classifier(recipe_of(tiny, "recipe.seed=3"))
    draws = []
    for index in (0, 1, 0):
        module.on_train_batch_start(batch_of(), index)
        draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[2]) and not torch.equal(draws[0], draws[1])


def test_class_weights_are_not_kept_with_the_weights(tiny):
    module = classifier(recipe_of(tiny), torch.tensor(WEIGHTS))
    assert all(name.startswith("network.") for name in module.state_dict())
