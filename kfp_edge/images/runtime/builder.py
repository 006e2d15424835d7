"""Builds the runtime image with Buildah (`Containerfile`), in this user's storage.

The image of its dependencies stays in the storage too, named by a hash of its inputs: the next build starts from it.
A base that is named by tag counts by its name.
"""

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kfp_edge import __version__
from kfp_edge.images.base_names import PACKAGES, UBI9
from kfp_edge.images.cache import cache_folder
from kfp_edge.images.runtime.debian_base import REPOSITORY as BASES
from kfp_edge.images.runtime.debian_base import assemble_base
from kfp_edge.images.runtime.dependencies import PROGRAMS, UNUSED, install_dependencies, pinned_requirements
from kfp_edge.images.runtime.project import install_project
from kfp_edge.images.tools.buildah import Buildah

DEFAULT_NAME = f"localhost/kfp-edge/runtime:{__version__}"

_CONTAINERFILE = Path(__file__).with_name("Containerfile")
_DEPENDENCIES = "localhost/kfp-edge/runtime-dependencies"


def build_runtime_image(base: str, python: str, name: str) -> None:
    """Build the runtime image, and the dependencies below it when they are not there yet.

    Args:
        base: `ubi9`, `packages`, or an image `HOST/REPO@sha256:...` of UBI 9 or with python3, git and skopeo.
        python: Version of the base's Python, such as `3.12`; that of the packages' is known.
        name: Name of the image in Buildah's storage.

    Raises:
        ImageError: a program or a package is missing, or the build fails.
    """
    buildah = Buildah()
    with _locked_folder(cache_folder() / "runtime") as work:
        if base == PACKAGES:
            base, python = assemble_base(buildah, work)
        dependencies = _ensure_dependencies(buildah, base, python, work)
        with tempfile.TemporaryDirectory(dir=work) as folder:
            context = Path(folder)
            install_project(context / "app", work)
            with _replaced(buildah, name):
                buildah.build(context, _CONTAINERFILE, name, {"DEPENDENCIES": dependencies})
        for other in {*buildah.list_names(_DEPENDENCIES), *buildah.list_names(BASES)} - {dependencies, base}:
            buildah.remove(other)


def save_runtime_image(name: str, layout: Path) -> str:
    """Write the image into an OCI layout folder, tagged with the project's version, and return `FOLDER:TAG`."""
    shutil.rmtree(layout, ignore_errors=True)
    layout.parent.mkdir(parents=True, exist_ok=True)
    Buildah().save(name, f"{layout}:{__version__}")
    return f"{layout}:{__version__}"


def _ensure_dependencies(buildah: Buildah, base: str, python: str, work: Path) -> str:
    """Build an image of the base with all that the project needs, unless the storage has it, and return its name."""
    requirements = pinned_requirements(python)
    inputs = (base, python, requirements, PROGRAMS, UNUSED, _CONTAINERFILE.read_text())
    name = f"{_DEPENDENCIES}:{hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]}"
    if not buildah.find_id(name):
        arguments = {"PYTHON": python} | ({} if base == UBI9 else {"BASE": base})
        with tempfile.TemporaryDirectory(dir=work) as folder:
            context = Path(folder)
            install_dependencies(requirements, python, context / "lib")
            buildah.build(context, _CONTAINERFILE, name, arguments, flags=["--target=dependencies"])
    return name


@contextmanager
def _replaced(buildah: Buildah, name: str) -> Iterator[None]:
    """Remove the image that had this name before the block, if another one has it then."""
    old = buildah.find_id(name)
    yield
    if old and old != buildah.find_id(name):
        buildah.remove(old)


@contextmanager
def _locked_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder that no other build uses meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
