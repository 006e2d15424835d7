"""Authentication: a bearer token, TLS and mutual TLS, from files that may be replaced while the server runs."""

import hmac
import ssl
from dataclasses import dataclass
from pathlib import Path

from kfp_edge_serving.errors import RequestError, StartError


@dataclass(frozen=True)
class AuthFiles:
    """The files of certificates and secrets; None for what is not used.

    With `client_ca`, clients are asked for a certificate signed by it. If a token is set too, either gives access.
    """

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    token: Path | None = None


@dataclass(frozen=True)
class TlsFiles:
    """The contents of the files for TLS, in PEM."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None


class Authenticator:
    """Checks requests against the secrets as they were last read."""

    def __init__(self, files: AuthFiles) -> None:
        """Read all files.

        Raises:
            StartError: a file is missing or not what it should be, or a certificate is given without its key.
        """
        if (files.certificate is None) != (files.key is None):
            raise StartError("TLS needs both a certificate and its key; set --tls-cert and --tls-key.")
        if files.client_ca is not None and files.certificate is None:
            raise StartError("client certificates need TLS; set --tls-cert and --tls-key too.")
        #: Whether every request is allowed.
        self.is_open = files.token is None and files.client_ca is None
        self._files = files
        self._versions: tuple[FileVersion, ...] = ()
        self._token: bytes | None = None
        self.tls: TlsFiles | None = None
        self.context: ssl.SSLContext | None = None
        self.reload()

    @property
    def needs_certificate(self) -> bool:
        """Whether nothing but a client certificate gives access, so that a connection without one is of no use."""
        return self._files.client_ca is not None and self._files.token is None

    def check(self, authorization: bytes | None, has_certificate: bool) -> None:
        """Check that a request may be answered.

        Args:
            authorization: The value of the header `Authorization`.
            has_certificate: Whether the client has a certificate that the client CA signed.

        Raises:
            RequestError: neither the token nor the certificate gives access.
        """
        if not self.allows(authorization, has_certificate):
            message = "this server requires a bearer token or a client certificate; the request has no valid one."
            raise RequestError(message, 401)

    def allows(self, authorization: bytes | None, has_certificate: bool) -> bool:
        """Return whether a request may be answered (RFC 6750, "Authorization Request Header Field"), see `check`."""
        if self.is_open or (has_certificate and self._files.client_ca is not None):
            return True
        if self._token is None or authorization is None:
            return False
        scheme, _, token = authorization.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)

    def reload(self) -> bool:
        """Read the files again if any was replaced, and return whether one was.

        Raises:
            StartError: a file is missing or not what it should be; what was read before stays in force.
        """
        versions = tuple(_file_version(path) for path in self._paths())
        if versions == self._versions:
            return False
        token = None if self._files.token is None else _read_token(self._files.token)
        tls, context = self._read_tls()
        self._token, self.tls, self.context, self._versions = token, tls, context, versions
        return True

    def _paths(self) -> list[Path]:
        files = self._files
        return [path for path in (files.certificate, files.key, files.client_ca, files.token) if path is not None]

    def _read_tls(self) -> tuple[TlsFiles | None, ssl.SSLContext | None]:
        files = self._files
        if files.certificate is None or files.key is None:
            return None, None
        client_ca = None if files.client_ca is None else _read(files.client_ca)
        tls = TlsFiles(_read(files.certificate), _read(files.key), client_ca)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(files.certificate, files.key)
        except (ssl.SSLError, OSError) as error:
            raise StartError(
                f"{files.certificate} and {files.key} are not a certificate and its key in PEM."
            ) from error
        if files.client_ca is not None:
            # optional, so that probes without a certificate still reach the health endpoints
            context.verify_mode = ssl.CERT_OPTIONAL
            try:
                context.load_verify_locations(files.client_ca)
            except (ssl.SSLError, OSError) as error:
                raise StartError(f"{files.client_ca} holds no certificate in PEM.") from error
        return tls, context


#: What differs once a file was replaced: inode, size and time of modification.
FileVersion = tuple[int, int, int]


def _read_token(path: Path) -> bytes:
    token = _read(path).strip()
    if not token:
        raise StartError(f"{path} is empty; it must hold the bearer token.")
    return token


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}.") from error


def _file_version(path: Path) -> FileVersion:
    try:
        status = path.stat()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}.") from error
    return status.st_ino, status.st_size, status.st_mtime_ns
