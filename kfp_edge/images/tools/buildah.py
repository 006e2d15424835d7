"""Buildah, on this user's storage or on one of its own, so that nothing of ours stays in the user's."""

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kfp_edge.errors import ImageError
from kfp_edge.images.tools.command import run_tool
from kfp_edge.runtime.signals import deferred_signals

#: What buildah reports of an image that is gone.
_UNKNOWN_IMAGE = "image not known"
_TRIES = 10
_PAUSE = 0.2
#: The same input gives the same image: without times, and one layer for each stage of a Containerfile.
_REPRODUCIBLE = ("--quiet", "--isolation=chroot", "--format=oci", "--layers=false", "--timestamp=0")


@dataclass(frozen=True)
class Buildah:
    """Runs buildah on the storage in a folder, on this user's own when there is none."""

    storage: Path | None = None

    def __call__(self, command: str, *args: str | Path, new_session: bool = False) -> str:
        return run_tool(
            f"buildah {command}", ["buildah", *self._flags, command, *args], new_session=new_session
        ).strip()

    def build(
        self,
        context: Path,
        containerfile: Path,
        name: str,
        arguments: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        """Build an image from a Containerfile, with more flags of `buildah build`."""
        every = [*_REPRODUCIBLE, *flags, f"--tag={name}", f"--file={containerfile}"]
        every += [f"--build-arg={key}={value}" for key, value in (arguments or {}).items()]
        self("build", *every, context)

    def commit_tree(self, folder: Path, name: str) -> None:
        """Make an image of a folder."""
        container = self.start_from_tree(folder)
        try:
            self("commit", "--quiet", "--format=oci", "--timestamp=0", container, name)
        finally:
            self("rm", container)

    def start_from_tree(self, folder: Path) -> str:
        """Return a new container that has the files of a folder, which all belong to root."""
        container = self("from", "--quiet", "scratch")
        self("copy", "--quiet", "--chown=0:0", container, folder, "/")
        return container

    def run(self, container: str, *args: str, flags: Sequence[str] = ()) -> str:
        """Run a program as the root of a container and return what it wrote to stdout."""
        return self("run", "--isolation=chroot", "--user=0:0", *flags, container, "--", *args)

    def load(self, layout: Path, name: str) -> None:
        """Copy the image of a layout folder into the storage; buildah itself cannot read some folders' names."""
        run_tool("skopeo copy", ["skopeo", "copy", "--quiet", f"oci:{layout}", self._address(name)])

    def save(self, name: str, layout: str) -> None:
        """Copy an image of the storage to `FOLDER[:TAG]`, a new layout, its layers as they are, not compressed."""
        flags = ["--quiet", "--dest-oci-accept-uncompressed-layers"]
        run_tool("skopeo copy", ["skopeo", "copy", *flags, self._address(name), f"oci:{layout}"])

    def find_id(self, name: str) -> str:
        """Return the id of an image in the storage, empty when it is not there."""
        return self("images", "--quiet", "--no-trunc", f"--filter=reference={name}")

    def list_names(self, repository: str) -> list[str]:
        """Return the images of a repository in the storage, by name and tag."""
        return self("images", f"--filter=reference={repository}", "--format={{.Name}}:{{.Tag}}").split()

    def remove(self, name: str) -> None:
        """Remove a name from the storage, and the image too if it has no other; it may be gone already."""
        with deferred_signals():
            for left in reversed(range(_TRIES)):
                try:
                    self("rmi", name, new_session=True)
                    return
                except ImageError as error:
                    if _UNKNOWN_IMAGE in str(error):
                        return
                    if not left:
                        raise
                # the storage looks for relatives, and fails while another process writes an image
                time.sleep(_PAUSE)

    @property
    def _flags(self) -> list[str | Path]:
        if self.storage is None:
            return []
        # of the drivers only vfs works everywhere
        return ["--storage-driver=vfs", "--root", self.storage / "root", "--runroot", self.storage / "run"]

    def _address(self, name: str) -> str:
        where = f"[vfs@{self.storage / 'root'}+{self.storage / 'run'}]" if self.storage else ""
        return f"containers-storage:{where}{name}"


@contextmanager
def temporary_storage(folder: Path) -> Iterator[Buildah]:
    """Yield a buildah whose storage is the new folder, which is removed with the block."""
    folder.mkdir()
    try:
        yield Buildah(folder)
    finally:
        if os.geteuid() == 0:
            shutil.rmtree(folder)
        else:
            # a base may hold files of users that only exist in our user namespace
            run_tool("buildah unshare", ["buildah", "unshare", "rm", "-rf", folder])
