"""HTTP requests to one repository of a registry (OCI Distribution Specification), for what Skopeo has no command for.

Credentials, certificates and rights are those that Skopeo uses (`kfp_edge.images.tools.skopeo`).
"""

import base64
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin

import certifi
import requests

from kfp_edge.errors import ImageError, StorageError
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.tools.skopeo import PLAIN_HTTP, REFUSED_LOGIN, UNREACHABLE, UNTRUSTED, is_insecure_allowed
from kfp_edge.storage.tls_errors import is_without_tls

#: Seconds to connect, and until the next byte of the response.
_TIMEOUT = (10, 30)
#: The same with a file as the body: a registry on a slow disk takes it with pauses, and then verifies all of it.
_UPLOAD_TIMEOUT = (60, 600)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
#: On Debian, and on Red Hat Enterprise Linux.
_SYSTEM_CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
#: Where a registry has another name in image references than its API has.
_API_HOSTS = {"docker.io": "registry-1.docker.io"}
#: What every token is asked for; to delete takes another right.
_ACTIONS = ("pull", "push")
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


class RegistrySession:
    """Requests to a repository, which log in when the registry asks for it."""

    def __init__(self, repository: ImageRepository, session: requests.Session) -> None:
        self.repository = repository
        self._session = session
        self._host, _, self.name = repository.path.partition("/")
        self._root = f"https://{_API_HOSTS.get(self._host, self._host)}/v2/"

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Callable[[], BinaryIO] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        stream: bool = False,
        also_reads: str = "",
    ) -> requests.Response:
        """Send a request and return the response, whatever its status is, except that of a refused login.

        Args:
            method: The method of HTTP.
            path: Below the repository, such as `blobs/uploads/`, or an address that the registry gave.
            body: What is sent; a file is opened again where the request is repeated after a login.
            headers: Headers of the request.
            params: The query, added to that of `path`.
            stream: Whether the body of the response is read by the caller.
            also_reads: Another repository of this registry, which a mount reads.

        Raises:
            ImageError: the registry refuses the login, cannot be reached or is not trusted.
        """

        def send() -> requests.Response:
            return self._send(method, path, body, headers, params, stream=stream)

        response = self._ask(send, also_reads)
        if response.status_code in _DENIED:
            raise ImageError(f"{self.repository} {REFUSED_LOGIN}")
        return response

    def cancel_upload(self, location: str) -> None:
        """Cancel an upload; a registry that does not let one do so deletes it after some time.

        Raises:
            ImageError: the registry cannot be reached.
        """
        self._ask(lambda: self._send("DELETE", location, None, None, None, stream=False), "")

    def _ask(self, send: Callable[[], requests.Response], also_reads: str) -> requests.Response:
        try:
            response = self._first(send)
            if response.status_code == HTTPStatus.UNAUTHORIZED and self._log_in(response, also_reads):
                response.close()
                response = send()
        except requests.exceptions.SSLError as error:
            raise ImageError(f"{self.repository} {PLAIN_HTTP if is_without_tls(error) else UNTRUSTED}") from None
        except requests.RequestException:
            raise ImageError(f"{self.repository} {UNREACHABLE}") from None
        return response

    def _first(self, send: Callable[[], requests.Response]) -> requests.Response:
        try:
            return send()
        except requests.ConnectionError:
            if not is_insecure_allowed(self._host) or self._root.startswith("http:"):
                raise
            self._root = f"http://{self._host}/v2/"
            return send()

    def _send(
        self,
        method: str,
        path: str,
        body: Callable[[], BinaryIO] | bytes | None,
        headers: Mapping[str, str] | None,
        params: Mapping[str, str] | None,
        *,
        stream: bool,
    ) -> requests.Response:
        url = urljoin(f"{self._root}{self.name}/", path)
        if not callable(body):
            return self._session.request(
                method, url, data=body, headers=headers, params=params, stream=stream, timeout=_TIMEOUT
            )
        with body() as opened:
            return self._session.request(
                method, url, data=opened, headers=headers, params=params, stream=stream, timeout=_UPLOAD_TIMEOUT
            )

    def _log_in(self, response: requests.Response, also_reads: str) -> bool:
        """Take on the header that a challenge asks for (RFC 9110, section 11; Docker token authentication)."""
        authorization = self._authorize(response, also_reads)
        if authorization:
            self._session.headers["Authorization"] = authorization
        return bool(authorization)

    def _authorize(self, response: requests.Response, also_reads: str) -> str:
        challenge = response.headers.get("WWW-Authenticate", "")
        parameters = dict(_PARAMETER.findall(challenge))
        login = _read_login(self.repository)
        if challenge.lower().startswith("basic"):
            return f"Basic {login}" if login else ""
        if not challenge.lower().startswith("bearer") or "realm" not in parameters:
            return ""
        asked = [scope for scope in parameters.get("scope", "").split() if not _is_granted(scope)]
        others = [f"repository:{also_reads}:pull"] if also_reads else []
        scopes = [f"repository:{self.name}:{','.join(_ACTIONS)}", *others, *asked]
        query = [("service", parameters.get("service", "")), *(("scope", scope) for scope in scopes)]
        headers = {"Authorization": f"Basic {login}"} if login else {}
        answer = self._session.get(parameters["realm"], params=query, headers=headers, timeout=_TIMEOUT)
        if not answer.ok:
            return ""
        body = answer.json()
        return f"Bearer {body.get('token') or body.get('access_token', '')}"


@contextmanager
def open_session(repository: ImageRepository) -> Iterator[RegistrySession]:
    """Yield a session with the registry of a repository, which trusts the same certificates as Skopeo.

    Raises:
        StorageError: there is no room for a temporary file.
    """
    host = repository.path.partition("/")[0]
    with requests.Session() as session, _ca_bundle() as bundle:
        session.verify = False if is_insecure_allowed(host) else str(bundle)
        session.trust_env = False  # a login of ~/.netrc is not skopeo's
        session.proxies.update(requests.utils.get_environ_proxies(f"https://{host}"))
        yield RegistrySession(repository, session)


@contextmanager
def _ca_bundle() -> Iterator[Path]:
    """Yield a temporary file with all certificates that are trusted."""
    with ExitStack() as stack:
        try:
            bundle = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kfp-edge-"))) / "ca.pem"
            bundle.write_bytes(b"\n".join(path.read_bytes() for path in _ca_files() if path.is_file()))
        except OSError as error:
            raise StorageError(
                f"cannot copy the trusted certificates into a temporary file: {error.strerror}; free some space, or "
                "name another folder in TMPDIR."
            ) from error
        yield bundle


def describe_status(response: requests.Response) -> str:
    """Return the status of a response and the code of the registry's error ("Error codes")."""
    try:
        code = f", {response.json()['errors'][0]['code']}"
    except (ValueError, LookupError, TypeError):
        code = ""
    return f"HTTP {response.status_code}{code}"


def _is_granted(scope: str) -> bool:
    """Whether a scope such as `repository:team/press:pull` asks for nothing more than every token does."""
    return set(scope.rpartition(":")[2].split(",")) <= set(_ACTIONS)


def _ca_files() -> list[Path]:
    """Return the files with the CAs that a program in Go trusts, and those of the registry."""
    system = [Path(file) for file in (os.environ.get("SSL_CERT_FILE"), *_SYSTEM_CA_FILES) if file]
    folder = os.environ.get("KFP_EDGE_REGISTRY_CERT_DIR")
    return [Path(certifi.where()), *system, *(sorted(Path(folder).glob("*.crt")) if folder else ())]


def _read_login(repository: ImageRepository) -> str:
    """Return `user:password` in Base64 for a repository, empty if there is none (containers-auth.json(5))."""
    for path in _auth_files():
        try:
            logins = json.loads(path.read_bytes()).get("auths", {})
        except (OSError, ValueError, AttributeError):
            continue
        parts = repository.path.split("/")
        for length in range(len(parts), 0, -1):
            login = logins.get("/".join(parts[:length]), {})
            if "auth" in login:
                return str(login["auth"])
            if "username" in login:
                return base64.b64encode(f"{login['username']}:{login.get('password', '')}".encode()).decode()
    return ""


def _auth_files() -> list[Path]:
    if file := os.environ.get("REGISTRY_AUTH_FILE"):
        return [Path(file)]
    run = os.environ.get("XDG_RUNTIME_DIR") or f"/run/containers/{os.getuid()}"
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    docker = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    return [Path(run, "containers/auth.json"), Path(config, "containers/auth.json"), Path(docker, "config.json")]
