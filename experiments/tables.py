"""Makes the tables that stand in ``experiments/*/table.md`` and in READMEs from the CSV files that ``fer-report`` wrote.

In a README a table stands between two comments; the first names the CSV's folder, the network and the beginning of the settings::

    <!-- table of experiments/demo: test_resnet d19a77f8 -->
    <!-- end of table -->

``experiments/README.md`` has one of all headline numbers beside published ones: ``headlines.csv`` says which, the CSV files and
reports of the folders what they are.

::

    python experiments/tables.py            # writes what is stale
    python experiments/tables.py --check    # names it, and ends with 1
"""

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from fer_transfer.config import plain
from fer_transfer.published import Published, read_rows
from fer_transfer.reports.cells import (
    between,
    caveat_line,
    marked,
    published_counted,
    published_interval,
    published_row,
    published_text,
)
from fer_transfer.reports.markdown import escape_markdown, table_lines, to_markdown
from fer_transfer.reports.table import Column, Table, table_of
from fer_transfer.settings import compose
from fer_transfer.study import Study, published_rows, study_called, study_from

ROOT = Path(__file__).resolve().parents[1]

#: Files in which tables stand between comments.
READMES = (
    "README.md",
    "experiments/demo/README.md",
    "experiments/sfew_like/README.md",
    "experiments/paper_cpu/README.md",
    "experiments/geometry/README.md",
    "experiments/best_fer2013/README.md",
    "experiments/best_sfew_like/README.md",
    "experiments/ferplus/README.md",
)

HEADLINES = ROOT / "experiments" / "README.md"

_HEADLINES = re.compile(r"(<!-- headline numbers -->\n).*?(<!-- end of table -->)", re.DOTALL)
_BLOCK = re.compile(r"(<!-- table of (\S+): (\S+) (\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)

Line = dict[str, str]


def contents() -> Iterator[tuple[Path, str]]:
    """Every file that holds tables, with what it should hold."""
    study = study_from(plain(compose("report").study))
    for results in sorted(ROOT.glob("experiments/*/results.csv")):
        yield results.with_name("table.md"), _table_file(results.parent, _own_study(results.parent) or study)
    for name in READMES:
        path = ROOT / name
        yield path, _BLOCK.sub(lambda match: _block(match, study), path.read_text(encoding="utf-8"))
    lines = "\n".join(_headlines(_read(ROOT / "experiments" / "headlines.csv")))
    text = HEADLINES.read_text(encoding="utf-8")
    yield HEADLINES, _HEADLINES.sub(lambda match: f"{match.group(1)}{lines}\n{match.group(2)}", text)


def stale() -> list[Path]:
    """Files that hold something else than the CSV files say."""
    return [path for path, text in contents() if not path.exists() or path.read_text(encoding="utf-8") != text]


def _own_study(folder: Path) -> Study | None:
    """The study of a folder of experiments that has one; of the others it is the paper's."""
    return next(map(study_called, sorted(folder.glob("conf/study/*.yaml"))), None)


def _table_file(folder: Path, study: Study) -> str:
    tables = []
    for key, lines in _by_group(folder / "results.csv").items():
        tables.append(_plans(key, lines, study))
        tables += _claims(folder / "claims.csv", key)
    head = f"# Tables of `{folder.name}`\n\nMade from `results.csv` and `claims.csv` by `experiments/tables.py`.\n\n"
    return head + to_markdown(tables)


def _block(match: re.Match[str], study: Study) -> str:
    folder, backbone, settings = match.group(2, 3, 4)
    groups = _by_group(ROOT / folder / "results.csv")
    [key] = [key for key in groups if key[0] == backbone and key[1].startswith(settings)]
    table = _plans(key, groups[key], _own_study(ROOT / folder) or study)
    body = "\n".join([f"**{escape_markdown(caveat_line(table.caveats))}**", "", *table_lines(table), "", *table.legend])
    return f"{match.group(1)}{body}\n{match.group(5)}"


def _read(path: Path) -> list[Line]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _by_group(path: Path) -> dict[tuple[str, str], list[Line]]:
    """Lines of plans that ran, by network and settings."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in _read(path):
        if line["status"] not in ("not run", "no predictions"):
            groups.setdefault((line["backbone"], line["settings_id"]), []).append(line)
    return groups


def _plans(key: tuple[str, str], lines: list[Line], study: Study) -> Table:
    """One line a plan: the paper's numbers, then ours on each column of the study."""
    backbone, settings = key
    plans = list(dict.fromkeys(line["plan"] for line in lines))
    by_place = {(line["plan"], line["split"], line["over"]): line for line in lines}

    def ours(split: str, over: str) -> list[Line]:
        return [by_place.get((plan, split, over), {}) for plan in plans]

    first = ours(study.first.split, study.first.over)
    columns = [
        Column("Plan", tuple(plans), numbers=False),
        *_papers(backbone, plans, study),
        Column(f"{study.first.heading}, {study.first.over}\nours", tuple(map(_percent, first))),
        Column("95 % interval\nours", tuple(map(_interval, first))),
        Column("k/n\nours", tuple(map(_counted, first))),
        Column("Seeds\nours", tuple(str(len(line["seeds"].split())) for line in first)),
        Column("Macro\nours", tuple(map(_macro, first))),
    ]
    for column in study.reported[1:]:
        found = ours(column.split, column.over)
        same = column.split == study.first.split and [line.get("k") for line in found] == [
            line.get("k") for line in first
        ]
        if any(line.get("percent") for line in found) and not same:  # the same: no face was lost
            over = ", all" if column.split == study.first.split else ""
            columns.append(Column(f"{column.heading}{over}\nours", tuple(map(_percent, found))))
    caveats = tuple(dict.fromkeys(line["caveats"] for line in lines))
    legend = (
        "Percent; over several seeds mean ± standard deviation, Wilson's interval that of the mean, k by seed. Macro: mean "
        "recall of the expressions."
    )
    return Table(
        f"{backbone}-{settings}", f"{backbone}, settings {settings[:8]}", caveats, tuple(columns), legend=(legend,)
    )


def _papers(backbone: str, plans: list[str], study: Study) -> Iterator[Column]:
    published, column = published_rows(study), study.first.published or ""
    for network, name in study.networks.items():
        if network == backbone or backbone not in study.networks:
            rows = [published_row(published, network, plan.partition("#")[0]) for plan in plans]
            yield Column(f"{name}\npaper", tuple(published_text(row.numbers[column] if row else None) for row in rows))


def _percent(line: Line) -> str:
    if not line.get("percent"):
        return line.get("status", "-")
    return marked(_pair(line, "percent", "sd"), "†" if line["selected_on_split"] == "yes" else "")


def _macro(line: Line) -> str:
    return marked(_pair(line, "macro_recall", "macro_recall_sd"), "") if line.get("macro_recall") else "-"


def _pair(line: Line, mean: str, spread: str) -> tuple[float, float]:
    return float(line[mean]), float(line[spread] or "nan")


def _interval(line: Line) -> str:
    return between((float(line["low"]), float(line["high"]))) if line.get("percent") else ""


def _counted(line: Line) -> str:
    return f"{line['k'].replace(' ', ', ')}/{line['n'].split()[-1]}" if line.get("percent") else ""


def _claims(path: Path, key: tuple[str, str]) -> list[Table]:
    """The verdicts as they were written; the file says by which rule, where it names one."""
    lines = [line for line in _read(path) if (line["backbone"], line["settings_id"]) == key and line["p"]]
    if not lines:
        return []
    corrected = "p_holm" in lines[0]
    rows = [
        (
            line["claim"],
            f"{line['better']} > {line['worse']}",
            _points(line),
            f"{float(line['p_holm' if corrected else 'p']):.2g}",
            line["verdict"],
        )
        for line in lines
    ]
    rule = (
        "p corrected over the study's claims (Holm); one seed tells of the images only."
        if corrected
        else "Written before p was corrected for several claims and knew of seeds: McNemar's exact test of the first common "
        "seed, and every common seed agrees in sign. Another seed may turn a verdict."
    )
    headings = ("Claim", "Better > worse", "Points, by seed", "p", "Verdict")
    return [
        Table(
            f"claims-{key[0]}",
            f"Claims: {key[0]}, settings {key[1][:8]}",
            (lines[0]["caveats"],),
            table_of(rows, headings, (0, 1, 4)),
            legend=(rule,),
        )
    ]


def _points(line: Line) -> str:
    return ", ".join(f"{float(value):+.1f}" for value in line["points"].split())


def _headlines(lines: list[Line]) -> Iterator[str]:
    """The table of headline numbers, and where the published ones stand."""
    ours = [_found(line) for line in lines]
    published = [_beside(line) for line in lines]
    spent = [_spent(line, found) for line, found in zip(lines, ours, strict=True)]
    columns = [
        Column("Number", tuple(line["what"] for line in lines), numbers=False),
        Column("What it is not", tuple(map(_label, lines, ours)), numbers=False),
        Column("Ours", tuple(map(_percent, ours))),
        Column("95 % interval", tuple(map(_interval, ours))),
        Column("k/n", tuple(map(_counted, ours))),
        Column("Seeds", tuple(str(len(line["seeds"].split())) if line.get("percent") else "" for line in ours)),
        Column("Best credible published", tuple(_named(row) for row, _ in published), numbers=False),
        Column("Percent", tuple(_shown(row, prefix) for row, prefix in published)),
        Column("Hours", tuple(hours for hours, _ in spent)),
        Column("Hardware", tuple(hardware for _, hardware in spent), numbers=False),
        Column("Folder", tuple(line["folder"] for line in lines), numbers=False),
    ]
    yield from table_lines(Table("headlines", "Headline numbers", (), tuple(columns)))
    sources = dict.fromkeys(f"{_named(row)}: {row.source}." for row, _ in published if row)
    yield from ("", "Published, where it stands:", "", *(f"- {escape_markdown(source)}" for source in sources))


def _found(line: Line) -> Line:
    """The line of a folder's results that a headline is about, or what says that it was not run."""
    path = ROOT / "experiments" / line["folder"] / "results.csv"
    of = ("backbone", "plan", "split", "over")
    for found in _read(path) if path.exists() else []:
        if all(found[name] == line[name] for name in of) and found["settings_id"].startswith(line["settings"]):
            return found
    return {"status": "not run"}


def _label(line: Line, found: Line) -> str:
    """What is shortened or stands in, as the row says it and as is known besides."""
    caveats = found.get("caveats", "").split("; ")
    if "emotiw" not in f"{line['plan']} {line['split']}":  # of the other rows of its group
        caveats = [caveat for caveat in caveats if not caveat.startswith("emotiw: ")]
    return caveat_line([*filter(None, caveats), *filter(None, [line["label"]])])


def _beside(line: Line) -> tuple[Published | None, str]:
    """The published row, and the beginning of the columns of its number."""
    if not line["published"]:
        return None, ""
    path, backbone, plan, prefix = line["published"].split()
    row = published_row(read_rows(str(ROOT / path), [prefix], path), backbone, plan)
    assert row, f"headlines.csv names {backbone} {plan}, which {path} has not"
    return row, prefix


def _named(row: Published | None) -> str:
    return row.architecture if row else "none"


def _shown(row: Published | None, prefix: str) -> str:
    numbers = row.numbers[prefix] if row else (None, None, None)
    counted = " ".join(filter(None, (published_interval(numbers, 0.95), published_counted(numbers))))
    return f"{published_text(numbers)} {counted}".strip()


def _spent(line: Line, found: Line) -> tuple[str, str]:
    """Hours of training and hardware: as the folder's report says it of all stages of these settings, else as is written down."""
    path = ROOT / "experiments" / line["folder"] / "report.md"
    if "settings_id" not in found or line["hours"] or not path.exists():
        return line["hours"], line["hardware"]
    title = f"## {found['backbone']}, settings {found['settings_id'][:8]}\n"
    _, _, section = path.read_text(encoding="utf-8").partition(title)
    match = re.search(r"^- Device: (.+)\. Training time: ([\d.]+) h for (.+)\.$", section, re.MULTILINE)
    assert match, f"{path} says of {title!r} neither device nor hours"
    return f"{match.group(2)} ({match.group(3)})", match.group(1).replace(" 1 threads", " 1 thread")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 where something is stale")
    check = parser.parse_args().check
    old = stale()
    if not check:
        for path, text in contents():
            path.write_text(text, encoding="utf-8")
    for path in old:
        print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}")
    sys.exit(1 if check and old else 0)


if __name__ == "__main__":
    main()
