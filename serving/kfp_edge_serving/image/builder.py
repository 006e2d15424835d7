"""Builds the serving image into an OCI layout folder."""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kfp_edge_serving import __version__
from kfp_edge_serving.image import debian, dependencies
from kfp_edge_serving.image.command import run

#: Name of the image in the layout folder.
TAG = "serving"

HERE = Path(__file__).parent

Progress = Callable[[str], None]

_PYTHON_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def build(output: Path, base: str | None = None, *, progress: Progress = print) -> str:
    """Build the serving image for this machine's processor, from the same inputs always the same bytes.

    Args:
        output: Folder of the OCI image layout, replaced as a whole; the image in it is tagged `serving`.
        base: Image with Python 3.11 or newer to build on; a base of distribution packages when None.
        progress: Is given one line a step.

    Returns:
        The digest of the image's manifest, `sha256:...`.

    Raises:
        ImageError: a program is missing, or a package or image cannot be fetched.
    """
    with _scratch(output.parent) as scratch, _storage(scratch / "storage") as buildah:
        image, python = _base(base, scratch, buildah, progress)
        progress(f"installing the Python dependencies for Python {python}")
        context = _context(scratch / "context", python)
        progress("building the image")
        labels = f"--label=org.opencontainers.image.version={__version__}"
        identity = buildah.build(HERE / "Containerfile", context, f"--build-arg=BASE={image}", labels)
        layout = scratch / "layout"
        progress("compressing the layers")
        buildah("push", "--quiet", "--format=oci", "--compression-level=9", identity, f"oci:{layout}:{TAG}")
        if output.is_dir():
            output.rename(scratch / "replaced")
        layout.rename(output)
    return digest(output)


def digest(layout: Path) -> str:
    """Return the digest of the only image in an OCI layout folder."""
    found: str = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
    return found


def server_files() -> list[Path]:
    """Return the modules of the server, which are all that stand beside this package."""
    return sorted(HERE.parent.glob("*.py"))


class _Buildah:
    """buildah with a storage of its own, so that nothing of ours stays in the user's."""

    def __init__(self, storage: Path) -> None:
        # The order of files in a layer differs between storage drivers, and only vfs works everywhere.
        self._storage: list[str | Path] = [
            "--storage-driver=vfs",
            "--root",
            storage / "root",
            "--runroot",
            storage / "run",
        ]

    def __call__(self, command: str, *args: str | Path) -> str:
        return run(["buildah", *self._storage, command, *args], title=f"buildah {command}").strip()

    def build(self, recipe: Path, context: Path, *options: str) -> str:
        """Return the id of the image that a recipe gives; each of its stages adds one layer."""
        fixed = ["--quiet", "--layers=false", "--isolation=chroot", "--timestamp=0", "--format=oci"]
        return self("build", *fixed, f"--file={recipe}", *options, context)


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    # beside the output, as /tmp may be a small one in memory
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".building-") as folder:
        yield Path(folder)


@contextmanager
def _storage(folder: Path) -> Iterator[_Buildah]:
    folder.mkdir()
    try:
        yield _Buildah(folder)
    finally:
        if os.geteuid() == 0:
            shutil.rmtree(folder)
        else:
            # a base may hold files of users that only exist in our user namespace
            run(["buildah", "unshare", "rm", "-rf", folder])


def _base(base: str | None, scratch: Path, buildah: _Buildah, progress: Progress) -> tuple[str, str]:
    """Return a name of the base for buildah, and the version of its Python."""
    if base is not None:
        progress(f"fetching the base {base}")
        container = buildah("from", "--quiet", base)
        return base, buildah("run", "--isolation=chroot", container, "--", "python3", "-c", _PYTHON_VERSION)
    progress("assembling the base from distribution packages")
    rootfs = scratch / "rootfs"
    debian.assemble(rootfs, scratch / "packages")
    _normalise(rootfs)
    recipe = scratch / "base.Containerfile"
    recipe.write_text("FROM scratch\nCOPY --chown=0:0 . /\n")
    return buildah.build(recipe, rootfs), debian.python_version(rootfs)


def _context(context: Path, python: str) -> Path:
    dependencies.install(context / "lib", python, platform.machine())
    server = context / "server/kfp_edge_serving"
    server.mkdir(parents=True)
    for path in server_files():
        shutil.copyfile(path, server / path.name)
    shutil.copyfile(HERE / "precompile.py", context / "precompile.py")
    _normalise(context)
    return context


def _normalise(folder: Path) -> None:
    """Give every file one of two modes and no time, whatever the umask and the hour were."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
            os.utime(path, (0, 0))
