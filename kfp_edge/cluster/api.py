"""Single requests to the Kubernetes API: signed, tried again where that helps, their failures told in a sentence."""

import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import urllib3

from kfp_edge.cluster import kinds
from kfp_edge.cluster.credentials import find_credentials
from kfp_edge.errors import ClusterError

if TYPE_CHECKING:
    from kubernetes.client import ApiException

#: Tries of one request, the first included.
ATTEMPTS = 5
_PASSING = frozenset({429, 500, 502, 503, 504})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0
_METHODS = {"get": "GET", "list": "GET", "watch": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}


@dataclass(frozen=True)
class ApiRequest:
    """One request.

    `verb` is Kubernetes' own word, as in rules of access; `silence` is how long the API may say nothing, in seconds:
    a minute, unless it says otherwise.
    """

    verb: str
    kind: str
    namespace: str
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    silence: float | None = None

    def __str__(self) -> str:
        resource = kinds.resource(self.kind, self.subresource)
        return " ".join(filter(None, (self.verb, resource, self.name))) + f" in the namespace {self.namespace}"


def pause(failures: int, error: ClusterError | None = None) -> float:
    """Seconds to wait after so many failures in a row: what the API asked for, else twice as long each time."""
    if error and error.retry_after is not None:
        return min(error.retry_after, _LONGEST_PAUSE)
    # Clients that failed together must not come back together.
    return min(_FIRST_PAUSE * 2.0**failures, _LONGEST_PAUSE) * random.uniform(0.75, 1.25)


class KubernetesApi:
    """The Kubernetes API, with the rights of the pod or the kubeconfig.

    Raises:
        KfpEdgeError: there is neither a pod's service account nor a usable kubeconfig.
    """

    def __init__(self) -> None:
        self._sign_in()

    def _sign_in(self) -> None:
        from kubernetes.client import ApiClient

        self.access = find_credentials()
        self._client = ApiClient(self.access.configuration)

    def call(self, request: ApiRequest) -> dict[str, Any]:
        """Send a request and read the JSON of its answer; what looks passing is tried up to `ATTEMPTS` times.

        Raises:
            ClusterError: the API refused, or failed each time.
        """
        failures, uncertain = 0, False
        while True:
            try:
                return self.try_once(request)
            except ClusterError as error:
                error.possibly_applied = uncertain
                failures += 1
                if not error.retryable or failures == ATTEMPTS:
                    raise
                uncertain = uncertain or error.status != 429
                time.sleep(pause(failures - 1, error))

    def try_once(self, request: ApiRequest) -> dict[str, Any]:
        """Send a request once and read the JSON of its answer.

        Raises:
            ClusterError: it failed.
        """
        response = self._send(request)
        with self._told(request):
            text = response.data
        try:
            answer: dict[str, Any] = json.loads(text)
        except ValueError as error:
            raise ClusterError(
                f"{self.access.configuration.host} does not answer like a Kubernetes API, asked to {request}; "
                "check the address in the kubeconfig.",
                0,
            ) from error
        return answer

    def lines(self, request: ApiRequest) -> Iterator[bytes]:
        """Send a request once, now, and give the lines of its answer as they come, without their newlines.

        They end when the API ends them or has been silent for `request.silence`, as a broken connection is, too.

        Raises:
            ClusterError: the request failed, or, from the lines, the connection was lost.
        """
        return self._lines(self._send(request), request)

    def _lines(self, response: urllib3.BaseHTTPResponse, request: ApiRequest) -> Iterator[bytes]:
        with closing(response), self._told(request):
            try:
                for line in response:
                    yield line.removesuffix(b"\n")
            except urllib3.exceptions.ReadTimeoutError:
                return

    def _send(self, request: ApiRequest) -> urllib3.BaseHTTPResponse:
        """Send a request once; a token that is not accepted is read again, for it may have been replaced since."""
        try:
            return self._send_signed(request)
        except ClusterError as error:
            if error.status != 401:
                raise
        self._sign_in()
        return self._send_signed(request)

    def _send_signed(self, request: ApiRequest) -> urllib3.BaseHTTPResponse:
        patching = {"Content-Type": "application/merge-patch+json"} if request.verb == "patch" else {}
        with self._told(request):
            response: urllib3.BaseHTTPResponse = self._client.call_api(
                kinds.path(request.kind, request.namespace, request.name, request.subresource),
                _METHODS[request.verb],
                query_params=list(request.query.items()),
                header_params={"Accept": "application/json, */*", **patching},
                body=request.body,
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _preload_content=False,
                _request_timeout=(_CONNECT_SECONDS, request.silence or _READ_SECONDS),
            )
        return response

    @contextmanager
    def _told(self, request: ApiRequest) -> Iterator[None]:
        """Turn what the client raises into a ClusterError."""
        from kubernetes.client import ApiException

        try:
            yield
        except ApiException as error:
            if error.status:
                raise self._refusal(request, error) from error
            reason = " ".join(str(error.reason).split())  # TLS, which waiting does not mend
            raise ClusterError(
                f"the Kubernetes API at {self.access.configuration.host} cannot be trusted ({reason}); "
                "name the authority of its certificate in the kubeconfig.",
                0,
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(
                f"the Kubernetes API at {self.access.configuration.host} was lost on the way to {request} "
                f"({type(error).__name__}); check the address, the network and its policies, then run again.",
                0,
                retryable=True,
            ) from error

    def _refusal(self, request: ApiRequest, error: "ApiException") -> ClusterError:
        status = int(error.status)
        if status == 401:
            return ClusterError(
                f"the Kubernetes API at {self.access.configuration.host} does not accept our token to {request}; "
                "it has expired or was revoked: log in again with `oc login`, or start the run again.",
                status,
            )
        message = _message(error)
        if status == 403:
            return ClusterError(
                f"the Kubernetes API does not allow us to {request} ({message}); "
                "deploy/openshift/README.md lists the rights that are needed and who grants them.",
                status,
            )
        wait = error.headers.get("Retry-After", "")
        return ClusterError(
            f"the Kubernetes API answered {status}, asked to {request}: {message}.",
            status,
            retryable=status in _PASSING,
            retry_after=float(wait) if wait.isdigit() else None,
        )


def _message(error: "ApiException") -> str:
    """What the API says is wrong, in one line."""
    try:
        text = str(json.loads(error.body)["message"])
    except (ValueError, KeyError, TypeError):
        text = str(error.reason)
    return " ".join(text.split()).rstrip(".")
