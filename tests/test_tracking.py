"""wandb keeps its runs where it is told, and leaves nothing elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

_ONE_RUN = """
import sys
from pathlib import Path
from fer_transfer.tracking import StageLogger
logger = StageLogger(save_dir=sys.argv[1], offline=True, settings={"silent": True, "console": "off"})
logger.log_metrics({"accuracy": 0.5})
logger.finalize("success")
print(*Path(sys.argv[2]).glob("wandb-*"))
"""


def test_nothing_is_left_in_the_temporary_directory(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    environment.pop("WANDB_SERVICE", None)  # of this process, where other tests have started one
    done = subprocess.run(
        [sys.executable, "-c", _ONE_RUN, str(tmp_path / "store"), str(temporary)],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0 and "wandb-" in done.stdout, done.stderr  # there it was
    assert list((tmp_path / "store" / "wandb").glob("offline-run-*"))
    assert not list(temporary.glob("wandb*"))
