"""Who may ask: a bearer token, TLS and mutual TLS, all from files that may be replaced while the server runs."""

import hmac
import ssl
from dataclasses import dataclass
from pathlib import Path

from kfp_edge_serving.errors import StartError


@dataclass(frozen=True)
class AuthFiles:
    """Where the secrets lie; None for what is not wanted.

    `client_ca` asks clients for a certificate that it signed. Where a token is set too, either is enough.
    """

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    token: Path | None = None


@dataclass(frozen=True)
class TlsFiles:
    """The bytes of the files of TLS, in PEM."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None


class Authenticator:
    """The secrets as they were last read."""

    def __init__(self, files: AuthFiles) -> None:
        """Read all files.

        Raises:
            StartError: a file is missing or not what it should be, or a certificate is given without its key.
        """
        if (files.certificate is None) != (files.key is None):
            raise StartError("TLS needs both a certificate and its key; set --tls-cert and --tls-key.")
        if files.client_ca is not None and files.certificate is None:
            raise StartError("client certificates need TLS; set --tls-cert and --tls-key too.")
        #: Whether anyone may ask.
        self.is_open = files.token is None and files.client_ca is None
        self._files = files
        self._stamps: tuple[object, ...] = ()
        self._token: bytes | None = None
        self.tls: TlsFiles | None = None
        self.context: ssl.SSLContext | None = None
        self.reload()

    @property
    def needs_certificate(self) -> bool:
        """Whether a client certificate is the only way in, so that a connection without one is of no use."""
        return self._files.client_ca is not None and self._files.token is None

    def allows(self, authorization: bytes | None, has_certificate: bool) -> bool:
        """Return whether a request may be answered (RFC 6750, "Authorization Request Header Field").

        Args:
            authorization: The value of the header `Authorization`.
            has_certificate: Whether the client showed a certificate that the client CA signed.
        """
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
        stamps = tuple(_stamp(path) for path in self._paths())
        if stamps == self._stamps:
            return False
        token = None if self._files.token is None else _token(self._files.token)
        tls, context = self._read_tls()
        self._token, self.tls, self.context, self._stamps = token, tls, context, stamps
        return True

    def _paths(self) -> list[Path]:
        files = self._files
        return [path for path in (files.certificate, files.key, files.client_ca, files.token) if path is not None]

    def _read_tls(self) -> tuple[TlsFiles | None, ssl.SSLContext | None]:
        files = self._files
        if files.certificate is None or files.key is None:
            return None, None
        client_ca = None if files.client_ca is None else _read(files.client_ca)
        read = TlsFiles(_read(files.certificate), _read(files.key), client_ca)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(files.certificate, files.key)
        except (ssl.SSLError, OSError) as error:
            raise StartError(f"{files.certificate} and {files.key} are no certificate and its key in PEM.") from error
        if files.client_ca is not None:
            # Optional, so that probes without a certificate still reach the health of the server.
            context.verify_mode = ssl.CERT_OPTIONAL
            try:
                context.load_verify_locations(files.client_ca)
            except (ssl.SSLError, OSError) as error:
                raise StartError(f"{files.client_ca} holds no certificate in PEM.") from error
        return read, context


def _token(path: Path) -> bytes:
    token = _read(path).strip()
    if not token:
        raise StartError(f"{path} is empty; it has to hold the bearer token.")
    return token


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}.") from error


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise StartError(f"cannot read {path}: {error.strerror}.") from error
    return status.st_ino, status.st_size, status.st_mtime_ns
