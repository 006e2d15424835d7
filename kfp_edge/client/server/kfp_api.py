"""Calls to a KFP API server, through the official client `kfp_server_api`.

`kfp.Client` wraps the same generated client. But it prints links, reads and writes a file in the home folder, renews
only Google's tokens and waits forever for a cancelled run: so we call the generated client directly.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import kfp_server_api
import urllib3

from kfp_edge.client.runs.dashboard import find_dashboard
from kfp_edge.client.server.server_messages import is_permanent, read_message
from kfp_edge.errors import KfpApiError
from kfp_edge.kubernetes import Cluster
from kfp_edge.storage.files import JsonObject
from kfp_edge.storage.tls_errors import is_without_tls
from kfp_edge.wording import repeat_command

T = TypeVar("T")

#: Seconds to connect, and to wait for a response.
TIMEOUT = (10.0, 60.0)
#: How often a call is tried that may succeed at the next attempt.
ATTEMPTS = 5
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 30.0
#: The server was too busy to execute the call.
_BUSY = (429, 503)
_RETRYABLE = (*_BUSY, 500, 502, 504)
#: What OpenSSL reports for an answer that is not TLS.


@dataclass(frozen=True)
class Endpoint:
    """The address of an API server and how to authenticate.

    Attributes:
        host: `https://HOST[:PORT][/PATH]`.
        namespace: The Kubernetes namespace of the server; empty when it is unknown.
        token: Returns the bearer token; called again when the server no longer accepts the last one.
        ca_file: The CA certificates (PEM) that sign the server's certificate; None for the public ones.
        cluster: Where the pods of runs can be looked at; None if there is no cluster to ask.
        is_in_cluster: Whether the server certainly runs its pipelines in `cluster`, which has its address.
        has_own_ca_file: Whether the user has named `ca_file`.
    """

    host: str
    namespace: str
    token: Callable[[], str]
    ca_file: Path | None = None
    cluster: Cluster | None = None
    is_in_cluster: bool = False
    has_own_ca_file: bool = False

    def repeat_command(self, command: str) -> str:
        """Return a command of `kfp-edge` for this server, as a user can paste it."""
        host = "" if self.is_in_cluster else self.host
        return repeat_command(command, self.namespace, host, self.ca_file if self.has_own_ca_file else None)


class KfpApi:
    """The services of one API server; every call of theirs goes through `call`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._token = endpoint.token()
        configuration = kfp_server_api.Configuration(
            host=endpoint.host,
            api_key={"authorization": self._token} if self._token else {},
            api_key_prefix={"authorization": "Bearer"},
        )
        configuration.ssl_ca_cert = str(endpoint.ca_file) if endpoint.ca_file else None
        # `call` knows what may be retried; and a redirect leads to a login page for browsers
        configuration.retries = urllib3.Retry(0, raise_on_redirect=False)
        self._configuration = configuration
        self._api = kfp_server_api.ApiClient(configuration)
        self.experiments = kfp_server_api.ExperimentServiceApi(self._api)
        self.pipelines = kfp_server_api.PipelineServiceApi(self._api)
        self.recurring_runs = kfp_server_api.RecurringRunServiceApi(self._api)
        self.runs = kfp_server_api.RunServiceApi(self._api)
        self.uploads = kfp_server_api.PipelineUploadServiceApi(self._api)

    @cached_property
    def dashboard(self) -> str:
        """The address of the dashboard in which people look at runs; empty if it is below the host."""
        endpoint = self.endpoint
        return find_dashboard(endpoint.cluster) if endpoint.cluster is not None and endpoint.is_in_cluster else ""

    def call(self, action: str, method: Callable[..., T], *args: Any, is_idempotent: bool = True, **options: Any) -> T:
        """Make a call and return its response; transient failures are retried, and an expired token is read again.

        Args:
            action: The purpose of the call for error messages, as a verb and its object: "start the run".
            method: The method of the generated client.
            args: Its positional arguments.
            is_idempotent: Whether it does no harm to make the call twice. A call that is not idempotent is retried
                only if the server certainly did not execute it.
            options: Its keyword arguments.

        Raises:
            KfpApiError: the server cannot be reached, or refuses.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                response = method(*args, _request_timeout=TIMEOUT, **options)
                self._check_is_api_response()
            except kfp_server_api.ApiException as error:
                failure = self._refusal_error(action, error)
            except urllib3.exceptions.HTTPError as error:
                failure = self._connection_error(action, error)
            else:
                return response
            if attempt < ATTEMPTS and failure.status == 401 and self._renew_token():
                continue
            if failure.retryable and not failure.not_executed and not is_idempotent:
                raise KfpApiError(
                    f"{failure.args[0].rstrip('.')}; it may have succeeded, so check before you try again.",
                    failure.status,
                )
            if attempt == ATTEMPTS or not failure.retryable:
                raise failure
            time.sleep(_FIRST_PAUSE * 2**attempt if failure.retry_after is None else failure.retry_after)

    def get(self, action: str, path: str, **query: str) -> JsonObject:
        """Read a resource for which the official client has no method; the response is plain JSON."""

        def read(_request_timeout: tuple[float, float]) -> JsonObject:
            response: JsonObject = self._api.call_api(
                path,
                "GET",
                query_params=list(query.items()),
                header_params={"Accept": "application/json"},
                response_type="object",
                auth_settings=["Bearer"],
                _return_http_data_only=True,
                _request_timeout=_request_timeout,
            )
            return response

        return self.call(action, read)

    def download(self, action: str, url: str) -> bytes | None:
        """Return the object at a signed URL, None if there is none; the token is not sent there.

        Raises:
            KfpApiError: the object store cannot be reached, or refuses. The message omits the URL, which is a secret.
        """
        store = urlsplit(url).netloc
        connect, read = TIMEOUT
        try:
            response = self._api.rest_client.pool_manager.request(
                "GET", url, timeout=urllib3.Timeout(connect=connect, read=read)
            )
        except urllib3.exceptions.HTTPError:
            raise KfpApiError(
                f"cannot {action}: the object store {store} cannot be reached from here; try it inside the cluster."
            ) from None
        if response.status == 404:
            return None
        if response.status != 200:
            raise KfpApiError(
                f"cannot {action}: the object store {store} answered HTTP {response.status}; try again.",
                response.status,
            )
        data: bytes = response.data
        return data

    def _renew_token(self) -> bool:
        """Read the token again, and return whether it has changed."""
        before, self._token = self._token, self.endpoint.token()
        if self._token:
            self._configuration.api_key["authorization"] = self._token
        return self._token != before

    def _check_is_api_response(self) -> None:
        content_type = self._api.last_response.getheader("content-type") or ""
        if "json" not in content_type:
            raise KfpApiError(
                f"{self.endpoint.host} answers, but not like a KFP API server ({content_type or 'no content type'}); "
                "give the host of the API server, which is the route ds-pipeline-DSPA.",
                200,
            )

    def _refusal_error(self, action: str, error: kfp_server_api.ApiException) -> KfpApiError:
        host, status = self.endpoint.host, int(error.status)
        message = read_message(error, [self._token])
        reason = f": {message}" if message else ""
        permanent = is_permanent(status, message)
        match status:
            case 401 | 301 | 302 | 303 | 307 | 308:
                sentence = (
                    f"{host} does not accept the token, which is missing, has expired or is another cluster's; "
                    "run `oc login`, or put a valid one into KFP_EDGE_TOKEN."
                )
            case 403 if not self._token:
                sentence = (
                    f"{host} refuses to {action} without a token; run `oc login`, or put one into KFP_EDGE_TOKEN."
                )
            case 403:
                sentence = (
                    f"the token may not {action} at {host}{reason}; "
                    "deploy/openshift/README.md lists the rights that it needs."
                )
            case 500 if permanent:
                sentence = f"{host} could not {action}{reason}."
            case _ if status < 500 and status not in _RETRYABLE:
                sentence = f"{host} refuses to {action}{reason or f' (HTTP {status})'}."
            case _:
                sentence = f"{host} could not {action} (HTTP {status}{reason}); try later."
        return KfpApiError(
            sentence,
            status,
            retryable=status in _RETRYABLE and not permanent,
            not_executed=status in _BUSY,
            retry_after=_retry_after(error),
        )

    def _connection_error(self, action: str, error: urllib3.exceptions.HTTPError) -> KfpApiError:
        host = self.endpoint.host
        # the messages of urllib3 contain the whole URL
        reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
        match reason:
            case urllib3.exceptions.SSLError() if is_without_tls(reason):
                return KfpApiError(
                    f"{host} does not answer with TLS; check the port, or give http://HOST for a forwarded port."
                )
            case urllib3.exceptions.SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(reason):
                return KfpApiError(f"the certificate of {host} is not trusted; name its CA in --ca-file (ca_file).")
            case urllib3.exceptions.ReadTimeoutError():
                message = f"cannot {action}: {host} did not answer within {TIMEOUT[1]:g} s; try later."
            case urllib3.exceptions.LocationParseError():
                return KfpApiError(f"{host} is not an address; give https://HOST.", 400)
            case _:
                message = f"cannot {action}: {host} cannot be reached; check the address and the network."
        not_executed = isinstance(
            reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError
        )
        return KfpApiError(message, retryable=True, not_executed=not_executed)


def _retry_after(error: kfp_server_api.ApiException) -> float | None:
    """Return how many seconds the server asks to wait, at most `_LONGEST_PAUSE`."""
    seconds = (error.headers or {}).get("Retry-After", "")
    return min(float(seconds), _LONGEST_PAUSE) if seconds.isdigit() else None
