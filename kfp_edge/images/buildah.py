"""buildah with a storage of its own, so that nothing of ours stays in the user's."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kfp_edge.images.command import run


class Buildah:
    """Runs buildah; `buildah()` makes it."""

    def __init__(self, storage: Path) -> None:
        # only vfs works everywhere
        self._storage: list[str | Path] = [
            "--storage-driver=vfs",
            "--root",
            storage / "root",
            "--runroot",
            storage / "run",
        ]
        self._transport = f"containers-storage:[vfs@{storage / 'root'}+{storage / 'run'}]"

    def __call__(self, command: str, *args: str | Path) -> str:
        return run(["buildah", *self._storage, command, *args], title=f"buildah {command}").strip()

    def load(self, layout: Path, name: str) -> None:
        """Put the image of a layout folder into the storage; buildah itself trips over the names of some folders."""
        run(["skopeo", "copy", "--quiet", f"oci:{layout}", f"{self._transport}{name}"], title="skopeo copy")

    def save(self, name: str, layout: Path) -> None:
        """Write an image of the storage into a new layout folder, its layers as they are, not compressed."""
        flags = ["--quiet", "--dest-oci-accept-uncompressed-layers"]
        run(["skopeo", "copy", *flags, f"{self._transport}{name}", f"oci:{layout}"], title="skopeo copy")

    def run(self, container: str, *args: str, flags: Sequence[str] = ()) -> str:
        """Run a program as the root of a container and return what it wrote to stdout."""
        return self("run", "--isolation=chroot", "--user=0:0", *flags, container, "--", *args)


@contextmanager
def buildah(storage: Path) -> Iterator[Buildah]:
    """Yield a buildah whose storage is the new folder, and goes with the block."""
    storage.mkdir()
    try:
        yield Buildah(storage)
    finally:
        if os.geteuid() == 0:
            shutil.rmtree(storage)
        else:
            # a base may hold files of users that only exist in our user namespace
            run(["buildah", "unshare", "rm", "-rf", storage])
