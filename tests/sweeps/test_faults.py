"""The short form of ``make faults``: a kill of the process that launches two workers, who must not outlive it."""

import faults
import pytest

pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra: pip install -e '.[joblib]'")


@pytest.mark.long
def test_killed_at_random_it_ends_as_if_nothing_had_happened(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert faults.run(tmp_path, kills=1, seed=6, plans=("emotiw", "fer28"), epochs=3, forked=True) == 0
