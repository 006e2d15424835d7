"""The machine and the versions of the software of a measurement."""

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from environments import version_of

_OURS = ("onnxruntime", "numpy", "grpcio", "protobuf", "httptools", "uvloop", "orjson")


def machine() -> str:
    """Return processor, memory and system in one line."""
    match = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = match[1] if match else platform.machine()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release()}"


def versions() -> str:
    """Return the versions of what is installed, ours and the peers'."""
    gcc = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    ours = ", ".join(f"{package} {version(package)}" for package in _OURS)
    packages = {"mlserver": "mlserver", "kserve": "kserve", "triton": "nvidia-pytriton"}
    peers = ", ".join(f"{package} {version_of(peer, package)}" for peer, package in packages.items())
    return f"Python {platform.python_version()}, gcc {gcc}. Ours: {ours}. Peers, with the same onnxruntime: {peers}"


def load_average() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]
