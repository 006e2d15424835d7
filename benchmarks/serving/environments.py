"""What the benchmark installs for itself: programs from C, and a virtual environment for each peer."""

import hashlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "bench"
_INSTALL_TOOLS = HERE.parents[1] / "scripts" / "install-tools"


def program(name: str) -> Path:
    """Return the program compiled from `<name>.c`, which is compiled when it is newer; installs gcc if need be."""
    source, compiled = HERE / f"{name}.c", BUILD / name
    if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([_INSTALL_TOOLS, "gcc"], check=True)
        compiled.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-o", compiled, source], check=True)
    return compiled


def source_of(commit: str) -> Path:
    """Return a folder with the files of this repository as they were at a commit."""
    folder = BUILD / f"source-{commit}"
    if not folder.exists():
        scratch = Path(tempfile.mkdtemp(dir=BUILD))
        archive = subprocess.run(
            ["git", "archive", commit, "serving"], cwd=HERE.parents[1], capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", scratch], input=archive.stdout, check=True)
        scratch.rename(folder)
    return folder


def python_of(peer: str) -> Path:
    """Return the Python of the environment with exactly `requirements-<peer>.txt`, made when it is not there."""
    requirements = HERE / f"requirements-{peer}.txt"
    folder = BUILD / peer
    state = folder / ".installed"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not state.exists() or state.read_text() != wanted:
        print(f"installing {peer} into {folder}", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        pip = [
            str(folder / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "-qq",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        subprocess.run([*pip, "-r", str(requirements)], check=True)
        state.write_text(wanted)
    return folder / "bin" / "python"


def version_of(peer: str, package: str) -> str:
    """Return the version of a package that a peer's requirements pin."""
    pins = dict(line.split("==") for line in (HERE / f"requirements-{peer}.txt").read_text().splitlines())
    return pins[package]
