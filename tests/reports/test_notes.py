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
