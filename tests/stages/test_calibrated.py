"""The temperature beside a stage's weights: fitted when it is predicted, used by predict, and missed by nobody."""

import shutil

import pytest

import fer_transfer
from fer_transfer.config import plain
from fer_transfer.evaluation.predictions import Predictions
from fer_transfer.evaluation.temperature import fit_temperature
from fer_transfer.files.document import read_document, write_document
from fer_transfer.reports.page import calibration
from fer_transfer.reports.report import load_report
from fer_transfer.settings import compose
from fer_transfer.study import study_from
from fer_transfer.upkeep.contents import contents, open_store
from fer_transfer.upkeep.verifying import problems

ROW = "emotiw/test_resnet"


@pytest.fixture
def store(trained, tmp_path):
    return shutil.copytree(trained.store, tmp_path / "store")


def kept_of(store):
    """The record of a row at one seed, and the file of its temperature."""
    record = next(of for row in fer_transfer.open_store(store).rows() if row.name == ROW for of in row.records)
    return record, store / record.lineage.stages[-1].key / "temperature.json"


def used(store, seeds=0):
    return fer_transfer.open_store(store).load(ROW, seeds=seeds).about.temperature


def test_it_is_kept_beside_the_weights_of_every_stage(store):
    stages = {path.parent for path in store.glob("*/result.json")}
    assert len(stages) == 3 and all((stage / "temperature.json").exists() for stage in stages)
    record, path = kept_of(store)
    [scored] = [of for of in record.predictions if of.split == "Val"]
    found = Predictions.read(store / scored.file, scored.sha256).only_found()
    kept = read_document(path)
    assert kept["temperature"]["value"] == fit_temperature(found.probabilities, found.labels)
    assert (kept["temperature"]["split"], kept["temperature"]["count"]) == ("emotiw/Val", len(found))
    assert kept["csv"] == scored.sha256 and not list(problems(contents(open_store(store))))


def test_predict_uses_what_is_kept_and_fits_it_where_nothing_is(store):
    _, path = kept_of(store)
    kept = read_document(path)
    assert used(store).value == kept["temperature"]["value"]
    write_document(path, {**kept, "temperature": {**kept["temperature"], "value": 3.0}})
    assert used(store).value == 3.0
    path.write_text(path.read_text().replace("3.0", "4.0"))
    assert [str(path) in wrong for wrong in problems(contents(open_store(store)))] == [True]
    assert used(store).value == kept["temperature"]["value"], "damaged: it counts for nothing"
    write_document(path, {**kept, "csv": "0" * 64, "temperature": {**kept["temperature"], "value": 3.0}})
    assert used(store).value == kept["temperature"]["value"], "of other predictions"
    path.unlink()
    assert used(store).value == kept["temperature"]["value"], "a store of before it was kept"
    assert used(store, "all").value != kept["temperature"]["value"], "the mean of two networks has its own"


def test_fer_train_writes_it_where_it_is_missing(store, trained):
    _, path = kept_of(store)
    before = path.read_bytes()
    path.unlink()
    fer_transfer.train(["plan=emotiw", *trained.overrides, f"runtime.store={store}"])
    assert path.read_bytes() == before


def test_the_page_shows_it(store):
    report = load_report(store, study_from(plain(compose("report").study)), 0.95)
    section = calibration.section(report)
    beside, *notes = section.blocks
    [figure] = [of for of in beside.blocks if ROW.partition("/")[0] in of.caption and "emotiw" in of.caption]
    values = [
        f"{read_document(store / row.last_stages[0] / 'temperature.json')['temperature']['value']:.2f}"
        for row in report.groups[0].of("emotiw")
    ]
    assert f"Calibrated (temperatures {', '.join(values)}): " in figure.caption
    assert {value["whose"] for value in figure.data["bins"]} == {"as given", "calibrated"}
    said = " ".join(note.text for note in notes)
    assert (
        "emotiw/Val" in said
        and "would flatter" in said
        and "the other half" in said
        and "changes no expression" in said
    )
