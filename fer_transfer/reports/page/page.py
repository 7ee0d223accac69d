"""Writes ``report.html``: draws the sections with one template, and puts style, script, charts and their library into the file.

A content security policy lets nothing be fetched and no other script run than those whose digests it names.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fer_transfer.files.names import shown_text
from fer_transfer.reports.cells import caveat_line
from fer_transfer.reports.files import write_text
from fer_transfer.reports.page import (
    calibration,
    claims,
    compare,
    confusion,
    curves,
    data_sets,
    effects,
    missing,
    reading,
    recall,
    settings,
    stages,
    summary,
    surest,
    table,
)
from fer_transfer.reports.page.blocks import Compare, Figure, Section
from fer_transfer.reports.page.charts import CONFIG
from fer_transfer.reports.report import Report

#: The sections, in the page's order.
SECTIONS: tuple[Callable[[Report], Section | None], ...] = (
    summary.section,
    table.section,
    claims.section,
    stages.section,
    curves.section,
    confusion.section,
    recall.section,
    calibration.section,
    effects.section,
    data_sets.section,
    surest.section,
    compare.section,
    settings.section,
    missing.section,
    reading.section,
)

NAME = "report.html"


def write_page(report: Report, out: Path) -> list[str]:
    """Write ``report.html`` into a folder; returns its name.

    Raises:
        StoreError: if it cannot be written.
    """
    write_text(out / NAME, page(report, [found for of in SECTIONS if (found := of(report)) is not None]))
    return [NAME]


def page(report: Report, sections: Sequence[Section]) -> str:
    """The page as text."""
    charts, pictures = _Charts(), _Pictures()
    environment = Environment(
        loader=PackageLoader("fer_transfer.reports.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.globals["after_underline"] = Markup("_<wbr>")
    environment.globals |= {"chart_of": charts.add, "picture_of": pictures.add, "compared": pictures.compared}
    template = environment.get_template("page.html")
    scripts = [_library(), _script(_read("page.js")), _script(_read("compare.js"))]
    return template.render(
        title=report.study.title,
        published=bool(report.published),
        caveats=caveat_line(report.caveats),
        sections=sections,
        style=Markup(_read("page.css")),
        scripts=[Markup(text) for text in scripts],
        policy=_policy(scripts),
        charts=lambda: Markup(_json(charts.content())),
        pictures=lambda: Markup(_json(pictures.content())),
    )


class _Charts:
    """What the page's charts are drawn from: each specification once, and the data of every figure."""

    def __init__(self) -> None:
        self._specs: dict[str, int] = {}
        self._figures: list[dict[str, Any]] = []

    def add(self, figure: Figure) -> int:
        """Number of a figure."""
        spec = self._specs.setdefault(_json(figure.chart), len(self._specs))
        self._figures.append({"spec": spec, "data": _printed(figure.data)})
        return len(self._figures) - 1

    def content(self) -> dict[str, Any]:
        """Plain data."""
        return {"specs": [_compiled(spec) for spec in self._specs], "figures": self._figures}


class _Pictures:
    """The page's small pictures, each once."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}

    def add(self, picture: bytes) -> int:
        """Number of a picture."""
        return self._numbers.setdefault(picture, len(self._numbers))

    def compared(self, of: Compare) -> Markup:
        """What a comparison counts from, with the numbers of its pictures, as JSON."""
        numbers = [{place: self.add(picture) for place, picture in pictures.items()} for pictures in of.pictures]
        return Markup(_json({**of.content, "pictures": numbers}))

    def content(self) -> list[str]:
        """WebP in base 64, in the order of the numbers."""
        return [base64.b64encode(picture).decode() for picture in self._numbers]


@cache
def _compiled(spec: str) -> dict[str, Any]:
    """What Vega draws: compiled here once, so that no reader's browser has to."""
    vega: dict[str, Any] = vl_convert.vegalite_to_vega(spec, config=dict(CONFIG))
    return vega


def _printable(value: object) -> object:
    """Names may hold what cannot be written, such as lone surrogates, or what hides other text."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else shown_text(value)


def _printed(data: Any) -> Any:
    """The data of a figure, its texts printable: a chart is drawn without the template that sees to it elsewhere."""
    if isinstance(data, dict):
        return {name: _printed(value) for name, value in data.items()}
    return [_printed(value) for value in data] if isinstance(data, list | tuple) else _printable(data)


@cache
def _library() -> str:
    """Vega with vega-embed, as a script. Made in seconds, so once a process."""
    return _script(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _read(name: str) -> str:
    return files("fer_transfer.reports.page").joinpath("templates", name).read_text(encoding="utf-8")


def _script(text: str) -> str:
    return text.replace("</script", "<\\/script").strip()


def _policy(scripts: Sequence[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    nothing = "default-src 'none'; base-uri 'none'; form-action 'none'"
    return f"{nothing}; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


def _json(content: Any) -> str:
    """JSON that no markup can end."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
