"""pip of this environment, which installs for another Python and processor than those that run it."""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from kfp_edge.images.platforms import Platform
from kfp_edge.images.tools.command import run_tool

#: Newest first: pip takes the first that a wheel was built for, and else one in pure Python, which is slow.
#: UBI 9 has glibc 2.34.
_MANYLINUX = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")


def pip(command: str, *args: str | Path) -> None:
    """Run pip.

    Raises:
        ImageError: it fails.
    """
    run_tool(f"pip {command}", [sys.executable, "-m", "pip", command, "--quiet", "--disable-pip-version-check", *args])


def install_pinned(requirements: Path, target: Path, python: str, platform: Platform, *flags: str) -> None:
    """Install the packages of a requirements file, which have hashes, into the folder `target`.

    Args:
        requirements: Names every package; no other is installed.
        target: A folder that does not exist yet.
        python: Version of the interpreter that will run them, such as `3.11`.
        platform: The processor that will run them.
        flags: More flags of `pip install`.

    Raises:
        ImageError: a wheel cannot be fetched, or its hash is not the pinned one.
    """
    choice = ["--implementation=cp", f"--python-version={python}"]
    choice += [f"--platform={name}_{platform.machine}" for name in _MANYLINUX]
    pinned = ["--no-compile", "--no-deps", "--require-hashes", f"--requirement={requirements}"]
    pip("install", *pinned, *choice, f"--target={target}", *flags)


def remove_paths(folder: Path, patterns: Iterable[str]) -> None:
    """Remove the files and folders below a folder that match glob patterns."""
    for pattern in patterns:
        for path in sorted(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
