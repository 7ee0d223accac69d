"""Two workers of joblib's leave what one process leaves."""

import pytest
from clusters import content, start, undisturbed

pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra: pip install -e '.[joblib]'")


def test_two_workers_leave_what_one_process_leaves(tiny, tmp_path):
    rows = [*tiny, "recipe.epochs=1", "plan=emotiw,fer28_emotiw"]
    process = start(tmp_path, "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "runtime.threads=1", *rows)
    err = process.communicate(timeout=120)[1]
    assert process.returncode == 0 and not err, err
    found = content(tmp_path / "store")
    assert len([path for path in found if "weights" in path]) == 3
    reference = undisturbed(tmp_path, *rows, f"runtime.store={tmp_path / 'reference'}")
    assert found == reference
