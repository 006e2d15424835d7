"""A real image registry for tests: Debian's docker-registry on a free port, with a login and TLS of its own CA."""

import base64
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from kfp_edge.observability.demo.certificates import write_certificates

USER = "kfp-edge-test"
PASSWORD = "a secret of the test"
# htpasswd -Bbn USER PASSWORD
_HTPASSWD = "kfp-edge-test:$2y$05$UGYF5L1gsDkwtHtyqHEuX.C00drZv8qNvXkopJReVHdwgponC6vIG\n"
_START_SECONDS = 30


@dataclass(frozen=True)
class RegistryServer:
    """Where the registry listens, and the files by which a client is let in."""

    host: str
    auth_file: Path
    cert_dir: Path

    @property
    def url(self) -> str:
        """The pipelines' parameter `registry`."""
        return f"docker://{self.host}/edge"

    def collect_garbage(self) -> None:
        """Remove what no tag leads to, as its operator would; an index does not count as a tag."""
        command = ["docker-registry", "garbage-collect", "--delete-untagged", self.auth_file.with_name("config.yml")]
        # the registry takes REGISTRY_AUTH_FILE, which is for Skopeo, as an option of its own and refuses it
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=_START_SECONDS)

    @property
    def env(self) -> dict[str, str]:
        """The variables that say how the registry is reached."""
        return {"REGISTRY_AUTH_FILE": str(self.auth_file), "KFP_EDGE_REGISTRY_CERT_DIR": str(self.cert_dir)}


@contextmanager
def registry_server(folder: Path, tls: bool = True) -> Iterator[RegistryServer]:
    """Run a registry that keeps its images in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    certificates = folder / "certificates"
    certificates.mkdir(parents=True)
    write_certificates(certificates)
    (folder / "htpasswd").write_text(_HTPASSWD)
    write_auth_file(folder / "auth.json", host, PASSWORD)
    (folder / "config.yml").write_text(json.dumps(_configuration(folder, host, tls)))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        _wait_until_up(server, f"{'https' if tls else 'http'}://{host}/v2/", certificates / "client" / "ca.crt")
        yield RegistryServer(host, folder / "auth.json", certificates / "client")
    finally:
        server.terminate()
        server.wait()


def write_auth_file(path: Path, host: str, password: str) -> None:
    """Write a containers-auth.json(5)."""
    login = base64.b64encode(f"{USER}:{password}".encode()).decode()
    path.write_text(json.dumps({"auths": {host: {"auth": login}}}))


def _configuration(folder: Path, host: str, tls: bool) -> dict[str, object]:
    http: dict[str, object] = {"addr": host, "secret": "of the upload state"}
    if tls:
        http["tls"] = {"certificate": f"{folder}/certificates/server.crt", "key": f"{folder}/certificates/server.key"}
    return {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}, "delete": {"enabled": True}},
        "http": http,
        "auth": {"htpasswd": {"realm": "kfp-edge", "path": str(folder / "htpasswd")}},
    }


def _wait_until_up(server: subprocess.Popen[bytes], url: str, ca: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, "docker-registry ended; see its log"
        try:
            assert requests.get(url, verify=ca, timeout=5, proxies={"http": "", "https": ""}).status_code == 401
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("docker-registry did not start")
