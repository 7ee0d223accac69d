"""fer-store through its command, on stores that fer-train filled and on small ones of random predictions."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_store import add_trained
from filelock import FileLock
from tiny import overrides

from fer_transfer.cli.train import train
from fer_transfer.files.document import read_document, write_document
from fer_transfer.settings import compose
from fer_transfer.stages.record import read_record
from fer_transfer.upkeep import merging

PLANS = (["plan=fer28_emotiw"], ["plan=fer28_emotiw", "recipe.seed=1", "recipe.optimizer.lr=0.01"])


@pytest.fixture(scope="module")
def trained(tmp_path_factory, faces_folder):
    """A store that fer-train filled: two rows that differ in seed and rate."""
    store = tmp_path_factory.mktemp("trained") / "store"
    given = [*overrides(faces_folder, store), "recipe.epochs=1", "runtime.progress=none", "runtime.device=cpu"]
    for plan in PLANS:
        train(compose("train", [*given, *plan]))
    return store


@pytest.fixture
def store(tmp_path):
    """Two rows of one plan and one of another, whose first stage is shared."""
    for seed in (0, 1):
        add_trained(tmp_path / "store", "fer28_emotiw", seed)
    add_trained(tmp_path / "store", "fer28")
    return tmp_path / "store"


@pytest.fixture
def ask(command, tmp_path):
    """fer-store on a store: (exit code, what it printed, its error)."""

    def ask(*words, store=tmp_path / "store"):
        return command("store", *map(str, words), f"store={store}")

    return ask


def keys(store, name=""):
    found = [path for path in store.iterdir() if len(path.name) == 16]
    return sorted(path.name for path in found if name in ("", read_document(path / "result.json")["stage"]))


def row(store, plan="fer28_emotiw", seed=0):
    records = {path.stem: read_document(path) for path in (store / "submissions").glob("*.json")}
    return next(of for of, record in records.items() if record["plan"] == plan and record["seeds"][0] == seed)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tables(command, store):
    code, _, error = command("report", f"store={store}", f"out={store}-report", "published=false")
    assert code == 0, error
    # The page tells the command that made it, with the store's own name.
    return {name: data.replace(str(store).encode(), b"STORE") for name, data in files(Path(f"{store}-report")).items()}


# list, show, why


def test_what_fer_train_filled_is_listed_shown_and_verified(trained, ask):
    code, printed, error = ask("verify", store=trained)
    assert (code, error) == (0, "") and "4 stages and 2 rows" in printed
    code, printed, _ = ask("list", store=trained)
    assert (
        code == 0 and all(key[:8] in printed for key in keys(trained)) and "seed=1" in printed and "lr=0.01" in printed
    )
    last = read_document(trained / "submissions" / f"{row(trained)}.json")["lineage"]["stages"][-1]["key"]
    code, printed, _ = ask("show", last[:6], store=trained)
    result = read_document(trained / last / "result.json")
    assert code == 0 and all(sha256[:16] in printed for sha256 in result["files"].values())
    assert "optimizer.lr" in printed and "PrivateTest centre 40" in printed and row(trained) in printed


def test_lines_fit_a_terminal_and_files_get_all_of_them(store, ask, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, narrow, _ = ask("list")
    assert max(map(len, narrow.splitlines())) <= 80
    monkeypatch.delenv("COLUMNS")
    _, wide, _ = ask("list")
    assert "selected_on=fer2013/PublicTest" in wide and "selected_on=fer2013/PublicTest" not in narrow


def test_only_what_differs_is_listed(tmp_path, ask):
    for epochs, seed in ((4, 0), (4.0, 0), (4, 1), (5, 0)):
        add_trained(tmp_path / "store", "emotiw", seed, epochs=epochs, batch_size=64)
    _, printed, _ = ask("list")
    assert len(keys(tmp_path / "store")) == 3 and printed.count("epochs=") == 1 and "batch_size" not in printed


def test_why_goes_up_the_lineage_to_the_first_difference(trained, ask):
    a, b = (
        read_document(trained / "submissions" / f"{row(trained, seed=seed)}.json")["lineage"]["stages"]
        for seed in (0, 1)
    )
    code, printed, error = ask("why", a[1]["key"][:10], b[1]["key"][:10], store=trained)
    assert (code, error) == (0, "")
    first, second = printed.split("\nfer ")
    assert f"{a[0]['key']} | {b[0]['key']}" in first and "recipe.seed" in first and "0.02 | 0.01" in first
    assert "start" not in second and "0.02 | 0.01" in second
    assert "is one stage" in ask("why", a[0]["key"], a[0]["key"], store=trained)[1]


def test_why_tells_versions_and_faces(store, ask):
    one, other = keys(store, "fer28")
    edit(store / one / "result.json", lambda result: result["code"]["versions"].update(torch="1.0"))
    code, printed, _ = ask("why", one, other)
    assert code == 0 and "versions.torch  1.0 | 2." in printed
    edit(store / one / "result.json", lambda result: result.pop("code"))
    assert "versions: not kept with both" in ask("why", one, other)[1]
    emotiw = keys(store, "emotiw")[0]
    assert "faces.fer2013.digest" in ask("why", one, emotiw)[1]


def edit(path, change):
    """Change a document and seal it again, as somebody would who means to be believed."""
    content = read_document(path)
    change(content)
    write_document(path, content)


# verify


def test_every_changed_file_is_named_with_what_to_do(store, ask, tmp_path):
    whole = tmp_path / "whole"
    store.rename(whole)
    for name, data in files(whole).items():
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(whole, store)
        (store / name).write_bytes(data[:-4] + bytes([data[-4] ^ 1]) + data[-3:])
        code, printed, error = ask("verify")
        told = printed + error
        assert code == 1 and Path(name).name.removesuffix(".json").removesuffix(".csv") in told, name
        assert "fer-train" in told or "repair=true" in told or "Delete " in told
        assert error.startswith("error: ") and error.count("\n") == 1


def test_every_missing_file_is_named(store, ask, tmp_path):
    whole = tmp_path / "whole"
    store.rename(whole)
    for name in files(whole):
        if name.startswith("submissions") or name == "store.json":
            continue  # how one leaves a row out; a store of before there was one
        shutil.rmtree(store, ignore_errors=True)
        shutil.copytree(whole, store)
        (store / name).unlink()
        code, printed, _ = ask("verify")
        assert code == 1 and name.split("/")[0] in printed, name


def test_digests_are_computed_in_earnest(store, ask):
    """A cache that claims to have seen the bytes is not asked."""
    weights = store / keys(store)[0] / "weights.safetensors"
    state = weights.stat()
    weights.write_bytes(weights.read_bytes().replace(b"one", b"two"))
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    expected = read_document(weights.parent / "result.json")["files"][weights.name]
    now = weights.stat()
    write_document(
        weights.parent / ".checked.json", {weights.name: [now.st_size, now.st_mtime_ns, now.st_ctime_ns, expected]}
    )
    code, printed, _ = ask("verify")
    assert code == 1 and str(weights) in printed


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("KEY/result.json", lambda of: of["lineage"]["stages"][-1]["recipe"].update(epochs=9), "what key"),
        ("KEY/result.json", lambda of: of["files"].update({"../x": "0" * 64}), "plain names"),
        ("KEY/result.json", lambda of: of["files"].pop("weights.safetensors"), "plain names"),
        ("KEY/result.json", lambda of: of.update(lineage=[1]), "Expected a lineage of version"),
        ("ROW", lambda of: of["lineage"]["stages"][0]["recipe"].update(epochs=9), "differs from the one in its result"),
        ("ROW", lambda of: of["predictions"][0].update(sha256="0" * 64), "bytes of digest 000000000000"),
        ("ROW", lambda of: of["predictions"][0].update(file="../../etc/passwd"), "predictions outside the store"),
        ("ROW", lambda of: of["predictions"][0].update(file="/etc/passwd"), "predictions outside the store"),
        ("ROW", lambda of: of["predictions"][0].update(split="Test"), "but they are of Val"),
        ("ROW", lambda of: of["stages"][0].update(key="0" * 16), "stage 0000000000000000"),
    ],
)  # fmt: skip
def test_what_was_edited_and_sealed_again_is_named(store, ask, file, change, message):
    key = read_document(store / "submissions" / f"{row(store)}.json")["lineage"]["stages"][-1]["key"]
    edit(store / file.replace("KEY", key).replace("ROW", f"submissions/{row(store)}.json"), change)
    code, printed, error = ask("verify")
    assert code == 1 and message in printed and error.count("\n") == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"key": NaN, "sha256": "x"}', "NaN is no JSON"),
        (b"[" * 100_000, "RecursionError"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        (b"", "expected JSON"),
    ],
)
def test_a_result_that_is_no_document_is_one_line(store, ask, data, message):
    key = keys(store)[0]
    (store / key / "result.json").write_bytes(data)
    for words in (["verify"], ["list"], ["show", key]):
        code, printed, error = ask(*words)
        assert message in printed + error and "Traceback" not in error, words
        assert code == (0 if words == ["list"] else 1)


def test_files_that_never_end_are_not_waited_for(store, ask):
    one, two, *_ = keys(store)
    (store / one / "result.json").unlink()
    os.mkfifo(store / one / "result.json")
    (store / two / "metrics.csv").unlink()
    (store / two / "metrics.csv").symlink_to("/dev/zero")
    code, printed, _ = ask("verify")
    assert code == 1 and "it is a FIFO" in printed and "it is a device" in printed


# prune


def test_prune_tells_what_would_go_and_only_then_deletes(store, ask):
    first, last = keys(store, "fer28"), keys(store, "emotiw")
    (store / "submissions" / f"{row(store, seed=1)}.json").unlink()
    gone = [key for key in first + last if key not in str(files(store / "submissions"))]
    assert len(gone) == 2
    before = files(store)
    code, printed, _ = ask("prune", "hours=0")
    assert code == 0 and all(key in printed for key in gone) and "yes=true" in printed and files(store) == before
    assert "nothing to delete" in ask("prune", "yes=true")[1], "what was written today may be about to be needed"
    code, printed, _ = ask("prune", "hours=0", "yes=true")
    assert code == 0 and set(keys(store)) == {*first, *last} - set(gone)
    assert ask("verify")[0] == 0
    assert "nothing to delete" in ask("prune", "hours=0")[1]


def test_what_jobs_use_stays_and_what_dead_ones_left_goes(store, ask, monkeypatch):
    for path in (store / "submissions").glob("*.json"):
        path.unlink()
    first = keys(store, "fer28")
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    from fer_transfer.stages import work

    living, ended, elsewhere = (
        store / ".work" / f"{key}.{pid}.00000000.{host}"
        for key, pid, host in (
            ("a" * 16, os.getppid(), work._here()),
            ("b" * 16, dead.pid, work._here()),
            ("c" * 16, 1, "far-1"),
        )
    )
    for path in (living, ended, elsewhere):
        path.mkdir(parents=True)
        (path / "recipe.json").write_text(json.dumps({"start": first[0]} if path == living else {}))
    held = FileLock(store / ".work" / f"{keys(store, 'emotiw')[0]}.lock")
    with held:
        code, printed, _ = ask("prune", "hours=0", "yes=true")
    assert code == 0 and "a job holds its lock" in printed
    assert living.exists() and elsewhere.exists() and not ended.exists()
    assert keys(store) == sorted([first[0], keys(store, "emotiw")[0]])


def test_what_unfinished_work_learns_from_stays(store, ask):
    from fer_transfer.stages import work

    for path in (store / "submissions").glob("*.json"):
        path.unlink()
    fer28, emotiw = keys(store, "fer28"), keys(store, "emotiw")
    pupil = store / ".work" / f"{'a' * 16}.{os.getppid()}.00000000.{work._here()}"
    pupil.mkdir(parents=True)
    (pupil / "recipe.json").write_text(json.dumps({"start": "weights", "teachers": [emotiw[0], 3]}))
    assert ask("prune", "hours=0", "yes=true")[0] == 0
    assert emotiw[0] in keys(store) and emotiw[1] not in keys(store)
    assert len(set(fer28) & set(keys(store))) == 1, "what the teacher started from"


def test_leftovers_go(store, ask):
    key = keys(store)[0]
    (store / f"{key}.damaged.1").mkdir()
    (store / key / f".result.json.{2**22 + 1}").write_text("{")
    (store / key / ".checked.json").write_text("{}")
    (store / ".work" / ".merge-0123abcd").mkdir(parents=True)
    (store / ".work" / ".merge-0123abcd.lock").touch()
    code, printed, _ = ask("verify")
    assert code == 1 and "half-written" in printed
    assert ask("prune", "hours=0", "yes=true")[0] == 0
    assert ask("verify")[0] == 0
    left = [path.name for path in store.rglob("*") if path.name.startswith(".") or "damaged" in path.name]
    assert left == [".work"] and not list((store / ".work").iterdir())


def test_a_row_that_cannot_be_read_keeps_everything(store, ask):
    (store / "submissions" / f"{row(store)}.json").write_text("{}")
    before = files(store)
    code, _, error = ask("prune", "hours=0", "yes=true")
    assert code == 1 and "what it refers to is not known" in error and files(store) == before


# merge, export, import


def test_two_stores_become_one(tmp_path, ask, command):
    for machine, seed in (("a", 0), ("b", 1)):
        add_trained(tmp_path / machine, "fer28_emotiw", seed)
        add_trained(tmp_path / "both", "fer28_emotiw", seed)
    add_trained(tmp_path / "b", "emotiw", 0)
    add_trained(tmp_path / "both", "emotiw", 0)
    code, _, error = ask("merge", tmp_path / "a", tmp_path / "b")
    assert (code, error) == (0, "") and ask("verify")[0] == 0
    assert tables(command, tmp_path / "store") == tables(command, tmp_path / "both")
    before = files(tmp_path / "store")
    assert ask("merge", tmp_path / "a")[0] == 0 and files(tmp_path / "store") == before


def test_predictions_and_sweeps_of_both_are_joined(tmp_path, ask):
    add_trained(tmp_path / "store", "emotiw", splits=("emotiw/Val",))
    add_trained(tmp_path / "other", "emotiw", splits=("emotiw/Val", "fer2013/PublicTest"), sweep="f" * 16)
    assert ask("merge", tmp_path / "other")[0] == 0
    record = read_document(next((tmp_path / "store" / "submissions").glob("*.json")))
    assert [of["split"] for of in record["predictions"]] == ["Val", "PublicTest"]
    assert set(record["settings_ids"]) == {"f" * 16, "0123456789abcdef"} and ask("verify")[0] == 0


def test_what_two_machines_trained_is_never_mixed(tmp_path, ask):
    add_trained(tmp_path / "store", "fer28_emotiw", machine="one")
    add_trained(tmp_path / "other", "fer28_emotiw", machine="two", sweep="f" * 16)
    add_trained(tmp_path / "other", "fer28", machine="two")
    before = {name: data for name, data in files(tmp_path / "store").items() if not name.startswith("submissions")}
    code, printed, _ = ask("merge", tmp_path / "other")
    assert code == 1 and printed.count("two machines trained it") == 2
    assert f"row {row(tmp_path / 'other', 'fer28')}" in printed and "not by the weights that are here" in printed
    after = files(tmp_path / "store")
    assert {name: data for name, data in after.items() if not name.startswith("submissions")} == before
    record = read_document(tmp_path / "store" / "submissions" / f"{row(tmp_path / 'store')}.json")
    assert "f" * 16 in record["settings_ids"], "its predictions are all here, by the weights that are here"
    assert record["environment"] == {"device": "one"} and ask("verify")[0] == 0


def test_another_split_by_other_weights_is_refused(tmp_path, ask):
    add_trained(tmp_path / "store", "emotiw", machine="one", splits=("emotiw/Val",))
    add_trained(tmp_path / "other", "emotiw", machine="two", splits=("emotiw/Val", "fer2013/PublicTest"))
    before = files(tmp_path / "store")
    code, printed, _ = ask("merge", tmp_path / "other")
    assert code == 1 and "its predictions of PublicTest are not by the weights" in printed
    assert files(tmp_path / "store") == before


def test_what_is_damaged_there_is_not_taken_and_the_rest_is(store, tmp_path, ask):
    key = keys(store, "emotiw")[0]
    (store / key / "weights.safetensors").write_bytes(b"x")
    code, printed, _ = ask("merge", store, store=tmp_path / "new")
    assert code == 1 and printed.count("not taken: ") == 2 and key in printed
    assert set(keys(tmp_path / "new")) == set(keys(store)) - {key} and ask("verify", store=tmp_path / "new")[0] == 0


@pytest.mark.parametrize("name", ["weights.safetensors", "result.json", ".csv"])
def test_a_disk_that_keeps_other_bytes_is_noticed(store, tmp_path, ask, monkeypatch, name):
    real = shutil.copyfile

    def copy(source, target):
        real(source, target)
        if str(source).endswith(name):
            Path(target).write_bytes(Path(target).read_bytes()[:-1])

    monkeypatch.setattr(merging.shutil, "copyfile", copy)
    code, _, error = ask("merge", store, store=tmp_path / "new")
    assert code == 1 and error.count("\n") == 1 and not keys(tmp_path / "new")
    assert not list((tmp_path / "new" / ".work").iterdir())


def test_an_interrupted_merge_leaves_whole_stages_and_goes_on(store, tmp_path, ask, monkeypatch):
    copied, real = [], shutil.copyfile

    def copy(source, target):
        copied.append(source)
        if len(copied) == 12:
            raise KeyboardInterrupt
        return real(source, target)

    monkeypatch.setattr(merging.shutil, "copyfile", copy)
    with pytest.raises(KeyboardInterrupt):
        ask("merge", store, store=tmp_path / "new")
    monkeypatch.undo()
    assert keys(tmp_path / "new") and set(keys(tmp_path / "new")) < set(keys(store))
    assert ask("verify", store=tmp_path / "new")[0] == 0
    assert ask("merge", store, store=tmp_path / "new")[0] == 0
    assert keys(tmp_path / "new") == keys(store)
    assert set(files(tmp_path / "new")) == {name for name in files(store) if ".lock" not in name}


def test_a_killed_merge_goes_on(tmp_path, ask):
    """SIGKILL in the middle, with what it had begun lying about."""
    for seed in range(4):
        add_trained(tmp_path / "store", "fer28_emotiw", seed)
    slow = "import time, shutil; real = shutil.copyfile; shutil.copyfile = lambda a, b: (time.sleep(0.02), real(a, b));"
    line = f"import sys; sys.argv = ['', 'merge', {str(tmp_path / 'store')!r}, {f'store={tmp_path}/new'!r}]; {slow}"
    job = subprocess.Popen([sys.executable, "-c", f"{line} from fer_transfer.cli.store import main; main()"])
    deadline = time.monotonic() + 30
    while len(keys_there(tmp_path / "new")) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.wait()
    assert 2 <= len(keys_there(tmp_path / "new")) < 8 and list((tmp_path / "new" / ".work").glob(".merge-*"))
    assert ask("merge", tmp_path / "store", store=tmp_path / "new")[0] == 0
    assert files(tmp_path / "new") == {
        name: data for name, data in files(tmp_path / "store").items() if ".lock" not in name
    }


def keys_there(store):
    return [path.name for path in store.glob("*") if len(path.name) == 16]


def test_a_row_travels_with_all_it_needs(trained, tmp_path, ask, command):
    out = tmp_path / "row"
    code, printed, error = ask("export", "fer28_emotiw/test_resnet/1", f"out={out}", store=trained)
    assert (code, error) == (0, "") and len(keys(out)) == 2 and str(out) in printed
    assert sorted(path.name for path in tmp_path.iterdir() if "row" in path.name) == ["row"]
    moved = tmp_path / "elsewhere"
    out.rename(moved)
    assert ask("verify", store=moved)[0] == 0
    assert b"0.01" in b"".join(files(moved).values())
    assert any("confusion" in name for name in tables(command, moved))
    assert ask("import", moved, store=tmp_path / "new")[0] == 0 and keys(tmp_path / "new") == keys(moved)
    assert ask("verify", store=tmp_path / "new")[0] == 0


def test_rows_travel_without_their_weights(trained, faces_folder, tmp_path, ask, command):
    light, whole = tmp_path / "light", tmp_path / "whole"
    assert ask("merge", trained, "weights=false", store=light)[0] == 0
    assert ask("merge", trained, store=whole)[0] == 0
    missing = {f"{key}/weights.safetensors" for key in keys(trained)}
    assert files(whole).keys() - files(light).keys() == missing and ask("verify", store=light)[0] == 0
    assert tables(command, light)["table.csv"] == tables(command, whole)["table.csv"]
    assert ask("import", light, store=tmp_path / "new")[0] == 0, "what is new takes after what it is made of"
    assert ask("export", "fer28_emotiw/test_resnet/1", f"out={tmp_path / 'row'}", store=tmp_path / "new")[0] == 0
    assert not list(tmp_path.glob("[nr][eo]w/*/weights.safetensors")) and keys(tmp_path / "new") == keys(light)
    assert "it was written without" in ask("import", light, store=whole)[2]
    code, _, error = command("train", "plan=fer28", *overrides(faces_folder, light))
    assert code == 1 and "without weights, for reports alone" in error


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("fer28_emotiw", "Expected one row, but 2 are called 'fer28_emotiw'"),
        ("nothing", "There is no row 'nothing'"),
        ("", "There is no row ''"),
    ],
)
def test_a_row_that_is_not_one(store, tmp_path, ask, word, message):
    code, _, error = ask("export", word, f"out={tmp_path / 'row'}")
    assert code == 1 and message in error and not (tmp_path / "row").exists()


@pytest.mark.parametrize("damaged", ["predictions/*.csv", "weights.safetensors"])
def test_a_damaged_row_is_not_exported(store, tmp_path, ask, damaged):
    record = read_record(store / "submissions" / f"{row(store)}.json")
    for path in (store / record.lineage.stages[-1].key).glob(damaged):
        path.write_text("")
    code, _, error = ask("export", "fer28_emotiw/alexnet/0", f"out={tmp_path / 'row'}")
    assert code == 1 and "was not exported" in error, error
    assert not list(tmp_path.glob(".row*")) and not (tmp_path / "row").exists()
    assert ask("export", "fer28_emotiw/alexnet/1", f"out={tmp_path / 'row'}")[0] == 0
    assert "is there" in ask("export", "fer28", f"out={store}")[2]


def link_a_folder(folder, key):
    (folder / key).rename(folder.parent / "moved")
    (folder / key).symlink_to(folder.parent / "moved")


def link_a_file(folder, key):
    path = folder / key / "weights.safetensors"
    path.rename(folder.parent / "weights")
    path.symlink_to(folder.parent / "weights")


def link_predictions(folder, key):
    (folder / key / "predictions").rename(folder.parent / "predictions")
    (folder / key / "predictions").symlink_to(folder.parent / "predictions")


def fifo(folder, key):
    (folder / key / "log.txt").unlink(missing_ok=True)
    os.mkfifo(folder / key / "log.txt")


def name_outside(folder, key):
    edit(folder / key / "result.json", lambda of: of["files"].update({"../../evil": "0" * 64}))


def key_of_another(folder, key):
    (folder / key).rename(folder / ("0" * 16))


@pytest.mark.parametrize("harm", [link_a_folder, link_a_file, link_predictions, fifo, name_outside, key_of_another])
def test_what_an_import_cannot_do(harm, store, tmp_path, ask):
    out = tmp_path / "row"
    assert ask("export", "fer28_emotiw/alexnet/0", f"out={out}")[0] == 0
    harm(out, keys(out, "emotiw")[0])
    code, printed, error = ask("import", out, store=tmp_path / "new")
    assert code == 1 and "not taken" in printed and error.count("\n") == 1 and "Traceback" not in error
    assert len(keys(tmp_path / "new")) == 1 and not list((tmp_path / "new" / "submissions").glob("*"))
    assert not (tmp_path / "evil").exists()


# Mistakes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["shwo", "a"], "but got 'shwo'. Did you mean 'show'?"),
        (["show"], "Expected fer-store show KEY, but got 0 words"),
        (["list", "a"], "Expected fer-store list, but got 1 words after list: a."),
        (["merge"], "Expected fer-store merge OTHER..., but got 0 words"),
        (["import", "a", "b"], "Expected fer-store import FOLDER, but got 2 words"),
        (["list", "stoer=x"], "There is no setting stoer of fer-store list, which knows store. Did you mean 'store'?"),
        (["list", "yes=true"], "There is no setting yes of fer-store list"),
        (["prune", "yes=maybe"], "Expected yes to be true or false, but got 'maybe'."),
        (["prune", "hours=nan"], "Expected hours to be a number of at least 0, but got 'nan'."),
        (["list", "--store"], "There is no option --store."),
        (["export", "fer28"], "fer-store export fer28 out=FOLDER, but got no out."),
        (["show", "zzz"], "There is no stage 'zzz' in"),
        (["show", ""], "There is no stage '' in"),
        (["merge", "nowhere"], "Expected a store in nowhere, but there is no such folder."),
        (["yes=true"], "but got settings only"),
    ],
)
def test_a_mistake_is_one_line(words, message, store, ask):
    code, printed, error = ask(*words)
    assert (code, printed) == (1, "") and message in error and error.count("\n") == 1


def test_two_beginnings_are_told(tmp_path, ask):
    for seed in range(17):
        add_trained(tmp_path / "store", "emotiw", seed, splits=("emotiw/Test",))
    first = [key[0] for key in keys(tmp_path / "store")]
    twice = next(digit for digit in first if first.count(digit) > 1)
    code, _, error = ask("show", twice)
    assert code == 1 and f"{first.count(twice)} begin with '{twice}'" in error


def test_what_is_no_store_is_told(tmp_path, ask, elsewhere):
    assert "there is no such folder" in ask("list")[2] and not (tmp_path / "store").exists()
    (elsewhere / "a.txt").write_text("")
    assert "but it holds a.txt (1 in all)" in ask("verify", store=elsewhere)[2]
    assert "but it holds a.txt" in ask("merge", elsewhere, store=tmp_path / "new")[2]
    assert "but there is a file" in ask("list", store=elsewhere / "a.txt")[2]


def test_a_newer_store_and_the_same_one_are_refused(store, tmp_path, ask):
    assert "Expected another store than" in ask("merge", store)[2]
    shutil.copytree(store, tmp_path / "other")
    write_document(store / "store.json", {"version": 99})
    for words in (["list"], ["verify"], ["prune", "yes=true"], ["merge", tmp_path / "other"]):
        code, _, error = ask(*words)
        assert code == 1 and "a newer version of fer_transfer" in error
    assert "a newer version of fer_transfer" in ask("import", store, store=tmp_path / "new")[2]


def test_a_store_that_cannot_be_written_is_one_line(store, tmp_path, ask):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".work").write_text("in the way")
    (tmp_path / "new" / "submissions").mkdir()
    code, _, error = ask("merge", store, store=tmp_path / "new")
    assert code == 1 and "Cannot write the store" in error and error.count("\n") == 1


def test_names_that_act_on_a_terminal_are_shown(store, ask):
    for name in keys(store):
        edit(store / name / "result.json", lambda of: of["lineage"]["stages"][-1].update(name="a\x1b[2Jb\nc"))
    for words in (["list"], ["show", keys(store)[0]]):
        assert "\x1b" not in ask(*words)[1]


def test_help_fits_a_terminal_and_names_every_verb(command):
    code, printed, _ = command("store", "--help")
    assert code == 0 and max(map(len, printed.splitlines())) <= 80
    verbs = "list", "show", "verify", "why", "prune", "merge", "export", "import"
    assert all(re.search(rf"^  (fer-store )?{verb} ", printed, re.MULTILINE) for verb in verbs)
    assert command("store")[:2] == (0, printed)


def test_looking_needs_no_torch(store):
    code = (
        "import sys; sys.argv = ['', {words}, 'store={store}']; from fer_transfer.cli.store import main; main();"
        "heavy = {{'torch', 'timm', 'pytorch_lightning', 'cv2', 'hydra', 'numpy'}} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or None)"
    )
    for words in ("'list'", "'verify'", "'prune'"):
        line = [sys.executable, "-c", code.format(words=words, store=store)]
        done = subprocess.run(line, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
