"""The runtime: where and how a stage is computed, which must not change what is computed."""

import ctypes
import platform
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torch

import fer_transfer
from fer_transfer.config import nearest
from fer_transfer.errors import ConfigError


@dataclass
class Runtime:
    """Never hashed.

    Attributes:
        store: folder of finished stages.
        faces: folder of prepared faces by the word that plans use for them.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: CPU threads, or null for all.
        channels_last: keep pictures in channels_last memory format, the faster one on CPUs and tensor cores.
        tune_malloc: let the C library keep freed memory instead of giving each big buffer back (Linux).
        checkpoint_minutes: of work within an epoch that an interruption without a signal may cost.
        progress: ``lines`` (one an epoch), ``bar`` (and a bar below), ``none``, or ``auto``: a bar on a terminal.
        stop_file: as soon as this file is there, work stops as by SIGTERM, or None.
    """

    store: str = "store"
    faces: dict[str, str] = field(default_factory=dict)
    device: str = "auto"
    threads: int | None = None
    channels_last: bool = True
    tune_malloc: bool = True
    checkpoint_minutes: float = 10.0
    progress: str = "auto"
    stop_file: str | None = None

    def __post_init__(self) -> None:
        if self.progress not in ("auto", "bar", "lines", "none"):
            raise ConfigError(f"Expected runtime.progress to be auto, bar, lines or none, but got {self.progress!r}.")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"Expected runtime.threads to be at least 1 or null, but got {self.threads}.")
        if not self.checkpoint_minutes >= 0:
            raise ConfigError(f"Expected runtime.checkpoint_minutes >= 0, but got {self.checkpoint_minutes}.")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"Expected runtime.device to be auto, cpu or cuda, but got {self.device!r}.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("Expected a CUDA device for runtime.device=cuda, but torch sees none. Use auto or cpu.")

    @property
    def accelerator(self) -> str:
        """Lightning's word for the device."""
        return "gpu" if self.device != "cpu" and torch.cuda.is_available() else "cpu"

    def folder_of(self, release: str) -> Path:
        """The folder of a release's prepared faces: ``faces.<release>``, or where fer-prepare writes them by itself.

        Raises:
            ConfigError: if none is given and none is there, with what to write.
        """
        if release in self.faces:
            return Path(self.faces[release])
        default = Path("faces") / release  # out= in conf/prepare.yaml
        if not (default / "manifest.json").exists():
            raise ConfigError(
                f"Expected a folder of prepared faces for {release!r}, but runtime.faces has "
                f"{', '.join(self.faces) or 'none'} and there is none in {default}.{nearest(release, self.faces)} "
                f"Make it with fer-prepare, or say where it is: +runtime.faces.{release}={default}"
            )
        return default

    def apply(self) -> None:
        """Set what is global to the process."""
        if self.threads:
            torch.set_num_threads(self.threads)
        if self.tune_malloc and self.accelerator == "cpu":
            keep_freed_memory()

    def progress_style(self) -> str:
        """``bar``, ``lines`` or ``none``; ``auto`` resolved."""
        return ("bar" if sys.stderr.isatty() else "lines") if self.progress == "auto" else self.progress


def keep_freed_memory() -> bool:
    """Tell glibc's malloc to use no mmap and never to trim; returns whether it could be told.

    Activations of a batch are tens of megabytes each: by default every one is mapped, faulted in page by page and
    unmapped at each step. Does nothing on other C libraries.
    """
    trim_threshold, top_pad, mmap_max = -1, -2, -4  # from <malloc.h>
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    settings = ((mmap_max, 0), (trim_threshold, 2**31 - 1), (top_pad, 64 << 20))
    return all(bool(libc.mallopt(option, value)) for option, value in settings)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's, numpy's, the device's, or torch's own on a CPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def environment(accelerator: str) -> dict[str, Any]:
    """Which machine and versions made a number."""
    device = (
        torch.cuda.get_device_name() if accelerator == "gpu" else f"{_cpu_name()}, {torch.get_num_threads()} threads"
    )
    return {
        "device": device,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "fer_transfer": fer_transfer.__version__,
        "torch": torch.__version__,
        "pytorch_lightning": version("pytorch-lightning"),
        "timm": timm.__version__,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
