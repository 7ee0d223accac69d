"""The wheel carries its configurations and works away from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KINDS = (".py", ".yaml", ".csv", ".html", ".css", ".js")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="needs hatchling, the build backend: pip install -e '.[dev]'")
    out = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(out), str(ROOT)]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("fer_transfer-*.whl")
    return path


def test_it_holds_the_package_every_configuration_and_the_papers_numbers(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        csv = archive.read("fer_transfer/conf/study/ng2015.csv")
    for folder, inside in ((ROOT / "conf", "fer_transfer/conf"), (ROOT / "fer_transfer", "fer_transfer")):
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in KINDS]
        assert len(files) > 40 and {f"{inside}/{name}" for name in files} <= names
    assert "fer_transfer/conf/train.yaml" in names
    assert csv == (ROOT / "conf" / "study" / "ng2015.csv").read_bytes()
    tops = {name.split("/")[0].removesuffix(".dist-info").split("-")[0] for name in names}
    assert tops == {"fer_transfer", "hydra_plugins"}  # neither tests nor data


def test_its_commands_work_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site, cwd = tmp_path / "site", tmp_path / "cwd"
    cwd.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = (
        "import pathlib, sys, fer_transfer.config as c\n"
        "site = pathlib.Path(sys.argv.pop(1))\n"
        "assert c.conf_dir() == site / 'fer_transfer' / 'conf', c.conf_dir()\n"
        "from fer_transfer.cli.{0} import main\n"
        "main()"
    )
    for command, expected in (
        ("train", "name: fer28_emotiw"),
        ("prepare", "_target_: fer_transfer.releases"),
        ("report", "level:"),
    ):
        arguments = ["--cfg", "job", *(["submission=sub3"] if command == "train" else [])]
        run = [sys.executable, "-c", code.format(command), str(site), *arguments]
        environment = os.environ | {"PYTHONPATH": str(site)}
        done = subprocess.run(run, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and expected in done.stdout, done.stderr
    assert not list(cwd.iterdir())
