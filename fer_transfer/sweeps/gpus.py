"""Jobs side by side on one machine: each takes a GPU of its own, or a share of one, before CUDA is used in its process.

Slots are locked files in the system's temporary folder, so that sweeps into different stores share one machine, and a process
that is killed gives its slot back. SLURM, submitit and Ray give GPUs out themselves.
"""

import getpass
import os
import tempfile
import time
from pathlib import Path

from filelock import FileLock, Timeout

_ASKED_EVERY = 0.5  # seconds between looks for a slot

_held: FileLock | None = None


def take_gpu(gpus_per_job: float, folder: Path | None = None) -> int | None:
    """Let this process see one GPU only, until it ends; wait for one where all are taken.

    Must be called before CUDA is used in the process. A second call changes nothing.

    Args:
        gpus_per_job: share of a GPU that a process takes, above 0 and up to 1.
        folder: of the slots; by default one of the user's in the system's temporary folder.

    Returns:
        The slot, or None where there is no GPU, or it was taken before.
    """
    global _held
    import torch

    count = torch.cuda.device_count()  # asks the driver's library, not CUDA
    if _held is not None or not count:
        return None
    folder = folder or Path(tempfile.gettempdir()) / f"fer_transfer-{getpass.getuser()}" / "gpus"
    folder.mkdir(parents=True, exist_ok=True)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = visible if len(visible) == count else [str(device) for device in range(count)]
    shares = range(int(1 / gpus_per_job + 1e-9))
    slots = [(name, share) for share in shares for name in names]  # every GPU once before any twice
    slot, _held = _first_free([folder / f"{name}.{share}.lock".replace("/", "_") for name, share in slots])
    os.environ["CUDA_VISIBLE_DEVICES"] = slots[slot][0]
    return slot


def _first_free(paths: list[Path]) -> tuple[int, FileLock]:
    while True:
        for slot, path in enumerate(paths):
            lock = FileLock(path)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            return slot, lock
        time.sleep(_ASKED_EVERY)
