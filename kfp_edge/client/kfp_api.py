"""Calls to a KFP API server, through the official client `kfp_server_api`.

`kfp.Client` lies on top of the same generated client. It prints links, reads and writes a file in the home folder,
renews none but Google's tokens and waits for ever on a cancelled run: so we call the generated client ourselves.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import kfp_server_api
import urllib3

from kfp_edge.errors import KfpApiError
from kfp_edge.runtime.process import redact

T = TypeVar("T")

#: Seconds to connect, and to wait for an answer.
TIMEOUT = (10.0, 60.0)
#: How often a call is tried that may succeed at the next attempt.
ATTEMPTS = 5
_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
#: The server was too busy to do anything.
_BUSY = (429, 503)
_PASSING = (*_BUSY, 500, 502, 504)
_SHOWN = 300


@dataclass(frozen=True)
class Endpoint:
    """Where an API server is and how it is reached.

    Attributes:
        host: `https://HOST[:PORT][/PATH]`.
        namespace: Kubernetes' namespace of the server; empty when it is not known.
        token: Gives the bearer token; it is asked again when the server no longer takes the last one.
        ca_file: The CA certificates (PEM) that sign the server's certificate; None for the public ones.
    """

    host: str
    namespace: str
    token: Callable[[], str]
    ca_file: Path | None = None


class KfpApi:
    """The services of one API server; `call` makes every call of theirs."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._token = endpoint.token()
        configuration = kfp_server_api.Configuration(
            host=endpoint.host,
            api_key={"authorization": self._token} if self._token else {},
            api_key_prefix={"authorization": "Bearer"},
        )
        configuration.ssl_ca_cert = str(endpoint.ca_file) if endpoint.ca_file else None
        # `call` knows what may be tried again; and a redirect leads to a login page for people
        configuration.retries = urllib3.Retry(0, raise_on_redirect=False)
        self._configuration = configuration
        self._api = kfp_server_api.ApiClient(configuration)
        self.experiments = kfp_server_api.ExperimentServiceApi(self._api)
        self.pipelines = kfp_server_api.PipelineServiceApi(self._api)
        self.recurring_runs = kfp_server_api.RecurringRunServiceApi(self._api)
        self.runs = kfp_server_api.RunServiceApi(self._api)
        self.uploads = kfp_server_api.PipelineUploadServiceApi(self._api)

    def call(self, what: str, function: Callable[..., T], *args: Any, repeatable: bool = True, **options: Any) -> T:
        """Make a call and return its answer; what may pass is tried again, and an expired token is read again.

        Args:
            what: What the call is for, as a verb and its object: "start the run".
            repeatable: Whether it does no harm to make the call twice. A call that is not repeatable is only tried
                again where the server surely did nothing.

        Raises:
            KfpApiError: the server cannot be reached, or refuses.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = function(*args, _request_timeout=TIMEOUT, **options)
                self._must_be_api()
            except kfp_server_api.ApiException as error:
                failure = self._refusal(what, error)
            except urllib3.exceptions.HTTPError as error:
                failure = self._no_answer(what, error)
            else:
                return answer
            if attempt < ATTEMPTS and failure.status == 401 and self._renewed():
                continue
            if failure.retryable and not failure.not_executed and not repeatable:
                raise KfpApiError(
                    f"{failure.args[0].rstrip('.')}; it may have been done all the same, so look before you try again.",
                    failure.status,
                )
            if attempt == ATTEMPTS or not failure.retryable:
                raise failure
            time.sleep(_PAUSE * 2**attempt if failure.retry_after is None else failure.retry_after)

    def get(self, what: str, path: str, **query: str) -> dict[str, Any]:
        """Read a resource for which the official client has no call; the answer is plain JSON."""

        def read(_request_timeout: tuple[float, float]) -> Any:
            return self._api.call_api(
                path,
                "GET",
                query_params=list(query.items()),
                header_params={"Accept": "application/json"},
                response_type="object",
                auth_settings=["Bearer"],
                _return_http_data_only=True,
                _request_timeout=_request_timeout,
            )

        answer: dict[str, Any] = self.call(what, read)
        return answer

    def download(self, what: str, url: str) -> bytes | None:
        """Return what lies at a signed URL, None if there is nothing; the token is not sent there.

        Raises:
            KfpApiError: the object store cannot be reached, or refuses. The URL, a secret, is not in the text.
        """
        place = urlsplit(url).netloc
        connect, read = TIMEOUT
        try:
            answer = self._api.rest_client.pool_manager.request(
                "GET", url, timeout=urllib3.Timeout(connect=connect, read=read)
            )
        except urllib3.exceptions.HTTPError:
            raise KfpApiError(
                f"cannot {what}: the object store {place} cannot be reached from here; try it inside the cluster.", 0
            ) from None
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise KfpApiError(
                f"cannot {what}: the object store {place} answered HTTP {answer.status}; try again.", answer.status
            )
        data: bytes = answer.data
        return data

    def _renewed(self) -> bool:
        """Read the token again, and tell whether it is another one."""
        before, self._token = self._token, self.endpoint.token()
        if self._token:
            self._configuration.api_key["authorization"] = self._token
        return self._token != before

    def _must_be_api(self) -> None:
        kind = self._api.last_response.getheader("content-type") or ""
        if "json" not in kind:
            raise KfpApiError(
                f"{self.endpoint.host} answers, but not as a KFP API server does ({kind or 'no content type'}); "
                "give the host of the API server, which is the route ds-pipeline-DSPA.",
                200,
            )

    def _refusal(self, what: str, error: kfp_server_api.ApiException) -> KfpApiError:
        host, status = self.endpoint.host, int(error.status)
        said = self._said(error)
        match status:
            case 401 | 301 | 302 | 303 | 307 | 308:
                sentence = (
                    f"{host} does not accept the token, which is missing, has expired or is another cluster's; "
                    "run `oc login`, or put a valid one into KFP_EDGE_TOKEN."
                )
            case 403:
                sentence = f"the token may not {what} at {host}{said}; deploy/openshift/README.md says what to allow."
            case 400 | 404 | 409:
                sentence = f"{host} refuses to {what}{said}."
            case _:
                sentence = f"{host} could not {what} (HTTP {status}{said}); try later."
        return KfpApiError(
            sentence,
            status,
            retryable=status in _PASSING,
            not_executed=status in _BUSY,
            retry_after=_retry_after(error),
        )

    def _said(self, error: kfp_server_api.ApiException) -> str:
        """Return the server's own words, if it gave some: one line, without secrets."""
        try:
            body = json.loads(error.body or "")
        except ValueError:
            return ""
        # the upload of a pipeline has an error of its own kind
        message = (body.get("message") or body.get("error_message") or "") if isinstance(body, dict) else ""
        line = redact(" ".join(str(message).split()), [self._token]).rstrip(".")
        return f": {line[:_SHOWN]}" if line else ""

    def _no_answer(self, what: str, error: urllib3.exceptions.HTTPError) -> KfpApiError:
        host = self.endpoint.host
        # the texts of urllib3 hold the whole URL
        reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
        match reason:
            case urllib3.exceptions.SSLError():
                sentence = f"the certificate of {host} is not trusted; name its CA in --ca-file (ca_file)."
                return KfpApiError(sentence, 0)
            case urllib3.exceptions.ReadTimeoutError():
                sentence = f"cannot {what}: {host} did not answer within {TIMEOUT[1]:g} s; try later."
            case urllib3.exceptions.LocationParseError():
                return KfpApiError(f"{host} is not an address; give https://HOST.", 400)
            case _:
                sentence = f"cannot {what}: {host} cannot be reached; check the address and the network."
        not_executed = isinstance(
            reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError
        )
        return KfpApiError(sentence, 0, retryable=True, not_executed=not_executed)


def _retry_after(error: kfp_server_api.ApiException) -> float | None:
    """Return how many seconds the server asks to wait, at most as long as a person would."""
    asked = (error.headers or {}).get("Retry-After", "")
    return min(float(asked), _LONGEST_PAUSE) if asked.isdigit() else None
