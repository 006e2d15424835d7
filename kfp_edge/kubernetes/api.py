"""Requests to the Kubernetes API: authentication, retries, and errors in one sentence."""

import json
import random
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import urllib3

from kfp_edge.errors import ClusterError
from kfp_edge.kubernetes.api_resources import resource_name, resource_path
from kfp_edge.kubernetes.credentials import find_credentials
from kfp_edge.kubernetes.objects import KubernetesObject
from kfp_edge.kubernetes.refusals import explain_refusal, is_admission

if TYPE_CHECKING:
    from kubernetes.client import ApiException

#: Attempts of one request, the first included.
ATTEMPTS = 5
_RETRYABLE_STATUS = frozenset({429, 500, 502, 503, 504})
#: Answered with 409 when several objects that count against one quota are created at the same moment.
_QUOTA_CONFLICT = re.compile(r"^Operation cannot be fulfilled on resourcequotas ")
_FIRST_DELAY, _MAX_DELAY = 0.5, 30.0
_CONNECT_TIMEOUT, _READ_TIMEOUT = 10.0, 60.0
_METHODS = {"get": "GET", "list": "GET", "watch": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}


@dataclass(frozen=True)
class ApiRequest:
    """One request.

    Attributes:
        verb: the verb of Kubernetes, as in RBAC rules.
        kind: a key of `API_RESOURCES`.
        read_timeout: seconds without a byte from the API after which the request fails; a minute by default.
    """

    verb: str
    kind: str
    namespace: str
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: KubernetesObject | None = None
    read_timeout: float | None = None

    def __str__(self) -> str:
        return f"{self.without_namespace} in the namespace {self.namespace}"

    @property
    def without_namespace(self) -> str:
        """The request without where it goes: `delete pods ingest-1`."""
        return " ".join(filter(None, (self.verb, resource_name(self.kind, self.subresource), self.name)))


def retry_delay(failures: int, error: ClusterError | None = None) -> float:
    """Return the seconds to wait after so many failures in a row: what the API asks for, else exponential."""
    if error and error.retry_after is not None:
        return min(error.retry_after, _MAX_DELAY)
    # jitter: clients that failed together must not retry together
    return min(_FIRST_DELAY * 2.0**failures, _MAX_DELAY) * random.uniform(0.75, 1.25)


class KubernetesApi:
    """The Kubernetes API, with the rights of the pod or the kubeconfig.

    Raises:
        ParameterError: there is neither a pod's service account nor a usable kubeconfig.
    """

    def __init__(self) -> None:
        self._authenticate()

    def _authenticate(self) -> None:
        from kubernetes.client import ApiClient

        self.credentials = find_credentials()
        self._client = ApiClient(self.credentials.configuration)

    def send(self, request: ApiRequest) -> KubernetesObject:
        """Send a request, at most `ATTEMPTS` times while the error is retryable, and return the JSON of the response.

        Raises:
            ClusterError: the API refused, or every attempt failed.
        """
        failures, possibly_applied = 0, False
        while True:
            try:
                return self.send_once(request)
            except ClusterError as error:
                error.possibly_applied = possibly_applied
                failures += 1
                if not error.retryable or failures == ATTEMPTS:
                    raise
                possibly_applied = possibly_applied or error.status != 429
                time.sleep(retry_delay(failures - 1, error))

    def send_once(self, request: ApiRequest) -> KubernetesObject:
        """Send a request once and return the JSON of the response.

        Raises:
            ClusterError: the request failed.
        """
        response = self._open(request)
        with self._translate_errors(request):
            text = response.data
        try:
            result: KubernetesObject = json.loads(text)
        except ValueError as error:
            raise ClusterError(
                f"{self._host} does not respond like a Kubernetes API to the request to {request}; "
                "check the address in the kubeconfig."
            ) from error
        return result

    def stream_lines(self, request: ApiRequest) -> Iterator[bytes]:
        """Send a request once, now, and return the lines of the response as they arrive, without newlines.

        They end when the API ends the response, or sends nothing for `request.read_timeout`, as after a lost
        connection.

        Raises:
            ClusterError: the request failed, or, while iterating, the connection was lost.
        """
        return self._read_lines(self._open(request), request)

    def _read_lines(self, response: urllib3.BaseHTTPResponse, request: ApiRequest) -> Iterator[bytes]:
        with closing(response), self._translate_errors(request):
            try:
                for line in response:
                    yield line.removesuffix(b"\n")
            except urllib3.exceptions.ReadTimeoutError:
                return

    def _open(self, request: ApiRequest) -> urllib3.BaseHTTPResponse:
        """Send a request once; if the token is refused, read it again, since it may have been renewed."""
        try:
            return self._open_authenticated(request)
        except ClusterError as error:
            if error.status != 401:
                raise
        self._authenticate()
        return self._open_authenticated(request)

    def _open_authenticated(self, request: ApiRequest) -> urllib3.BaseHTTPResponse:
        content_type = {"Content-Type": "application/merge-patch+json"} if request.verb == "patch" else {}
        with self._translate_errors(request):
            response: urllib3.BaseHTTPResponse = self._client.call_api(
                resource_path(request.kind, request.namespace, request.name, request.subresource),
                _METHODS[request.verb],
                query_params=list(request.query.items()),
                header_params={"Accept": "application/json, */*", **content_type},
                body=request.body,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=(_CONNECT_TIMEOUT, request.read_timeout or _READ_TIMEOUT),
            )
        return response

    @property
    def _host(self) -> str:
        return str(self.credentials.configuration.host)

    @contextmanager
    def _translate_errors(self, request: ApiRequest) -> Iterator[None]:
        """Raise a ClusterError in place of an error of the client."""
        from kubernetes.client import ApiException

        try:
            yield
        except ApiException as error:
            if error.status:
                raise self._status_error(request, error) from error
            reason = " ".join(str(error.reason).split())  # TLS; a retry would not help
            raise ClusterError(
                f"the Kubernetes API at {self._host} cannot be trusted ({reason}); "
                "add the CA of its certificate to the kubeconfig."
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(
                f"the connection to the Kubernetes API at {self._host} failed in the request to {request} "
                f"({type(error).__name__}); check the address, the network and its policies, then run again.",
                retryable=True,
            ) from error

    def _status_error(self, request: ApiRequest, error: "ApiException") -> ClusterError:
        status = int(error.status)
        if status == 401:
            return ClusterError(
                f"the Kubernetes API at {self._host} does not accept our token to {request}; "
                "it has expired or was revoked: log in again with `oc login`, or start the run again.",
                status,
            )
        message = _message(error)
        if status == 403 and is_admission(message):
            return ClusterError(
                f"the namespace {request.namespace} refuses our request to {request.without_namespace}: "
                f"{explain_refusal(message)}.",
                status,
            )
        if status == 403:
            return ClusterError(
                f"the Kubernetes API does not allow us to {request} ({message}); "
                "deploy/openshift/README.md lists the permissions that are needed and who grants them.",
                status,
            )
        wait = error.headers.get("Retry-After", "")
        return ClusterError(
            f"the Kubernetes API answered {status} to the request to {request}: {message}.",
            status,
            retryable=status in _RETRYABLE_STATUS or bool(_QUOTA_CONFLICT.search(message)),
            retry_after=float(wait) if wait.isdigit() else None,
        )


def _message(error: "ApiException") -> str:
    """Return the API's own message, in one line."""
    try:
        text = str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        text = str(error.reason)
    return " ".join(text.split()).rstrip(".")
