"""Where numbers are made: the device, this process among those of torchrun, versions, commit."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

_PACKAGES = (
    "hashbench",
    "torch",
    "numpy",
    "kornia",
    "numba",
    "scikit-learn",
    "timm",
    "onnxruntime",
)


class DeviceError(Exception):
    """A device that is not there; the message is one line meant for the user."""


_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


class Place(NamedTuple):
    """Which of how many processes this one is, and its number on its machine."""

    rank: int
    size: int
    local_rank: int


def place() -> Place:
    """Place of this process, as torchrun says it; 0 of 1 without torchrun.

    Examples
    --------
    >>> place()
    Place(rank=0, size=1, local_rank=0)
    """
    rank, size, local_rank = (int(os.environ.get(name, 0)) for name in _TORCHRUN)
    return Place(rank, size, local_rank) if size > 1 else Place(0, 1, 0)


def own_device(name: str) -> str:
    """Device of this rank, given what the user said of all.

    Raises
    ------
    DeviceError
        If the user named one GPU for all ranks.
    """
    here = place()
    if here.size == 1 or name == "cpu":
        return name
    if name not in ("auto", "cuda"):
        raise DeviceError(
            f"--device {name}: each rank has a GPU of its own; give cuda, auto or cpu"
        )
    on_cuda = name == "cuda" or torch.cuda.is_available()
    return f"cuda:{here.local_rank}" if on_cuda else "cpu"


@dataclass(frozen=True)
class Environment:
    """What a record says of its origin.

    Attributes
    ----------
    device : torch.device
    device_name : str
        Model of the GPU, or ``"cpu"`` with the number of threads.
    versions : dict
        Version by package, and Python's and CUDA's.
    commit : str
        Git commit of the checkout, with ``+changes`` where files differ; empty outside of one.
    command : str
        What the user called, as a shell would read it.
    """

    device: torch.device
    device_name: str
    versions: dict[str, str]
    commit: str
    command: str


def environment(
    device: str, *, deterministic: bool = False, command: str | None = None
) -> Environment:
    """Describe this process on a device.

    Parameters
    ----------
    device : str
        ``"auto"`` (a GPU where there is one), ``"cpu"``, ``"cuda"`` or ``"cuda:<i>"``.
    deterministic : bool
        Put torch into its strict mode: an operation without a deterministic form is an error.
    command : str, optional
        What the user called; this process's own command where left out.

    Raises
    ------
    DeviceError
        If there is no such device.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if deterministic or torch.are_deterministic_algorithms_enabled():  # the call takes seconds
        torch.use_deterministic_algorithms(deterministic)
    chosen = choose_device(device)
    versions = {name: found for name in _PACKAGES if (found := _version(name))}
    versions["python"] = platform.python_version()
    if chosen.type == "cuda":
        versions["cuda"] = str(torch.version.cuda)
        versions["driver"] = _driver()
        name = torch.cuda.get_device_name(chosen)
    else:
        name = cpu_name(torch.get_num_threads())
    called = _called() if command is None else command
    return Environment(chosen, name, versions, _commit(), called)


def cpu_name(threads: int) -> str:
    """Name the CPU as a device, with the threads that torch had.

    Examples
    --------
    >>> cpu_name(2)
    'cpu (2 threads)'
    """
    return f"cpu ({threads} threads)"


def _called() -> str:
    """Say what the user called, without the folder of the program."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = ["python", "-m", spec.name] if spec is not None else [Path(sys.argv[0]).name]
    return shlex.join([*program, *sys.argv[1:]])


def choose_device(name: str) -> torch.device:
    """Find a device by the name that `environment` takes.

    Raises
    ------
    DeviceError
        If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise DeviceError(f"--device: expected auto, cpu, cuda or cuda:<i>, got {name!r}")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if int(index or 0) >= count:
        raise DeviceError(
            f"--device {name}: this machine has {count} such devices; use --device cpu or auto"
        )
    return torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device("cpu")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # timm, say: only some backbones need it
        return None


def _driver() -> str:
    """Version of the GPU's driver, "unknown" where its tool does not tell."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.split("\n")[0].strip() or "unknown"


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    try:
        changes = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout
        return ""
