"""Downloads from web servers, with retries. Errors never show credentials or queries of a URL."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote

import requests

from kfp_edge.errors import StorageError
from kfp_edge.storage.ca_certificates import check_ca_variable
from kfp_edge.storage.files import new_folder
from kfp_edge.storage.tls_errors import is_without_tls
from kfp_edge.storage.urls import download_name, redacted_url

_CHUNK_SIZE = 1 << 20
_ATTEMPTS = 3
_BACKOFF_SECONDS = 0.3
_CONNECT_SECONDS = 10
_READ_SECONDS = 60


class _RetryableError(StorageError):
    """A failure that the next attempt may not have."""


def download(url: str, folder: Path) -> Path:
    """Download a file into `folder`, which holds nothing else, and return its path.

    Raises:
        StorageError: there is no such file, or the server refuses, fails or cannot be reached.
    """
    name = download_name(unquote(redacted_url(url).partition("://")[2].partition("/")[2]))

    def download_once() -> None:
        with new_folder(folder) as temporary, _open(url) as response, (temporary / name).open("wb") as stream:
            # urllib3 raises when the body is shorter than Content-Length
            for chunk in response.iter_content(_CHUNK_SIZE):
                stream.write(chunk)

    _retry(download_once)
    return folder / name


def check_exists(url: str) -> None:
    """Check that there is a file, without downloading it.

    With GET, since servers and presigned URLs that refuse HEAD are common.

    Raises:
        StorageError: there is no such file, or the server refuses, fails or cannot be reached.
    """

    def open_and_close() -> None:
        with _open(url):
            pass

    _retry(open_and_close)


def _retry(action: Callable[[], None]) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            action()
        except _RetryableError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_BACKOFF_SECONDS * 2**attempt)
        else:
            return


@contextmanager
def _open(url: str) -> Iterator[requests.Response]:
    check_ca_variable("REQUESTS_CA_BUNDLE")
    with (
        _translate_errors(url),
        requests.get(url, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)) as response,
    ):
        _check_status(response.status_code, url)
        yield response


def _check_status(status: int, url: str) -> None:
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        raise StorageError(f"there is nothing at {redacted_url(url)} (HTTP {status}); check the address.")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise StorageError(
            f"the server denied access to {redacted_url(url)} (HTTP {status}); "
            "check the address, and the login for it in the file that NETRC names."
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _RetryableError(
            f"the server could not send {redacted_url(url)} (HTTP {status}, {_ATTEMPTS} times); try again later."
        )
    if status != HTTPStatus.OK:
        raise StorageError(
            f"the server answered HTTP {status} for {redacted_url(url)} and sent no file; check the address."
        )


@contextmanager
def _translate_errors(url: str) -> Iterator[None]:
    """Raise a StorageError for an error of requests, which is not its cause: its text holds the whole URL."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        if is_without_tls(error):
            raise StorageError(
                f"the server of {redacted_url(url)} does not answer with TLS; check the address and its port."
            ) from None
        raise StorageError(
            f"the certificate of {redacted_url(url)} is not trusted; set REQUESTS_CA_BUNDLE to a file with its CA."
        ) from None
    except requests.exceptions.ChunkedEncodingError:
        raise _RetryableError(
            f"the download of {redacted_url(url)} was interrupted {_ATTEMPTS} times; try again later."
        ) from None
    except (requests.ConnectionError, requests.Timeout):
        raise _RetryableError(
            f"the server of {redacted_url(url)} cannot be reached; check the address and the network."
        ) from None
    except requests.RequestException:
        raise StorageError(f"cannot read {redacted_url(url)}: the address is not valid.") from None
