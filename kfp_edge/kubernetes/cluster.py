"""Objects of a Kubernetes cluster: create, read, watch and delete."""

import json
import math
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kfp_edge.errors import ClusterError
from kfp_edge.kubernetes.api import ATTEMPTS, ApiRequest, KubernetesApi, retry_delay
from kfp_edge.kubernetes.api_resources import API_RESOURCES
from kfp_edge.kubernetes.objects import KubernetesObject

#: Identifies the call that created an object, so that a create whose response was lost recognizes its own object.
REQUEST_ANNOTATION = "kfp-edge.io/request"

_PAGE_SIZE = "500"
# A watch is renewed this often: a connection that a firewall dropped silently looks like one without events.
_WATCH_SECONDS = 60
_LOG_READ_TIMEOUT = 300.0


class Cluster:
    """A Kubernetes cluster, with the rights of this pod's service account or of the kubeconfig's current context.

    `kind` is a key of `kfp_edge.kubernetes.api_resources.API_RESOURCES`. The namespace is the one that is passed, else
    the object's own, else `self.namespace`. Every call retries for some seconds what may be transient: too many
    requests (429), server errors (500, 502, 503, 504), and connections that are refused or lost.

    Every method raises ClusterError when the API refuses (its `status` is the HTTP status) or cannot be reached (0).
    """

    namespace: str

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    @classmethod
    def connect(cls, namespace: str = "") -> "Cluster":
        """Find the cluster and its credentials; no request is sent. The default namespace is that of the credentials.

        Raises:
            ParameterError: this is not a pod and there is no usable kubeconfig.
        """
        api = KubernetesApi()
        return cls(api, namespace or api.credentials.namespace)

    @property
    def token(self) -> str:
        """The current bearer token; empty if the kubeconfig authenticates by other means."""
        header = self._api.credentials.configuration.get_api_key_with_prefix("authorization") or ""
        scheme, _, token = header.partition(" ")
        return token if scheme == "Bearer" else ""

    @property
    def host(self) -> str:
        """The URL of the Kubernetes API."""
        return str(self._api.credentials.configuration.host)

    @property
    def ca_file(self) -> Path | None:
        """The file with the CA certificates of the cluster; None: those of this machine apply."""
        file = self._api.credentials.configuration.ssl_ca_cert
        return Path(file) if file else None

    def is_reachable(self) -> bool:
        """Whether the API answers a request, whatever it answers; there is one attempt."""
        try:
            self._api.send_once(self._request("list", "ResourceQuota", "", query={"limit": "1"}))
        except ClusterError as error:
            return bool(error.status)
        return True

    def lacks_namespace(self, name: str = "") -> bool:
        """Whether a namespace certainly does not exist; False, too, where the API does not let us read.

        Not every user may read namespaces, so its default service account is looked up: every namespace has it, from a
        moment after it was created.
        """
        try:
            return self.get("ServiceAccount", "default", name) is None
        except ClusterError:
            return False

    def create(self, manifest: KubernetesObject, namespace: str = "") -> KubernetesObject:
        """Create an object, which has a name (no `generateName`), and return it as the API stores it.

        Raises:
            ClusterError: status 409 if another client has created an object of this name.
        """
        kind, metadata = manifest["kind"], manifest["metadata"]
        namespace = namespace or metadata.get("namespace", "")
        request_id = secrets.token_hex(8)
        annotations = {**metadata.get("annotations", {}), REQUEST_ANNOTATION: request_id}
        body = {**manifest, "metadata": {**metadata, "annotations": annotations}}
        try:
            return self._api.send(self._request("create", kind, namespace, body=body))
        except ClusterError as error:
            if error.status != 409 or not error.possibly_applied:
                raise
            existing = self.get(kind, metadata["name"], namespace)
            if existing is None or existing["metadata"].get("annotations", {}).get(REQUEST_ANNOTATION) != request_id:
                raise
            return existing

    def get(self, kind: str, name: str, namespace: str = "") -> KubernetesObject | None:
        """Return an object, None if it does not exist."""
        try:
            return self._api.send(self._request("get", kind, namespace, name))
        except ClusterError as error:
            if error.status != 404:
                raise
            return None

    def list(self, kind: str, selector: str = "", namespace: str = "", fields: str = "") -> list[KubernetesObject]:
        """Return all objects of a kind in the namespace that match the label selector and the field selector."""
        selectors = {"labelSelector": selector, "fieldSelector": fields}
        query = {"limit": _PAGE_SIZE, **{key: value for key, value in selectors.items() if value}}
        objects: list[KubernetesObject] = []
        next_page: dict[str, str] = {}
        while True:
            try:
                page = self._api.send(self._request("list", kind, namespace, query=query | next_page))
            except ClusterError as error:
                if error.status != 410 or not next_page:
                    raise
                objects, next_page = [], {}  # the continue token has expired: start again
                continue
            # the API leaves these two fields out of the items of a list
            type_fields = {"apiVersion": API_RESOURCES[kind].api_version, "kind": kind}
            objects += [{**type_fields, **item} for item in page["items"]]
            if not page["metadata"].get("continue"):
                return objects
            next_page = {"continue": page["metadata"]["continue"]}

    def patch(self, kind: str, name: str, patch: KubernetesObject, namespace: str = "") -> KubernetesObject:
        """Apply a JSON merge patch (RFC 7386: None removes a field) to an object and return the result."""
        return self._api.send(self._request("patch", kind, namespace, name, body=patch))

    def delete(self, kind: str, name: str, namespace: str = "") -> bool:
        """Delete an object, and in the background its dependents; return False if it does not exist."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        try:
            self._api.send(self._request("delete", kind, namespace, name, body=options))
        except ClusterError as error:
            if error.status != 404:
                raise
            return error.possibly_applied  # an earlier attempt, whose response was lost, deleted it
        return True

    def list_events(self, pod: str, namespace: str = "") -> Sequence[KubernetesObject]:
        """Return the events of a pod, which the cluster keeps for an hour by default, also when the pod is gone."""
        return self.list("Event", namespace=namespace, fields=f"involvedObject.kind=Pod,involvedObject.name={pod}")

    def watch(
        self, kind: str, name: str, seconds: float, namespace: str = "", repeat: int = 0
    ) -> Iterator[KubernetesObject | None]:
        """Yield an object as it is now and after each change, then None, at the end, once it does not exist.

        Ends after `seconds`. A watch that is lost or expires is resumed; changes in between are yielded as one. With
        `repeat`, the object is yielded at least about every so many seconds, changed or not.

        Raises:
            ClusterError: the API refused, or could not be reached when the seconds were over.
        """
        deadline = time.monotonic() + seconds
        version, failures = "", 0
        while True:
            problem = None
            version = "" if repeat else version
            try:
                for resource in self._watch_once(kind, name, namespace, deadline, repeat or _WATCH_SECONDS):
                    if resource is None:
                        yield None
                        return
                    if resource["metadata"]["resourceVersion"] != version:
                        version, failures = resource["metadata"]["resourceVersion"], 0
                        yield resource
            except ClusterError as error:
                if not (error.retryable or error.status == 410) or time.monotonic() >= deadline:
                    raise
                problem = error
            remaining = deadline - time.monotonic()
            if remaining <= 0 and problem is None:
                return
            time.sleep(max(0.0, min(retry_delay(failures, problem), remaining)))
            # at most 3: long delays would hide changes, and a connection that is lost again and again may be idle
            failures = min(failures + 1, 3) if problem else 0

    def _watch_once(
        self, kind: str, name: str, namespace: str, deadline: float, longest: int
    ) -> Iterator[KubernetesObject | None]:
        """Yield the object as it is now and its changes until one watch request ends, without retries."""
        try:
            current = self._api.send_once(self._request("get", kind, namespace, name))
        except ClusterError as error:
            if error.status != 404:
                raise
            yield None
            return
        yield current
        seconds = min(longest, math.ceil(deadline - time.monotonic()))
        if seconds <= 0:
            return
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": current["metadata"]["resourceVersion"],
            "timeoutSeconds": str(seconds),
        }
        request = self._request("watch", kind, namespace, query=query, read_timeout=seconds + 5)
        for line in self._api.stream_lines(request):
            event = json.loads(line)
            if event["type"] == "ERROR":  # usually 410: the API no longer has this resourceVersion
                return
            yield None if event["type"] == "DELETED" else event["object"]

    def log(self, pod: str, container: str, namespace: str = "") -> Iterator[str]:
        """Follow the log of a container, line by line, until the container or its pod has ended.

        A connection that is lost is resumed after the last line that arrived.

        Raises:
            ClusterError: status 400 while the container has not started; 404 if there is no such pod.
        """
        last_time, repeated = "", 0  # the timestamp of the last line, and how many lines with that timestamp came
        opened, failures = False, 0
        while True:
            problem, resume_time, known = None, last_time, repeated
            try:
                # before the log is read: then the log of a container that has ended is complete
                ended = self._has_ended(pod, container, namespace)
                lines = self._log_lines(pod, container, namespace, last_time)
                opened, failures = True, 0
                for line in lines:
                    timestamp, _, text = line.decode("utf-8", "replace").partition(" ")
                    if timestamp < resume_time:
                        continue
                    if timestamp == resume_time and known:
                        known -= 1
                        continue
                    repeated = repeated + 1 if timestamp == last_time else 1
                    last_time = timestamp
                    yield text
            except ClusterError as error:
                if error.status == 404 and opened:
                    return
                failures += 1
                if not error.retryable or failures == ATTEMPTS:
                    raise
                problem = error
            if problem is None and ended:
                return
            time.sleep(retry_delay(failures, problem))

    def tail(self, pod: str, container: str, lines: int, namespace: str = "") -> Sequence[str]:
        """Return the last lines of a container's log as it is now.

        Raises:
            ClusterError: status 400 while the container has not started; 404 if there is no such pod.
        """
        query = {"container": container, "tailLines": str(lines)}
        request = self._request("get", "Pod", namespace, pod, "log", query=query)
        return [line.decode("utf-8", "replace") for line in self._api.stream_lines(request)]

    def _log_lines(self, pod: str, container: str, namespace: str, since: str) -> Iterator[bytes]:
        query = {"container": container, "follow": "true", "timestamps": "true"}
        if since:
            query["sinceTime"] = since  # the API rounds to seconds, so the caller drops the lines that it repeats
        request = self._request("get", "Pod", namespace, pod, "log", query=query, read_timeout=_LOG_READ_TIMEOUT)
        return self._api.stream_lines(request)

    def _has_ended(self, pod: str, container: str, namespace: str) -> bool:
        resource = self.get("Pod", pod, namespace)
        if resource is None:
            return True
        status = resource.get("status", {})
        states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
        return any(state["name"] == container and "running" not in state.get("state", {}) for state in states)

    def _request(self, verb: str, kind: str, namespace: str, *args: Any, **kwargs: Any) -> ApiRequest:
        return ApiRequest(verb, kind, namespace or self.namespace, *args, **kwargs)
