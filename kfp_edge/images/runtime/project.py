"""Installs the project of the checkout, as it is now, into a folder of the runtime image."""

import re
import shutil
import tempfile
import tomllib
from pathlib import Path

import kfp_edge
from kfp_edge.errors import ImageError
from kfp_edge.images.tools.command import run_tool
from kfp_edge.images.tools.pip import pip

#: The distributions of this repository.
PROJECTS = ("kfp-edge", "kfp-edge-serving")

_ROOT = Path(kfp_edge.__file__).resolve().parents[1]
_PYPROJECT = "pyproject.toml"


def repository_file(name: str) -> Path:
    """Return the path of a file or folder at the root of the repository.

    Raises:
        ImageError: kfp-edge is installed from a wheel, which has no such file.
    """
    path = _ROOT / name
    if not path.exists():
        raise ImageError(f"there is no {path}; build the runtime image in a checkout of the repository of kfp-edge.")
    return path


def install_project(target: Path, work: Path) -> None:
    """Install this project into the new folder `target`; `work` is where scratch files go.

    Raises:
        ImageError: this is no checkout of the repository, or pip fails.
    """
    with tempfile.TemporaryDirectory(dir=work) as scratch:
        sources, wheels = Path(scratch) / "sources", Path(scratch) / "wheels"
        _copy_sources(sources)
        pip("wheel", "--no-deps", "--no-build-isolation", f"--wheel-dir={wheels}", sources, sources / "serving")
        from_wheels = ["--no-index", f"--find-links={wheels}", "--no-deps", "--no-compile"]
        pip("install", *from_wheels, f"--target={target}", *PROJECTS)
    for script in (target / "bin").iterdir():
        script.write_text(re.sub(r"\A#!.*", "#!/usr/bin/env python3", script.read_text()))
    let_all_read(target)


def let_all_read(folder: Path) -> None:
    """Let every user read a folder, whatever the umask was."""
    run_tool("chmod", ["chmod", "-R", "u=rwX,go=rX", folder])


def list_sources() -> tuple[str, ...]:
    """Return the files and folders of which the wheels of this repository are made.

    Raises:
        ImageError: this is no checkout of the repository.
    """
    with repository_file(_PYPROJECT).open("rb") as stream:
        folders = tomllib.load(stream)["tool"]["setuptools"]["package-dir"].values()
    return (*folders, "serving", _PYPROJECT, "README.md", "LICENSE")


def _copy_sources(target: Path) -> None:
    target.mkdir()
    for name in list_sources():
        source = repository_file(name)
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "tests")
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            shutil.copyfile(source, target / name)
