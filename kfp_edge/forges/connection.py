"""Requests to the REST API of a forge: authentication, retries, pages, and errors in one sentence."""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from pydantic import BaseModel, TypeAdapter, ValidationError

from kfp_edge.errors import ForgeError
from kfp_edge.forges.refusals import Answer, ForgeProfile, Purpose, explain_refusal
from kfp_edge.forges.repository import ForgeRepository
from kfp_edge.storage.ca_certificates import check_ca_variable
from kfp_edge.storage.tls_errors import is_without_tls

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

#: Attempts of one request, the first included.
ATTEMPTS = 5
#: Seconds to connect, and to wait for an answer.
TIMEOUT = (10.0, 60.0)
#: A forge that asks for a longer pause than these seconds gets no further request.
LONGEST_PAUSE = 90.0
_FIRST_PAUSE = 0.5
_MOST_PAGES = 1000
_MOST_REDIRECTS = 3
#: What OpenSSL reports for an answer that is not TLS.


@dataclass(frozen=True)
class ForgeRequest:
    """One request.

    Attributes:
        method: Of HTTP.
        path: Below the base of the API, with escaped parts; or a whole URL of the same forge.
        purpose: What it is for, as a verb and its object, with what some statuses mean.
        body: Is sent as JSON.
        is_repeatable: Whether it does no harm to execute it twice. Others are sent again only if the forge certainly
            did nothing.
    """

    method: str
    path: str
    purpose: Purpose
    query: Mapping[str, str | int] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    is_repeatable: bool = True


class _Authorization(requests.auth.AuthBase):
    """Sends the token; as `auth`, since requests would replace a plain header by what a netrc file has for the host."""

    def __init__(self, value: str) -> None:
        self._value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._value
        return request


class Connection:
    """The API of one repository's forge. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY`)."""

    def __init__(
        self,
        profile: ForgeProfile,
        repository: ForgeRepository,
        token: str,
        *,
        scheme: str = "Bearer",
        headers: Mapping[str, str] | None = None,
        ca_file: Path | None = None,
    ) -> None:
        """Prepare the connection; nothing is sent.

        Args:
            profile: Of the forge.
            repository: Whose API it is.
            token: The access token.
            scheme: How the forge calls the token in the header `Authorization`.
            headers: Sent with each request.
            ca_file: CA certificates (PEM) of the server; None for the public ones.
        """
        self.profile = profile
        self.repository = repository
        self._secrets = (token,)
        self._ca_file = ca_file
        self._session = requests.Session()
        self._session.auth = _Authorization(f"{scheme} {token}")
        self._session.headers.update({"Accept": "application/json", "User-Agent": "kfp-edge", **(headers or {})})

    def read(self, model: type[M], request: ForgeRequest) -> M:
        """Send a request and return its answer.

        Raises:
            ForgeError: the forge refuses, fails or cannot be reached, or answers with something else.
        """
        return self._parse(TypeAdapter(model), self.send(request), request)

    def read_optional(self, model: type[M], request: ForgeRequest) -> M | None:
        """Send a request and return its answer; None if there is no such thing (HTTP 404).

        Raises:
            ForgeError: as for `read`.
        """
        try:
            return self.read(model, request)
        except ForgeError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def read_list(self, model: type[M], request: ForgeRequest) -> list[M]:
        """Send a request and return the list that it answers with.

        Raises:
            ForgeError: as for `read`.
        """
        return self._parse(TypeAdapter(list[model]), self.send(request), request)  # type: ignore[valid-type]

    def read_pages(self, model: type[M], request: ForgeRequest) -> Iterator[M]:
        """Yield the items of a list that comes in pages, each of which is requested when it is needed.

        Raises:
            ForgeError: as for `read`.
        """
        count = 0
        for page in range(1, _MOST_PAGES + 1):
            numbered = ForgeRequest(request.method, request.path, request.purpose, {**request.query, "page": page})
            response = self.send(numbered)
            items = self._parse(TypeAdapter(list[model]), response, request)  # type: ignore[valid-type]
            yield from items
            count += len(items)
            # the number of items says nothing: a server may have a lower limit than the one that was asked for
            total = response.headers.get("X-Total-Count", "")
            if not items or not ("next" in response.links or (total.isdigit() and count < int(total))):
                return

    def send(self, request: ForgeRequest) -> requests.Response:
        """Send a request, at most `ATTEMPTS` times while that may help, and return the response, which is a success.

        Raises:
            ForgeError: the forge refuses, fails or cannot be reached.
        """
        failures = 0
        while True:
            try:
                return self._send_once(request)
            except ForgeError as error:
                failures += 1
                if not error.retryable or failures == ATTEMPTS:
                    raise
                if not (request.is_repeatable or error.not_executed):
                    raise ForgeError(
                        f"{str(error).rstrip('.')}; it may have been done all the same, so look before you repeat it.",
                        error.status,
                        reason=error.reason,
                    ) from error
                pause = _pause(failures, error)
                if pause > LONGEST_PAUSE:
                    until = time.strftime("%H:%M:%S UTC", time.gmtime(time.time() + pause))
                    raise ForgeError(
                        f"{str(error).rstrip('.')}: it asks to wait until {until}.", error.status, reason=error.reason
                    ) from error
            time.sleep(pause)

    def _send_once(self, request: ForgeRequest) -> requests.Response:
        url = urljoin(f"{self.repository.api_url}/", request.path)
        for _ in range(_MOST_REDIRECTS):
            response = self._transfer(request, url)
            location = urljoin(url, response.headers.get("Location", ""))
            if not response.is_redirect or urlsplit(location)[:2] != urlsplit(self.repository.api_url)[:2]:
                break
            # a repository that was renamed; requests would turn a POST into a GET
            url = location
        if response.ok and not response.is_redirect:
            return response
        raise explain_refusal(
            self.profile,
            self.repository.host,
            self.repository.path,
            request.purpose,
            Answer(response.status_code, response.text, response.headers),
            self._secrets,
        )

    def _transfer(self, request: ForgeRequest, url: str) -> requests.Response:
        check_ca_variable("REQUESTS_CA_BUNDLE")
        try:
            return self._session.request(
                request.method,
                url,
                params=dict(request.query) if url.partition("?")[1] == "" else None,
                json=request.body,
                timeout=TIMEOUT,
                allow_redirects=False,
                # given here, since requests prefers REQUESTS_CA_BUNDLE to what a session has
                verify=str(self._ca_file) if self._ca_file else True,
            )
        except requests.RequestException as error:
            raise self._connection_error(request, error) from None

    def _connection_error(self, request: ForgeRequest, error: requests.RequestException) -> ForgeError:
        host = self.repository.host
        match error:
            case requests.exceptions.SSLError() if "ostname mismatch" in str(error) or "IP address mismatch" in str(
                error
            ):
                return ForgeError(f"the certificate of {host} is one of another host; check the address of the forge.")
            case requests.exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
                return ForgeError(
                    f"the certificate of {host} is not trusted; set KFP_EDGE_FORGE_CA_FILE to a file with its CA."
                )
            case requests.exceptions.SSLError() if is_without_tls(error):
                return ForgeError(f"{host} does not answer with TLS; check the address and the port of the forge.")
            case requests.exceptions.ProxyError():
                message = f"the proxy for {host} cannot be reached or refuses; check HTTPS_PROXY and NO_PROXY."
            case requests.ReadTimeout():
                message = f"{host} did not {request.purpose.action} within {TIMEOUT[1]:g} s; try later."
            case requests.ConnectionError() | requests.Timeout() | requests.exceptions.ChunkedEncodingError():
                message = (
                    f"{host} cannot be reached to {request.purpose.action}; "
                    "check the address of the forge and the network."
                )
            case _:
                return ForgeError(f"{host} is not an address to which a request can be sent; check it.")
        return ForgeError(message, retryable=True, not_executed=_never_arrived(error))

    def _parse(self, adapter: TypeAdapter[T], response: requests.Response, request: ForgeRequest) -> T:
        try:
            return adapter.validate_json(response.content)
        except ValidationError as error:
            what = error.errors()[0]["msg"] if "json" in response.headers.get("Content-Type", "") else "it is no JSON"
            raise ForgeError(
                f"the answer of {self.repository.api_url} to the request to {request.purpose.action} is not one of "
                f"{self.profile.name} ({what}); check the kind of the forge and the address of its API.",
                HTTPStatus.OK,
            ) from error


def _never_arrived(error: requests.RequestException) -> bool:
    """Whether there was no connection, so that the forge has not got the request."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = error.args[0] if error.args else None
    return isinstance(getattr(reason, "reason", None), urllib3.exceptions.NewConnectionError)


def _pause(failures: int, error: ForgeError) -> float:
    """Return the seconds to wait after so many failures in a row: what the forge asks for, else exponential."""
    if error.retry_after is not None:
        return error.retry_after
    # jitter: clients that failed together must not retry together
    return _FIRST_PAUSE * 2.0 ** (failures - 1) * random.uniform(0.75, 1.25)
