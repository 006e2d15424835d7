"""A container storage of its own for each worker, so that no test waits for another's or leaves anything in the user's.

Podman, Buildah and Skopeo read `CONTAINERS_STORAGE_CONF`, see containers-storage.conf(5).
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from kfp_edge.images.podman import podman_environment

_CONFIGURATION = """
[storage]
driver = "overlay"
graphroot = "{folder}/root"
rootless_storage_path = "{folder}/root"
runroot = "{folder}/run"
"""


class ContainerStorage:
    """A new, empty storage in a temporary folder."""

    def __init__(self) -> None:
        # images are too large for a /tmp that is in memory
        self._folder = Path(tempfile.mkdtemp(prefix="kfp-edge-test-", dir="/var/tmp"))
        root = self._folder / "root"
        root.mkdir()
        self.configuration = self._folder / "storage.conf"
        self.configuration.write_text(_CONFIGURATION.format(folder=self._folder))
        # CNI and Netavark would give two containers the same address; this file says which of them a storage uses
        (root / "defaultNetworkBackend").write_text(_podman("info", "--format={{.Host.NetworkBackend}}"))

    def remove(self) -> None:
        """Remove the storage with all that is in it."""
        _podman("rm", "--all", "--force", "--time=0", storage=self.configuration)
        if os.geteuid() == 0:
            shutil.rmtree(self._folder)
        else:
            # its files belong to users that only exist in our user namespace
            subprocess.run(["buildah", "unshare", "rm", "-rf", self._folder], check=True)


def _podman(*args: str, storage: Path | None = None) -> str:
    chosen = {"CONTAINERS_STORAGE_CONF": str(storage)} if storage else {}
    done = subprocess.run(
        ["podman", *args], env=podman_environment() | chosen, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()
