"""Whether a registry accepts images, asked by starting an upload that is cancelled at once.

That is how the OCI Distribution Specification lets a client ask ("Pushing blobs"): credentials, certificate and rights
are those that skopeo uses for the push (`kfp_edge.images.tools.skopeo`).
"""

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin

import certifi
import requests

from kfp_edge.errors import ImageError
from kfp_edge.images.oci.references import ImageRepository
from kfp_edge.images.tools.skopeo import REFUSED_LOGIN, UNREACHABLE, UNTRUSTED, is_insecure_allowed

_CONNECT_SECONDS = 10
_READ_SECONDS = 30
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
#: On Debian, and on Red Hat Enterprise Linux.
_SYSTEM_CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def check_push_access(repository: ImageRepository) -> None:
    """Check that images can be pushed to a repository, or written to a layout folder; nothing is left there.

    Raises:
        ImageError: the registry refuses, cannot be reached or is not trusted, or the folder cannot be written to.
    """
    if repository.host is None:
        _check_folder(Path(repository.path))
        return
    with _open_session(repository.host) as session:
        try:
            response = _start_upload(session, repository)
        except requests.exceptions.SSLError:
            raise ImageError(f"{repository} {UNTRUSTED}") from None
        except requests.RequestException:
            raise ImageError(f"{repository} {UNREACHABLE}") from None
    if response.status_code in _DENIED:
        raise ImageError(f"{repository} {REFUSED_LOGIN}")
    if response.status_code != HTTPStatus.ACCEPTED:
        raise ImageError(
            f"{repository} accepts no images (HTTP {response.status_code}{_error_code(response)}); "
            "create the repository in the registry, or check registry and model_name."
        )


def _check_folder(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise ImageError(f"cannot write images to {folder}: {existing} is not a folder; name another one in registry.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ImageError(f"cannot write images to {folder}: {existing} is not writable; name another one in registry.")


@contextmanager
def _open_session(host: str) -> Iterator[requests.Session]:
    """Yield a session that trusts the same certificates as skopeo."""
    with requests.Session() as session, tempfile.NamedTemporaryFile(suffix=".pem") as bundle:
        if is_insecure_allowed(host):
            session.verify = False
        else:
            bundle.write(b"\n".join(path.read_bytes() for path in _ca_files() if path.is_file()))
            bundle.flush()
            session.verify = bundle.name
        session.trust_env = False  # a login of ~/.netrc is not skopeo's
        session.proxies.update(requests.utils.get_environ_proxies(f"https://{host}"))
        yield session


def _ca_files() -> list[Path]:
    """Return the files with the CAs that a program in Go trusts, and those of the registry."""
    system = [Path(file) for file in (os.environ.get("SSL_CERT_FILE"), *_SYSTEM_CA_FILES) if file]
    folder = os.environ.get("KFP_EDGE_REGISTRY_CERT_DIR")
    return [Path(certifi.where()), *system, *(sorted(Path(folder).glob("*.crt")) if folder else ())]


def _start_upload(session: requests.Session, repository: ImageRepository) -> requests.Response:
    """Start an upload, cancel it, and return the response to its start."""
    host, _, name = repository.path.partition("/")
    address = f"https://{host}/v2/{name}/blobs/uploads/"
    timeout = (_CONNECT_SECONDS, _READ_SECONDS)
    try:
        response = session.post(address, timeout=timeout)
    except requests.ConnectionError:
        if not is_insecure_allowed(host):
            raise
        address = f"http://{host}/v2/{name}/blobs/uploads/"
        response = session.post(address, timeout=timeout)
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        authorization = _authorize(session, response, repository)
        if not authorization:
            return response
        session.headers["Authorization"] = authorization
        response = session.post(address, timeout=timeout)
    if response.status_code == HTTPStatus.ACCEPTED and (location := response.headers.get("Location")):
        # a registry that cannot cancel an upload deletes it after some time
        session.delete(urljoin(address, location), timeout=timeout)
    return response


def _authorize(session: requests.Session, response: requests.Response, repository: ImageRepository) -> str:
    """Return the header that the registry's challenge asks for (RFC 9110, section 11; Docker token authentication)."""
    challenge = response.headers.get("WWW-Authenticate", "")
    parameters = dict(_PARAMETER.findall(challenge))
    login = _read_login(repository)
    if challenge.lower().startswith("basic"):
        return f"Basic {login}" if login else ""
    if not challenge.lower().startswith("bearer") or "realm" not in parameters:
        return ""
    name = repository.path.partition("/")[2]
    query = {"service": parameters.get("service", ""), "scope": f"repository:{name}:pull,push"}
    headers = {"Authorization": f"Basic {login}"} if login else {}
    answer = session.get(parameters["realm"], params=query, headers=headers, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
    if not answer.ok:
        return ""
    body = answer.json()
    return f"Bearer {body.get('token') or body.get('access_token', '')}"


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


def _error_code(response: requests.Response) -> str:
    """Return the code of the registry's error (OCI Distribution Specification, "Error codes")."""
    try:
        return f", {response.json()['errors'][0]['code']}"
    except (ValueError, LookupError, TypeError):
        return ""
