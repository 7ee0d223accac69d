"""Where prepared faces are looked for, and what torch is told."""

import os
from pathlib import Path

import pytest
import torch

from fer_transfer.cli.train import train
from fer_transfer.errors import ConfigError
from fer_transfer.settings import compose
from fer_transfer.stages.runtime import Runtime
from fer_transfer.training.module import ExpressionClassifier

FACES = {"fer2013": "faces/fer2013", "emotiw": "elsewhere/emotiw"}


def test_a_folder_that_is_given_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Runtime(faces=FACES).folder_of("emotiw") == Path("elsewhere/emotiw")  # opening it says what is wrong with it


def test_the_place_where_fer_prepare_writes_needs_no_word(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces" / "rafdb").mkdir(parents=True)
    with pytest.raises(ConfigError, match="there is none in faces/rafdb"):
        Runtime(faces=FACES).folder_of("rafdb")
    (tmp_path / "faces" / "rafdb" / "manifest.json").touch()
    assert Runtime(faces=FACES).folder_of("rafdb") == Path("faces/rafdb")


@pytest.mark.parametrize(
    ("release", "message"),
    [
        ("rafdb", r"'rafdb', but runtime.faces has fer2013, emotiw .*fer-prepare.*\+runtime.faces.rafdb=faces/rafdb$"),
        ("emotiv", r"Did you mean 'emotiw'\?.*\+runtime.faces.emotiv=faces/emotiv$"),
    ],
)
def test_faces_that_are_nowhere(release, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        Runtime(faces=FACES).folder_of(release)


def test_without_any_faces(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"runtime\.faces has none"):
        Runtime().folder_of("fer2013")


@pytest.fixture
def settings_of_torch(monkeypatch):
    """What a test may change of the process."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    torch.use_deterministic_algorithms(False)


def test_deterministic_algorithms_are_a_setting_that_changes_no_key(tiny, tmp_path, settings_of_torch, monkeypatch):
    """On the CPU, where they change nothing; on CUDA torch does what it is told here."""
    seen, step = [], ExpressionClassifier.training_step

    def training_step(self, batch, index):
        told = torch.are_deterministic_algorithms_enabled(), os.environ.get("CUBLAS_WORKSPACE_CONFIG")
        seen.append((*told, torch.backends.cudnn.benchmark))
        return step(self, batch, index)

    monkeypatch.setattr(ExpressionClassifier, "training_step", training_step)
    folders = []
    for setting in ("true", "false"):
        store = tmp_path / setting
        config = compose("train", [*tiny, "plan=emotiw", f"runtime.store={store}", f"runtime.deterministic={setting}"])
        folders.append(train(config).jobs[-1].folder)
        assert torch.are_deterministic_algorithms_enabled() == (setting == "true"), "predictions are made so too"
    assert set(seen) == {(True, ":4096:8", False), (False, ":4096:8", False)}
    one, other = folders
    assert one.path.name == other.path.name and one.weights.read_bytes() == other.weights.read_bytes()


def test_what_torch_has_no_deterministic_algorithm_for_is_named(tiny, settings_of_torch, monkeypatch, command):
    def training_step(self, batch, index):
        pixels, places = torch.nn.MaxPool2d(2, return_indices=True)(batch.pixels[0].float())
        return torch.nn.MaxUnpool2d(2)(pixels, places)

    monkeypatch.setattr(ExpressionClassifier, "training_step", training_step)
    code, _, err = command("train", *tiny, "plan=emotiw", "runtime.deterministic=true")
    assert code == 1 and len(err.splitlines()) == 1, err
    assert "stage 'emotiw' of emotiw (test_resnet, seed 0)" in err and "torch has none of max_unpool" in err


@pytest.mark.parametrize(("able", "said"), [({"avx2": True}, 1), ({"avx512_bf16": True}, 0), ({"bf16": True}, 0)])
def test_a_precision_that_the_processor_emulates_is_said(able, said, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert len(Runtime(device="cpu").notes("bf16-mixed")) == said
    assert Runtime(device="cpu").notes("32-true") == ()


def test_what_is_emulated_is_said_before_it_is_trained(tiny, monkeypatch, command):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    code, out, err = command("train", *tiny, "plan=emotiw", "recipe.precision=bf16-mixed", "recipe.optimizer.lr=-1")
    assert code == 1 and "bf16-mixed is emulated" in out and "learning rate" in err
