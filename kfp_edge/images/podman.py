"""Podman on this machine: how it has to be set up, and images that come and go with a run."""

import fcntl
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kfp_edge.errors import CommandError, KfpEdgeError
from kfp_edge.images.oci import ImageRef, skopeo_source
from kfp_edge.images.skopeo import registry_flags, skopeo
from kfp_edge.runtime.process import run
from kfp_edge.runtime.signals import deferred_signals
from kfp_edge.storage.files import write_file

_BASES = "localhost/kfp-edge/base"

# Controllers here, beside the old hierarchies: crun refuses to start anything (cgroups(7), "version 1 and 2").
_HYBRID = Path("/sys/fs/cgroup/unified/cgroup.controllers")
_STATUS = Path("/proc/self/status")
# Number of the capability in capabilities(7) and in the mask of /proc/self/status.
_CAP_SYS_RESOURCE = 24
#: What buildah says of an image that is gone.
_NOT_THERE = "image not known"
_TRIES = 10
_PAUSE = 0.2
_LIMIT = 4096
# An ordinary user's PATH often lacks the folders where podman looks for a runtime.
_RUNTIME_PATH = "/usr/sbin:/usr/local/sbin:/sbin"


def cache_folder() -> Path:
    """Return the folder for what is made once and reused: `KFP_EDGE_CACHE`, else `~/.cache/kfp-edge`."""
    return Path(os.environ.get("KFP_EDGE_CACHE") or Path.home() / ".cache" / "kfp-edge").absolute()


def environment() -> dict[str, str]:
    """Return the environment in which podman can start a container on this machine.

    It is ours, except on a machine where podman's defaults cannot work and nobody set `CONTAINERS_CONF`.

    Raises:
        KfpEdgeError: such a machine lacks runc.
    """
    found = dict(os.environ)
    if "CONTAINERS_CONF" in found or not (settings := _settings(_hybrid(), _limits_are_fixed())):
        return found
    path = cache_folder() / "containers.conf"
    if not path.is_file() or path.read_text() != settings:
        write_file(path, settings.encode())
    return {**found, "CONTAINERS_CONF": str(path)}


def podman(*args: str | Path) -> str:
    """Run podman and return what it wrote to stdout.

    Raises:
        CommandError: podman failed.
    """
    # not in the user's folder, where conmon would leave an empty file `oom` for a container that ran out of memory
    return run(["podman", *args], cwd=Path(tempfile.gettempdir()), env=environment(), new_session=True)


def buildah(*args: str | Path) -> str:
    """Run buildah, which needs no runtime as we use it, and return what it wrote to stdout.

    Raises:
        CommandError: buildah failed.
    """
    return run(["buildah", *args], new_session=True)


def load(image: ImageRef, name: str) -> None:
    """Put an image into podman's and buildah's storage under a name; layers that are there are not read again.

    Raises:
        KfpEdgeError: the image is not there, or its repository refuses.
    """
    flags = ["--quiet", "--preserve-digests", *registry_flags("src-", image.home.host)]
    with skopeo_source(image) as source, deferred_signals():
        skopeo("copy", *flags, source, f"containers-storage:{name}", where=str(image.home))


def remove(name: str) -> None:
    """Take a name from an image in the storage, and the image too if it has no other; it may be gone already."""
    with deferred_signals():
        for left in reversed(range(_TRIES)):
            try:
                buildah("rmi", name)
                return
            except CommandError as error:
                if _NOT_THERE in error.output:
                    return
                if not left:
                    raise
            # the storage looks for relatives, and fails while another process writes an image
            time.sleep(_PAUSE)


@contextmanager
def base_in_storage(image: ImageRef) -> Iterator[str]:
    """Have an image in the storage to build on and yield its name; it stays there, and bases used before it go.

    Unpacking a base takes seconds, so the last one is kept. The others go when no build on this machine uses any.

    Raises:
        KfpEdgeError: the image is not there, or its repository refuses.
    """
    name = f"{_BASES}:{image.digest.removeprefix('sha256:')}"
    storage = os.open(json.loads(buildah("info"))["store"]["GraphRoot"], os.O_RDONLY)
    try:
        fcntl.flock(storage, fcntl.LOCK_SH)
        load(image, name)
        yield name
        _remove_bases_but(name, storage)
    finally:
        os.close(storage)


def _remove_bases_but(name: str, storage: int) -> None:
    try:
        fcntl.flock(storage, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another build uses one; the next build removes them
    try:
        listed = podman("images", "--filter", f"reference={_BASES}", "--format", "{{.Repository}}:{{.Tag}}")
        for other in set(listed.split()) - {name}:
            remove(other)
    except CommandError as error:
        print(f"bases used before stay in the storage: {error}", flush=True)


@contextmanager
def loaded(image: ImageRef, name: str) -> Iterator[None]:
    """Have an image in the storage under a name while the block runs.

    Raises:
        KfpEdgeError: the image is not there, or its repository refuses.
    """
    try:  # an interrupt that was held while the image was loaded comes before the block
        load(image, name)
        yield
    finally:
        remove(name)


def _settings(hybrid: bool, limits_are_fixed: bool) -> str:
    """Return a containers.conf(5), empty when the defaults work."""
    text = ""
    if limits_are_fixed:
        limits = [_limit("nofile", resource.RLIMIT_NOFILE), _limit("nproc", resource.RLIMIT_NPROC)]
        text += f"[containers]\ndefault_ulimits = [{', '.join(limits)}]\n"
    if hybrid:
        if not shutil.which("runc", path=os.pathsep.join([os.environ.get("PATH", os.defpath), _RUNTIME_PATH])):
            raise KfpEdgeError("containers cannot start here: this machine's cgroups are hybrid; install runc.")
        text += '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    return text


def _limit(name: str, number: int) -> str:
    hard = resource.getrlimit(number)[1]
    value = _LIMIT if hard == resource.RLIM_INFINITY else min(hard, _LIMIT)
    return f'"{name}={value}:{value}"'


def _hybrid() -> bool:
    return _HYBRID.is_file() and _HYBRID.read_text().strip() != ""


def _limits_are_fixed() -> bool:
    """Whether we are root and yet cannot raise limits, which podman does for root."""
    if os.geteuid() != 0:
        return False
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return not int(lines["CapEff"], 16) >> _CAP_SYS_RESOURCE & 1
