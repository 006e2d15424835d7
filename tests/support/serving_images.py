"""The serving image for tests: built once, read as files, and run."""

import functools
import io
import json
import os
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.layout import blob_path, list_tagged_images, read_blob_json
from kfp_edge.images.serving import ensure_serving_image

OPENSHIFT = [
    "--user=1000680000:0",
    "--read-only",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=256m",
    "--pids-limit=64",
]
# What a machine without CAP_SYS_RESOURCE needs, where crun fails.
_RUNC = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


#: The folder of this machine, also for a test that sets another home.
_CACHE = cache_folder()


@functools.cache
def serving_image(*architectures: str) -> tuple[Path, str]:
    """The layout folder and the digest of the image, for this machine when no architecture is named."""
    return ensure_serving_image(_CACHE, architectures=architectures)


def manifest(layout: Path, architecture: str | None = None) -> Any:
    """The manifest of an image, of one platform when it has several."""
    tagged = read_blob_json(layout, list_tagged_images(layout)[0]["digest"])
    for entry in tagged.get("manifests", []):
        if entry["platform"]["architecture"] == architecture:
            return read_blob_json(layout, entry["digest"])
    return tagged


def config(layout: Path, architecture: str | None = None) -> Any:
    return read_blob_json(layout, manifest(layout, architecture)["config"]["digest"])


def layers(layout: Path, architecture: str | None = None) -> list[list[tarfile.TarInfo]]:
    """The entries of each layer."""
    members = []
    for descriptor in manifest(layout, architecture)["layers"]:
        with _open_layer(layout, descriptor["digest"]) as archive:
            members.append(archive.getmembers())
    return members


def entries(layout: Path, architecture: str | None = None) -> list[tarfile.TarInfo]:
    return [entry for layer in layers(layout, architecture) for entry in layer]


def content(layout: Path, path: str, architecture: str | None = None) -> bytes:
    """The bytes of a file in the image."""
    for descriptor in reversed(manifest(layout, architecture)["layers"]):
        with _open_layer(layout, descriptor["digest"]) as archive:
            if path in archive.getnames() and (stream := archive.extractfile(path)) is not None:
                return stream.read()
    raise FileNotFoundError(path)


def podman(*args: str | Path) -> str:
    """Run podman to its end and return what it wrote to stdout."""
    done = run_podman(*args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_podman(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run podman to its end, however it ends."""
    return subprocess.run(
        ["podman", *map(str, args)], capture_output=True, text=True, env=_environment(), check=False, timeout=120
    )


@dataclass(frozen=True)
class Container:
    """A container that runs, and where its ports are."""

    name: str

    def address(self, port: int) -> str:
        return podman("port", self.name, f"{port}/tcp")

    def is_running(self) -> bool:
        return podman("inspect", self.name, "--format={{.State.Running}}") == "true"

    def is_healthy(self) -> bool:
        """Whether the container's health check succeeds now."""
        return run_podman("healthcheck", "run", self.name).returncode == 0

    def wait_until_healthy(self) -> None:
        while not self.is_healthy():
            assert podman("inspect", self.name, "--format={{.State.Running}}") == "true", podman("logs", self.name)
            time.sleep(0.05)

    def log(self) -> str:
        """Return what it has written so far."""
        return podman("logs", self.name)

    def stop(self) -> str:
        """Stop it and return its exit code."""
        podman("stop", self.name)
        return podman("inspect", self.name, "--format={{.State.ExitCode}}")


@contextmanager
def stored(layout: Path, *choice: str) -> Iterator[str]:
    """Keep an image in podman's storage and yield its name; `choice` are options that choose a platform."""
    name = f"localhost/kfp-edge/serving-test:{uuid.uuid4().hex}"
    copy = ["skopeo", *choice, "copy", "--quiet", f"oci:{layout}:serving", f"containers-storage:{name}"]
    subprocess.run(copy, check=True, capture_output=True)
    try:
        yield name
    finally:
        podman("rmi", name)


@contextmanager
def container(
    image: str, models: Path, *options: str, mount: str = "/models", arguments: Sequence[str] = ()
) -> Iterator[Container]:
    """Run a stored image with OpenShift's limits and with the health check that its label names.

    Args:
        image: Its name.
        models: The folder of models, which is mounted read-only.
        options: Further options of podman.
        mount: Where.
        arguments: Those of the server.
    """
    health = podman("inspect", image, '--format={{index .Labels "io.kfp-edge.healthcheck"}}').split()
    flags = [*OPENSHIFT, f"--health-cmd={json.dumps(health)}", "--health-interval=disable", *options]
    ports = ["--publish=127.0.0.1::8080", "--publish=127.0.0.1::8081"]
    name = podman("create", *flags, *ports, f"--volume={models}:{mount}:ro", image, *arguments)
    try:
        podman("start", name)
        yield Container(name)
    finally:
        podman("rm", "--force", "--time=0", name)


@contextmanager
def _open_layer(layout: Path, digest: str) -> Iterator[tarfile.TarFile]:
    data = zstandard.ZstdDecompressor().decompress(blob_path(layout, digest).read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        yield archive


@functools.cache
def _environment() -> dict[str, str]:
    if os.geteuid() == 0 and not _may_raise_limits():
        settings = cache_folder() / "containers-test.conf"
        if not settings.is_file():
            temporary = settings.with_name(uuid.uuid4().hex)
            temporary.write_text(_RUNC)
            temporary.rename(settings)
        return {**os.environ, "CONTAINERS_CONF": str(settings)}
    return dict(os.environ)


def _may_raise_limits() -> bool:
    status = Path("/proc/self/status").read_text()
    capabilities = int(next(line for line in status.splitlines() if line.startswith("CapEff")).split()[1], 16)
    return bool(capabilities >> 24 & 1)  # CAP_SYS_RESOURCE
