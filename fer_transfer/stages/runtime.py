"""The runtime: where and how a stage is computed, which must not change what is computed."""

import ctypes
import os
import platform
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fer_transfer
from fer_transfer.config import nearest
from fer_transfer.errors import ConfigError
from fer_transfer.ranks import Ranks, ranks, torchrun

if TYPE_CHECKING:  # it takes seconds to import, and mistakes need not wait
    import torch

_CHOICES = {"progress": ("auto", "bar", "lines", "none"), "device": ("auto", "cpu", "cuda", "mps")}


@dataclass
class Runtime:
    """Never hashed.

    Attributes:
        store: folder of finished stages.
        faces: folder of prepared faces by the word that plans use for them.
        device: ``auto`` (a CUDA device, else the CPU), ``cpu``, ``cuda``, or ``mps``: Apple's GPU.
        devices: that train one stage together, each with a process that torchrun starts; 1 leaves it to torchrun.
        threads: CPU threads, or null for those that SLURM or Ray gives this job, otherwise all.
        gpus_per_job: share of a GPU that a job takes where several run side by side on one machine.
        deterministic: compute by torch's deterministic algorithms alone: on CUDA, one stage then comes to the same bits each time
            on the same card, driver and versions. On the CPU it does without.
        channels_last: keep pictures in channels_last memory format, the faster one on CPUs and tensor cores.
        tune_malloc: let the C library keep freed memory instead of giving each big buffer back (Linux).
        checkpoint_minutes: of work within an epoch that an interruption without a signal may cost.
        progress: ``lines`` (one an epoch), ``bar`` (and a bar below), ``none``, or ``auto``: a bar on a terminal.
        stop_file: as soon as this file is there, work stops as by SIGTERM, or None.
    """

    store: str = "store"
    faces: dict[str, str] = field(default_factory=dict)
    device: str = "auto"
    devices: int = 1
    threads: int | None = None
    gpus_per_job: float = 1.0
    deterministic: bool = False
    channels_last: bool = True
    tune_malloc: bool = True
    checkpoint_minutes: float = 10.0
    progress: str = "auto"
    stop_file: str | None = None

    def __post_init__(self) -> None:
        for key, known in _CHOICES.items():
            if (given := getattr(self, key)) not in known:
                expected = f"{', '.join(known[:-1])} or {known[-1]}"
                raise ConfigError(f"Expected runtime.{key} to be {expected}, but got {given!r}.{nearest(given, known)}")
        if self.threads is not None and self.threads < 1:
            raise ConfigError(f"Expected runtime.threads to be at least 1 or null, but got {self.threads}.")
        if not 0 < self.gpus_per_job <= 1:
            raise ConfigError(f"Expected runtime.gpus_per_job above 0 and up to 1, but got {self.gpus_per_job}.")
        if not self.checkpoint_minutes >= 0:
            raise ConfigError(f"Expected runtime.checkpoint_minutes >= 0, but got {self.checkpoint_minutes}.")
        self._check_device()
        self._check_processes(ranks())

    def _check_device(self) -> None:
        if self.device not in ("cuda", "mps"):
            return
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("Expected a CUDA device for runtime.device=cuda, but torch sees none. Use auto or cpu.")
        if self.device == "mps" and not torch.backends.mps.is_available():
            raise ConfigError("Expected Apple's GPU for runtime.device=mps, but torch sees none. Use auto or cpu.")

    def _check_processes(self, started: Ranks) -> None:
        """One process a device, started from outside: a process that holds a lock must not start others."""
        if self.devices < 1 or (started.processes > 1 and self.devices not in (1, started.processes)):
            raise ConfigError(
                f"Expected runtime.devices to be the number of processes, {started.processes}, but got {self.devices}. "
                "Leave it out: torchrun knows."
            )
        if self.devices > started.processes:
            raise ConfigError(
                f"Expected a process for each of runtime.devices={self.devices}, but there is one. Start them so, for one plan "
                f"at a time and without -m: {torchrun(self.devices)} plan=... and the other settings as they are."
            )
        if started.here == 1:
            return
        import torch

        seen = {"gpu": torch.cuda.device_count(), "mps": 1}.get(self.accelerator, started.here)
        if started.here > seen:
            raise ConfigError(
                f"Expected a device for each of the {started.here} processes on this machine, but torch sees {seen}. Start as "
                "many processes as there are devices, or train on the processor with runtime.device=cpu."
            )

    @property
    def accelerator(self) -> str:
        """Lightning's word for the device."""
        if self.device in ("cpu", "mps"):
            return self.device
        import torch

        return "gpu" if torch.cuda.is_available() else "cpu"

    @property
    def torch_device(self) -> "torch.device":
        """Of this process."""
        import torch

        return torch.device("cuda" if self.accelerator == "gpu" else self.accelerator)

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
        import torch

        if threads := self.threads or assigned_threads():
            torch.set_num_threads(threads)
        if self.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA's linear algebra is first used
        torch.use_deterministic_algorithms(self.deterministic)
        if self.tune_malloc and self.accelerator == "cpu":
            keep_freed_memory()

    def notes(self, precision: str) -> tuple[str, ...]:
        """What is to be said of a precision on this device: it is as the recipe has it, whatever that costs."""
        if precision != "bf16-mixed" or self.accelerator != "cpu" or computes_bfloat16():
            return ()
        return ("bf16-mixed is emulated by this processor, mostly slower than 32-true: measure it with advice=true",)

    def progress_style(self) -> str:
        """``bar``, ``lines`` or ``none``; ``auto`` resolved."""
        return ("bar" if sys.stderr.isatty() else "lines") if self.progress == "auto" else self.progress


def assigned_threads() -> int | None:
    """Cores that SLURM or Ray gives this process, or None where neither runs it."""
    if "ray" in sys.modules and (ray := sys.modules["ray"]).is_initialized():
        cores = ray.get_runtime_context().get_assigned_resources().get("CPU", 0)
    else:
        cores = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or 0
    return max(int(float(cores)), 1) if cores else None


def computes_bfloat16() -> bool:
    """Whether the processor has instructions for it; true where torch cannot tell."""
    import torch

    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {"bf16": True}
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "avx10_2", "bf16"))


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
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def without_deterministic_way(error: BaseException) -> str | None:
    """The operation that torch knows no deterministic algorithm for, where an error says that; else None.

    >>> without_deterministic_way(RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation, but ..."))
    'cumsum_cuda_kernel'
    """
    operation, found, _ = str(error).partition(" does not have a deterministic implementation")
    return operation if found and isinstance(error, RuntimeError) else None


def environment(accelerator: str) -> dict[str, Any]:
    """Which machine and versions made a number."""
    import timm
    import torch

    threads = torch.get_num_threads()
    device = (
        torch.cuda.get_device_name()
        if accelerator == "gpu"
        else f"{_cpu_name()}, {threads} thread{'s' * (threads > 1)}"
    )
    return {
        "device": device if (processes := ranks().processes) == 1 else f"{processes} processes, each: {device}",
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
