"""What a row inherited with its initial weights stands under its table."""

from fake_store import DIGESTS, add_row, used

from fer_transfer.cli.report import report
from fer_transfer.settings import compose
from fer_transfer.stages.lineage import Lineage, StageLineage


def from_file(plan, *made_by, seed=0):
    """Lineage of a plan of one stage that started from another command's weights."""
    lineage = Lineage("fer.safetensors", None)
    for number, part in enumerate((*made_by, plan)):
        recipe = {"seed": seed + number if number < len(made_by) else 0, "keep": "last"}
        key = f"{'file' if number < len(made_by) else 'own'}{part}{seed}"
        lineage = lineage.then(StageLineage(f"{part}_stage", key, "none", recipe, used(part, DIGESTS)))
    return {"lineage": lineage, "seeds": (0,)}


def notes(tmp_path):
    report(compose("report", [f"store={tmp_path}", f"out={tmp_path / 'report'}", "published=false"]))
    lines = (tmp_path / "report" / "table.md").read_text().splitlines()
    return [line for line in lines if line.startswith("- Initial weights")]


def test_stages_of_a_weights_file_are_said_once(tmp_path):
    for plan in ("emotiw", "fer28"):
        add_row(tmp_path, plan, 0.5, **from_file(plan, "fer32"))
    assert notes(tmp_path) == [
        "- Initial weights were made by stage fer32_stage (fer2013: Training, PublicTest) with seed 0."
    ]


def test_plans_are_named_where_they_started_from_different_files(tmp_path):
    add_row(tmp_path, "emotiw", 0.5, **from_file("emotiw", "fer28", "fer32+emotiw", seed=3))
    add_row(tmp_path, "fer32", 0.5, **from_file("fer32", "fer28", seed=5))
    add_row(tmp_path, "fer28", 0.5)
    assert notes(tmp_path) == [
        "- Initial weights of emotiw were made by stages fer28_stage (fer2013: Training), fer32+emotiw_stage "
        "(fer2013: Training, PublicTest; emotiw: Train) with seeds 3, 4.",
        "- Initial weights of fer32 were made by stage fer28_stage (fer2013: Training) with seed 5.",
    ]


def test_a_plans_own_stages_are_no_inheritance(tmp_path):
    add_row(tmp_path, "fer28_emotiw", 0.5)
    assert notes(tmp_path) == []


def test_tables_of_one_backbone_say_in_what_their_settings_differ(tmp_path):
    said = {"epochs": 4, "batch_size": 64, "optimizer.lr": 0.001}
    of = [said, said | {"optimizer.lr": 0.01}, said | {"optimizer.lr": 0.1, "imbalance.focal": 2.0}]
    for number, settings in enumerate(of):
        add_row(tmp_path, "emotiw", 0.5, settings_ids=(f"{number}" * 16,), settings=settings)
    add_row(
        tmp_path, "fer28", 0.5, settings_ids=("0" * 16,), settings=said | {"epochs": 9}
    )  # the others have no such row
    add_row(tmp_path, "emotiw", 0.5, backbone="resnet18", settings=said | {"epochs": 30})
    report(compose("report", [f"store={tmp_path}", f"out={tmp_path / 'report'}", "published=false"]))
    lines = (tmp_path / "report" / "table.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("- Of the tables")] == [
        "- Of the tables of mobilenetv2_100 this one has optimizer.lr 0.001.",
        "- Of the tables of mobilenetv2_100 this one has optimizer.lr 0.01.",
        "- Of the tables of mobilenetv2_100 this one has optimizer.lr 0.1, imbalance.focal 2.0.",
    ]
    page = (tmp_path / "report" / "report.html").read_text()
    assert "this one has optimizer.lr 0.01." in page and "settings 11111111: optimizer.lr 0.01" in page


def test_of_many_settings_the_first_are_said(tmp_path):
    for number in range(2):
        settings = {f"setting{i}": number for i in range(9)}
        add_row(tmp_path, "emotiw", 0.5, settings_ids=(f"{number}" * 16,), settings=settings)
    report(compose("report", [f"store={tmp_path}", f"out={tmp_path / 'report'}", "published=false"]))
    text = (tmp_path / "report" / "table.md").read_text()
    assert "this one has setting0 1, setting1 1, setting2 1, setting3 1, setting4 1, setting5 1 and 3 others." in text


def test_the_table_with_the_settings_of_most_says_so(tmp_path):
    for number, rate in enumerate((0.001, 0.001, 0.1)):
        settings = {"epochs": 4, "optimizer.lr": rate}
        add_row(tmp_path, "emotiw", 0.5, settings_ids=(f"{number}" * 16,), settings=settings)
    report(compose("report", [f"store={tmp_path}", f"out={tmp_path / 'report'}", "published=false"]))
    lines = [
        line
        for line in (tmp_path / "report" / "table.md").read_text().splitlines()
        if line.startswith("- Of the tables")
    ]
    assert [line.partition("this one has ")[2] for line in lines] == ["the settings of most."] * 2 + [
        "optimizer.lr 0.1."
    ]


def test_tables_that_differ_in_their_faces_alone_say_nothing_of_settings(tmp_path):
    for digest in ("d", "e"):
        add_row(tmp_path, "emotiw", 0.5, digests={**DIGESTS, "emotiw": digest * 64})
    report(compose("report", [f"store={tmp_path}", f"out={tmp_path / 'report'}", "published=false"]))
    text = (tmp_path / "report" / "table.md").read_text()
    assert "emotiw dddddddd" in text and "emotiw eeeeeeee" in text
    assert "Of the tables of" not in text


def test_faces_that_one_table_alone_has_are_no_setting_of_it(tmp_path):
    for number, (rate, splits) in enumerate(((0.001, ("emotiw/Val",)), (0.01, ("emotiw/Val", "fer2013/PrivateTest")))):
        settings = {"epochs": 4, "optimizer.lr": rate}
        add_row(tmp_path, "emotiw", 0.5, settings_ids=(f"{number}" * 16,), settings=settings, splits=splits)
    report(compose("report", [f"store={tmp_path}", f"out={tmp_path / 'report'}", "published=false"]))
    lines = [
        line
        for line in (tmp_path / "report" / "table.md").read_text().splitlines()
        if line.startswith("- Of the tables")
    ]
    assert [line.partition("this one has ")[2] for line in lines] == ["optimizer.lr 0.001.", "optimizer.lr 0.01."]


def test_plans_of_other_names_are_no_other_settings(tmp_path):
    """Tables of other crops, whose rows have names of their own."""
    for crop, names in (("d", ("emotiw_one", "emotiw_two")), ("e", ("emotiw_three", "emotiw_four"))):
        for name, rate in zip(names, (0.1, 0.2), strict=True):
            settings, digests = {"epochs": 4, "optimizer.lr": rate}, {**DIGESTS, "emotiw": crop * 64}
            add_row(tmp_path, name, 0.5, digests=digests, settings=settings)
    report(compose("report", [f"store={tmp_path}", f"out={tmp_path / 'report'}", "published=false"]))
    text = (tmp_path / "report" / "table.md").read_text()
    assert "emotiw_one" in text and "emotiw_four" in text and "Of the tables of" not in text
