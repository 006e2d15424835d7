"""The Python packages of the runtime image: those that the project needs, pinned by the hashes of the lock file."""

import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import cast

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kfp_edge.images.platforms import native_platform
from kfp_edge.images.runtime.project import PROJECTS, let_all_read, repository_file
from kfp_edge.images.tools.pip import install_pinned, remove_paths

#: The programs of the packages that stages run; the others are scripts, which name the Python of this machine.
PROGRAMS = ("kubectl",)
#: What no stage loads.
UNUSED = (
    "onnx/backend/test",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "pandas/tests",
    "pyarrow/include",
    "pyarrow/tests",
    "scipy/**/tests",
    "sklearn/**/tests",
)


def install_dependencies(requirements: str, python: str, target: Path) -> None:
    """Install packages into a new folder, for a version of Python that need not be ours.

    Args:
        requirements: A requirements file with hashes.
        python: Version of the Python that will run them, such as `3.12`.
        target: A folder that does not exist yet.

    Raises:
        ImageError: a wheel cannot be fetched, or its hash is not the pinned one.
    """
    file = target.with_name("requirements.txt")
    file.write_text(requirements)
    # the lock file is for every version of Python, and pip compares only with the one that runs it
    install_pinned(file, target, python, native_platform(), "--ignore-requires-python")
    remove_paths(target, UNUSED)
    remove_paths(target / "bin", [file.name for file in (target / "bin").iterdir() if file.name not in PROGRAMS])
    let_all_read(target)


def pinned_requirements(python: str) -> str:
    """Return the entries of the lock file that this project needs under a version of Python, hashes included.

    pip would evaluate the markers by the Python that runs it.

    Raises:
        ImageError: this is no checkout of the repository.
    """
    lock = repository_file("requirements.lock").read_text()
    environment = {
        **cast(dict[str, str], default_environment()),
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    needed = _needed_packages("kfp-edge", environment)
    entries = []
    for entry in re.split(r"\n(?=\w)", lock.strip()):
        first, *hashes = entry.split(" \\\n")
        requirement = Requirement(first)
        if canonicalize_name(requirement.name) in needed and _applies(requirement, environment, ""):
            entries.append(" \\\n".join([f"{requirement.name}{requirement.specifier}", *hashes]))
    return "\n".join(entries) + "\n"


def _needed_packages(project: str, environment: Mapping[str, str]) -> set[str]:
    """Return the names of the packages that an installed project needs, directly or not, this repository's left out."""
    seen: set[tuple[str, str]] = set()
    pending = [(project, "")]
    while pending:
        name, extra = pending.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for requirement in map(Requirement, _requirements_of(name)):
            if _applies(requirement, environment, extra):
                needed = canonicalize_name(requirement.name)
                pending += [(needed, each) for each in ("", *requirement.extras)]
    return {name for name, _ in seen} - set(PROJECTS)


def _requirements_of(name: str) -> Sequence[str]:
    try:
        return metadata.requires(name) or ()
    except metadata.PackageNotFoundError:
        return ()  # only another version of Python needs it; the lock file has its entry all the same


def _applies(requirement: Requirement, environment: Mapping[str, str], extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**environment, "extra": extra})
