"""Podman on this machine: how it has to be set up, and images that come and go with a run."""

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kfp_edge.errors import ImageError
from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import skopeo_source
from kfp_edge.images.tools.buildah import Buildah
from kfp_edge.images.tools.skopeo import registry_flags, skopeo
from kfp_edge.runtime.process import run
from kfp_edge.runtime.signals import deferred_signals
from kfp_edge.storage.files import write_file

# Controllers here, beside the old hierarchies: crun refuses to start anything (cgroups(7), "version 1 and 2").
_HYBRID = Path("/sys/fs/cgroup/unified/cgroup.controllers")
_STATUS = Path("/proc/self/status")
# Number of the capability in capabilities(7) and in the mask of /proc/self/status.
_CAP_SYS_RESOURCE = 24
_LIMIT = 4096
# An ordinary user's PATH often lacks the folders where podman looks for a runtime.
_RUNTIME_PATH = "/usr/sbin:/usr/local/sbin:/sbin"


def podman_environment() -> dict[str, str]:
    """Return the environment in which podman can start a container on this machine.

    It is ours, except on a machine where podman's defaults cannot work and nobody set `CONTAINERS_CONF`.

    Raises:
        ImageError: such a machine lacks runc.
    """
    variables = dict(os.environ)
    if "CONTAINERS_CONF" in variables or not (settings := _settings(_has_hybrid_cgroups(), _limits_are_fixed())):
        return variables
    path = cache_folder() / "containers.conf"
    if not path.is_file() or path.read_text() != settings:
        write_file(path, settings.encode())
    return {**variables, "CONTAINERS_CONF": str(path)}


def podman(*args: str | Path) -> str:
    """Run podman and return what it wrote to stdout.

    Raises:
        CommandError: podman failed.
    """
    # not in the user's folder, where conmon would leave an empty file `oom` for a container that ran out of memory
    return run(["podman", *args], cwd=Path(tempfile.gettempdir()), env=podman_environment(), new_session=True)


def load_image(image: ImageRef, name: str) -> None:
    """Copy an image into podman's and buildah's storage under a name; layers that are there stay as they are.

    Raises:
        ImageError: the image is not there, or its repository refuses.
    """
    flags = ["--quiet", "--preserve-digests", *registry_flags("src-", image.home.host)]
    with skopeo_source(image) as source, deferred_signals():
        skopeo("copy", *flags, source, f"containers-storage:{name}", where=str(image.home))


@contextmanager
def loaded_image(image: ImageRef, name: str) -> Iterator[None]:
    """Keep an image in the storage under a name while the block runs.

    Raises:
        ImageError: the image is not there, or its repository refuses.
    """
    try:  # an interrupt that was deferred while the image was loaded comes before the block
        load_image(image, name)
        yield
    finally:
        Buildah().remove(name)


def _settings(has_hybrid_cgroups: bool, limits_are_fixed: bool) -> str:
    """Return a containers.conf(5), empty when the defaults work."""
    text = ""
    if limits_are_fixed:
        limits = [_limit("nofile", resource.RLIMIT_NOFILE), _limit("nproc", resource.RLIMIT_NPROC)]
        text += f"[containers]\ndefault_ulimits = [{', '.join(limits)}]\n"
    if has_hybrid_cgroups:
        if not shutil.which("runc", path=os.pathsep.join([os.environ.get("PATH", os.defpath), _RUNTIME_PATH])):
            raise ImageError("containers cannot start here: this machine's cgroups are hybrid; install runc.")
        text += '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    return text


def _limit(name: str, number: int) -> str:
    hard = resource.getrlimit(number)[1]
    value = _LIMIT if hard == resource.RLIM_INFINITY else min(hard, _LIMIT)
    return f'"{name}={value}:{value}"'


def _has_hybrid_cgroups() -> bool:
    return _HYBRID.is_file() and _HYBRID.read_text().strip() != ""


def _limits_are_fixed() -> bool:
    """Whether we are root and yet cannot raise limits, which podman does for root."""
    if os.geteuid() != 0:
        return False
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return not int(lines["CapEff"], 16) >> _CAP_SYS_RESOURCE & 1
