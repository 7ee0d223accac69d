"""Files of weights: every way they are nested and named, everything that must not fit, and everything damaged."""

import ast
import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from fer_transfer.backbones.weights import (
    LINEAGE_KEY,
    RECORD_KEY,
    load_into,
    open_weights,
    save_tensors,
    save_weights,
    tensors_digest,
    weights_digest,
)
from fer_transfer.errors import WeightsError


def network(outputs=7, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, outputs))


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def renamed(tensors, prefix):
    return {prefix + name: tensor for name, tensor in tensors.items()}


def training_checkpoint(state):
    """What trainers write: the weights among optimiser state, counters and words."""
    momenta = {i: {"momentum_buffer": torch.zeros(3), "step": torch.tensor(5)} for i in range(40)}
    return {
        "epoch": 3,
        "arch": "net",
        "state_dict": state,
        "best": 0.5,
        "optimizer": {"state": momenta, "param_groups": []},
    }


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "module.backbone.", "state.model.net."])
@pytest.mark.parametrize(
    "nest", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"a": {"model": s}}, training_checkpoint]
)
@pytest.mark.parametrize("zipped", [True, False])
def test_nesting_and_prefixes_are_undone(prefix, nest, zipped, tmp_path):
    saved = network(seed=1)
    torch.save(nest(renamed(saved.state_dict(), prefix)), tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    target = network()
    loaded = load_into(target, open_weights(tmp_path / "x.pth").tensors)
    assert equal(target.state_dict(), saved.state_dict())
    assert set(loaded.taken) == set(saved.state_dict()) and loaded.skipped == []


def test_safetensors(tmp_path):
    saved, target = network(seed=1), network()
    save_file(renamed(saved.state_dict(), "module."), tmp_path / "x.safetensors")
    load_into(target, open_weights(tmp_path / "x.safetensors").tensors)
    assert equal(target.state_dict(), saved.state_dict())


def test_round_trip(tmp_path):
    saved, target = network(seed=1).to(memory_format=torch.channels_last), network()
    digest = save_weights(tmp_path / "x.safetensors", saved, {"backbone": "net"})
    load_into(target, open_weights(tmp_path / "x.safetensors").tensors)
    assert equal(target.state_dict(), saved.state_dict())
    assert digest == weights_digest(tmp_path / "x.safetensors") and len(digest) == 64
    assert [path.name for path in tmp_path.iterdir()] == ["x.safetensors"]
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert file.metadata() == {"backbone": "net"}


def test_weights_that_share_memory_are_saved(tmp_path):
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    save_weights(tmp_path / "x.safetensors", tied, {})
    assert equal(open_weights(tmp_path / "x.safetensors").tensors, tied.state_dict())


def lines_of(error):
    return [line.strip() for line in str(error.value).splitlines() if line.startswith("  ")]


def test_everything_that_does_not_fit_is_listed_and_nothing_is_loaded():
    target = network()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    tensors = {name: tensor + 1 for name, tensor in target.state_dict().items()}
    del tensors["0.bias"]
    tensors |= {"4.weight": torch.zeros(2, 2), "3.weight": torch.zeros(1000, 4)}
    with pytest.raises(WeightsError, match=r"x\.pth does not fit.*1 missing, 1 unknown, 1 of another shape") as error:
        load_into(target, tensors, source="x.pth")
    assert lines_of(error) == ["- 0.bias (4,)", "+ 4.weight (2, 2)", "~ 3.weight expected (7, 4), but got (1000, 4)"]
    assert "skip_weights=\"['0.*','3.*','4.*']\"" in str(error.value)
    assert equal(target.state_dict(), before)


def test_long_lists_are_cut():
    with pytest.raises(WeightsError, match="and 2 more") as error:
        load_into(network(), network().state_dict() | {f"extra.{i}": torch.zeros(1) for i in range(10)})
    assert len(lines_of(error)) == 9


def test_what_stands_outside_the_prefix_is_not_lost_silently():
    tensors = renamed(network().state_dict(), "encoder.") | {"projector.weight": torch.zeros(2, 2)}
    with pytest.raises(WeightsError, match=r"\+ projector.weight"):
        load_into(network(), tensors)
    assert load_into(network(), tensors, ["projector.*"]).skipped == ["projector.weight"]


def test_names_with_and_without_prefix():
    state = network().state_dict()
    with pytest.raises(WeightsError, match=r"'0.bias'.*'module\.'"):
        load_into(network(), renamed(state, "module.") | {"0.bias": state["0.bias"]})


def test_another_head_by_pattern_only():
    target, thousand = network(), network(1000, seed=1)
    fresh = target[3].weight.clone()
    with pytest.raises(WeightsError, match=r"~ 3.weight(.|\n)*skip_weights=.\['3.\*'\]"):
        load_into(target, thousand.state_dict())
    loaded = load_into(target, thousand.state_dict(), ["3.*"])
    assert loaded.skipped == ["3.bias", "3.weight"] and not set(loaded.skipped) & set(loaded.taken)
    assert torch.equal(target[3].weight, fresh) and torch.equal(target[0].weight, thousand[0].weight)


def test_following_the_advice_leads_somewhere():
    """On a command line a list replaces the one before: the advice must hold what was given already."""
    target, tensors = network(), network(1000, seed=1).state_dict()
    del tensors["0.bias"], tensors["0.weight"]
    skip = ["3.*"]
    with pytest.raises(WeightsError) as error:
        load_into(target, tensors, skip)
    advice = str(error.value).rpartition("skip_weights=")[2].strip('"')
    assert load_into(target, tensors, ast.literal_eval(advice)).taken


def test_patterns_that_name_nothing_or_everything():
    with pytest.raises(
        WeightsError, match=r"skip_weights with patterns .* but \['fc9.\*'\] match no name of the network or of x"
    ):
        load_into(network(), network().state_dict(), ["3.*", "fc9.*"], "x")
    with pytest.raises(WeightsError, match=r"something to take from x, but .*=\['\*'\] leaves nothing"):
        load_into(network(), network().state_dict(), ["*"], "x")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_no_network_can_use(value):
    tensors = network().state_dict()
    tensors["3.bias"][2] = value
    with pytest.raises(WeightsError, match=r"finite numbers in x, but 1 tensors .* first 3.bias"):
        load_into(network(), tensors, source="x")
    load_into(network(), tensors, ["3.bias"])


def test_an_excepted_name_is_left_as_it_is_even_where_it_would_fit():
    target, other = network(), network(seed=1)
    load_into(target, other.state_dict(), ["3.weight"])
    assert not torch.equal(target[3].weight, other[3].weight) and torch.equal(target[3].bias, other[3].bias)


def test_weights_from_before_batch_counters():
    state = {name: tensor for name, tensor in network(seed=1).state_dict().items() if "num_batches" not in name}
    load_into(network(), state)


def test_weights_of_another_network():
    resnet = timm.create_model("test_resnet", num_classes=7).state_dict()
    with pytest.raises(WeightsError, match="made for") as error:
        load_into(timm.create_model("test_vit", num_classes=7), resnet)
    assert {line[0] for line in lines_of(error)} >= {"-", "+"}


class Evil:
    """Unpickled by a trusting reader, it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own, about the pickle protocol
@pytest.mark.parametrize("write", ["torch", "torch_legacy", "pickle", "beside_tensors"])
def test_code_is_never_run(write, tmp_path):
    path, marker = tmp_path / "evil.pth", tmp_path / "marker"
    content = {"state_dict": network().state_dict(), "x": Evil(marker)} if write == "beside_tensors" else Evil(marker)
    if write == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=write != "torch_legacy")
    with pytest.raises(WeightsError, match=r"evil\.pth"):
        open_weights(path)
    assert not marker.exists()
    if write == "pickle":
        pickle.loads(path.read_bytes())
        assert marker.exists()  # it would have run


def test_a_whole_pickled_network_is_refused_with_advice(tmp_path):
    torch.save(network(), tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"Expected tensors only in .*x\.pth.*state_dict"):
        open_weights(tmp_path / "x.pth")


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own, about pickle protocols in random bytes
@pytest.mark.parametrize("kind", ["zipped", "legacy", "safetensors"])
def test_damaged_files_are_weights_errors(kind, tmp_path):
    path = tmp_path / ("x.safetensors" if kind == "safetensors" else "x.pth")
    if kind == "safetensors":
        save_file(network().state_dict(), path)
    else:
        torch.save(network().state_dict(), path, _use_new_zipfile_serialization=kind == "zipped")
    data, choose = path.read_bytes(), random.Random(0)
    damaged = [data[: len(data) * i // 40] for i in range(40)]
    damaged += [choose.randbytes(choose.randrange(1, 200)) for _ in range(20)]
    for number, content in enumerate(damaged):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=path.name):
            pytest.fail(f"read damaged file {number}: {open_weights(path).tensors.keys()}")


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], torch.zeros(3), {"optimizer": {"lr": 0.1}}])
def test_files_without_tensors_by_name(content, tmp_path):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"mapping of names to tensors in .*x\.pth"):
        open_weights(tmp_path / "x.pth")


@pytest.mark.parametrize("read", [open_weights, weights_digest])
def test_missing_file_and_folder(read, tmp_path):
    for path in (tmp_path / "nowhere.pth", tmp_path):
        with pytest.raises(WeightsError, match=r"Expected a weights file at .*weights=none"):
            read(path)


def test_a_file_is_one_open_object(tmp_path):
    path = tmp_path / "x.safetensors"
    metadata = {
        RECORD_KEY: json.dumps({"mean": [0.5]}),
        LINEAGE_KEY: json.dumps({"stages": [{"name": "Gänse"}]}),
        "key": "k",
    }
    digest = save_weights(path, network(seed=1), metadata)
    file = open_weights(path)
    assert (file.path, file.digest, file.record) == (path, digest, {"mean": [0.5]})
    assert file.lineage == {"stages": [{"name": "Gänse"}]} and equal(file.tensors, network(seed=1).state_dict())
    save_weights(path, network(), {})
    assert (open_weights(path).record, open_weights(path).lineage) == (None, None)
    torch.save(network().state_dict(), tmp_path / "x.pth")
    assert (open_weights(tmp_path / "x.pth").record, open_weights(tmp_path / "x.pth").lineage) == (None, None)


def test_a_file_is_read_once(tmp_path, monkeypatch):
    """The digest is of the bytes that the tensors are from, whatever becomes of the file meanwhile."""
    save_weights(tmp_path / "x.safetensors", network(seed=1), {})
    before, read = weights_digest(tmp_path / "x.safetensors"), Path.read_bytes

    def once(path):
        data = read(path)
        path.write_bytes(b"another file by now")
        return data

    monkeypatch.setattr(Path, "read_bytes", once)
    file = open_weights(tmp_path / "x.safetensors")
    assert file.digest == before and equal(file.tensors, network(seed=1).state_dict())


@pytest.mark.parametrize("key", [RECORD_KEY, LINEAGE_KEY])
@pytest.mark.parametrize("text", ["{", "[1]", '"a"', "null"])
def test_a_record_or_lineage_that_is_none(key, text, tmp_path):
    save_weights(tmp_path / "x.safetensors", network(), {key: text})
    with pytest.raises(WeightsError, match=rf"the {key} in .*x\.safetensors.*Write the file anew"):
        open_weights(tmp_path / "x.safetensors")


def test_the_kind_may_be_said(tmp_path):
    save_weights(tmp_path / "x.bin", network(seed=1), {})
    assert equal(open_weights(tmp_path / "x.bin", ".safetensors").tensors, network(seed=1).state_dict())


def test_digest_of_tensors_is_of_names_dtypes_shapes_and_bytes():
    state = network(seed=1).state_dict()
    same = {
        name: tensor.clone().t().contiguous().t() if tensor.ndim == 2 else tensor.clone()
        for name, tensor in state.items()
    }
    assert tensors_digest(dict(reversed(same.items()))) == tensors_digest(state)
    one = torch.tensor([1.0, 2.0])
    others = [{"a": one}, {"b": one}, {"a": one[None]}, {"a": one.view(torch.int32)}, {"a": one.double()}, {}]
    others += [{"a": torch.tensor([1.0, 2.0000002])}, {"a": one[:1], "b": one[1:]}, {"a": one[:0], "b": one}]
    others += [{"a": torch.tensor(True)}, {"a": torch.tensor(1, dtype=torch.uint8)}, {"a": one.bfloat16()}]
    assert len({tensors_digest(tensors) for tensors in others}) == len(others)


def test_equal_content_gives_equal_bytes(tmp_path):
    """The library's own order of the metadata is another each time."""
    kinds = [torch.float32, torch.uint8, torch.float64, torch.bfloat16, torch.float32]
    tensors = {name: torch.full((3, i), i, dtype=kinds[i]) for i, name in enumerate("baedc")}
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path in paths:
        save_tensors(path, tensors, {key: f"{key}é" for key in "zyxwvutsrq"})
    assert len({path.read_bytes() for path in paths}) == 1
    with safe_open(paths[0], "pt") as file:  # as anyone reads it
        assert file.metadata() == {key: f"{key}é" for key in "qrstuvwxyz"}
        assert {name: file.get_tensor(name).dtype for name in file.keys()} == {  # noqa: SIM118
            "a": torch.uint8, "b": torch.float32, "c": torch.float32, "d": torch.bfloat16, "e": torch.float64,
        }  # fmt: skip
        assert file.get_tensor("b").shape == (3, 0) and file.get_tensor("c").tolist() == [[4.0] * 4] * 3
    data = paths[0].read_bytes()
    assert int.from_bytes(data[:8], "little") % 8 == 0 and data[8:9] == b"{"


def test_a_full_disk_is_an_error_of_the_disk_and_leaves_nothing(tmp_path):
    script = (
        "import resource, signal, sys, torch\n"
        "from pathlib import Path\n"
        "from fer_transfer.backbones.weights import save_tensors\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n"
        "    save_tensors(Path(sys.argv[1]), {'a': torch.zeros(100, 100)}, {})\n"
        "except OSError as error:\n"
        "    print('OSError:', error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "x.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "OSError: [Errno 27] File too large" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())


def test_real_imagenet_weights(shared_weights):
    tensors = open_weights(shared_weights / "mobilenetv2_100_imagenet.pth").tensors
    loaded = load_into(timm.create_model("mobilenetv2_100", num_classes=7, pad_type="same"), tensors, ["classifier.*"])
    assert loaded.skipped == ["classifier.bias", "classifier.weight"] and len(loaded.taken) == 312
    whole = timm.create_model("mobilenetv2_100", pad_type="same")
    assert len(load_into(whole, tensors).taken) == 314
    assert equal(whole.state_dict(), tensors)


def test_real_training_checkpoint(shared_weights):
    tensors = open_weights(shared_weights / "mobilenetV1X0.25_pretrain.tar").tensors
    assert len(tensors) == 164 and all(name.startswith("module.") for name in tensors)
    assert tensors["module.fc.weight"].shape == (1000, 256)
    fc = nn.ModuleDict({"fc": nn.Linear(256, 1000)})
    load_into(fc, tensors, ["stage*"])
    assert torch.equal(fc["fc"].weight, tensors["module.fc.weight"])
