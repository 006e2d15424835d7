"""Modelcars, and the pod that KServe makes of one.

KServe (pkg/utils/storage.go, 0.20) adds an init container and a sidecar of the modelcar's image, both with arguments
and without a command, and lets the containers of the pod share their processes.
"""

import functools
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.podman import loaded_image
from kfp_edge.images.tools.apt import Apt
from kfp_edge.ml.bundle import Bundle
from support.images import image_of_files, serving_image
from support.serving_images import OPENSHIFT, Container, podman, run_podman

#: The user and group of all containers of the pod, as OpenShift gives them to a namespace.
_USER = "--user=1000680000:0"
_CHECK = '[ -d /models ] && [ "$(ls -A /models)" ] && echo OK || (echo NOK && exit 1)'
_LINK = "ln -sf /proc/$$/root/models /mnt/models && sleep infinity"


@functools.cache
def shell() -> bytes:
    """A shell in one file, with `ln`, `ls` and `sleep` in it: that of Debian's busybox-static, kept in the cache."""
    kept = cache_folder() / "tests" / "busybox-static"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as name:
            folder, apt = Path(name), Apt()
            (package,) = apt.find_packages(["busybox-static"])
            apt.download([package], folder / "packages")
            unpacked = folder / "unpacked"
            subprocess.run(["dpkg-deb", "-x", folder / "packages" / package.file, unpacked], check=True)
            (unpacked / "bin/busybox").rename(kept)
    return kept.read_bytes()


def modelcar(bundle: Bundle, registry: str, base: str) -> ImageRef:
    """The modelcar of a bundle."""
    return containerize(bundle.folder, registry, build="append", format="modelcar", modelcar_base=base)


def base_with_shell(layout: Path) -> str:
    """The address of an image with a shell, in a new layout."""
    return image_of_files(layout, {"bin/sh": shell()}, settings={"User": "1010", "Env": ["PATH=/bin"]})


@contextmanager
def kserve_pod(image: ImageRef, arguments: Sequence[str]) -> Iterator[Container]:
    """Run a modelcar, and then beside it the server with these arguments, which starts before the sidecar."""
    name = f"kfp-edge-modelcar-{uuid.uuid4().hex[:12]}"
    car, server = (f"localhost/kfp-edge/modelcar-test:{name}-{part}" for part in ("car", "server"))
    with loaded_image(image, car), loaded_image(serving_image(), server):
        try:
            checked = run_podman("run", "--rm", _USER, "--cap-drop=all", car, "sh", "-c", _CHECK)
            assert checked.stdout == "OK\n", checked.stderr
            podman("volume", "create", name)
            podman("pod", "create", f"--name={name}", "--share=pid,net,ipc", "--publish=127.0.0.1::8080")
            shared = [f"--pod={name}", f"--volume={name}:/mnt:U"]
            limits = [option for option in OPENSHIFT if not option.startswith("--user")]
            started = ["--detach", f"--name={name}-server", "--env=MODEL_INIT_MODE=async", _USER, *shared, *limits]
            podman("run", *started, server, *arguments)
            _wait_until_it_waits(Container(f"{name}-server"))
            podman("run", "--detach", _USER, "--cap-drop=all", *shared, car, "sh", "-c", _LINK)
            yield Container(f"{name}-server")
        finally:
            run_podman("pod", "rm", "--force", "--time=0", name)
            run_podman("volume", "rm", "--force", name)


def _wait_until_it_waits(server: Container) -> None:
    """Wait until a server has seen that its models are not there yet, or has ended."""
    while server.is_running() and "waiting for models" not in server.log():
        time.sleep(0.05)
