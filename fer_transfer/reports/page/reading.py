"""How to read the page: what the numbers are, and the rules that verdicts go by."""

from fer_transfer.reports.cells import level_text
from fer_transfer.reports.page.blocks import Points, Section
from fer_transfer.reports.report import Report


def section(report: Report) -> Section:
    """A list."""
    level = level_text(report.level)
    items = (
        f"Every number of ours is computed from kept predictions, one line a face. Intervals are at {level}.",
        "An accuracy's interval is Wilson's over faces. With several seeds it is that of the mean over the faces of one seed: "
        "the seeds answer the same faces, so more seeds make the mean surer, not the faces more.",
        "The standard deviation beside a mean (±) is over seeds.",
        "Found faces are those that the detector found; lost faces count as wrong only where a column is over all faces.",
        f"Macro recall is the mean of the recalls of the {report.words[1]} that occur.",
        "Withheld: the owners do not give these labels. Trained on: the row has seen these faces, so there is no score.",
        "Calibration error: mean distance between how sure a row is and how often it is right, over bins of sureness.",
        "Published intervals are computed here from the counts that the published percentages give.",
    )
    return Section("reading", "How to read this", (Points(items),))
