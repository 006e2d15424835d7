"""Objects of a Kubernetes cluster: made, read, followed and deleted."""

import json
import math
import secrets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kfp_edge.cluster import kinds
from kfp_edge.cluster.api import ATTEMPTS, ApiRequest, KubernetesApi, pause
from kfp_edge.errors import ClusterError

#: Marks the one call that made an object, so that a create whose answer was lost knows its own work again.
REQUEST = "kfp-edge.io/request"

_PAGE = "500"
# A watch is asked for anew this often, since a connection that a firewall dropped silently looks like one without news.
_WATCH_SECONDS = 60
_LOG_SILENCE = 300.0


class Cluster:
    """Kubernetes with the rights of this pod's service account, or of the kubeconfig's current context.

    `kind` is one of `kfp_edge.cluster.kinds.KINDS`. Where no namespace is named, the object's own is meant, else
    `self.namespace`. Every call tries again, for some seconds, what looks as if it may pass: too many requests (429),
    failures of the server (500, 502, 503, 504) and connections that are refused or lost.

    Every method raises ClusterError when the API refuses (its `status` is the HTTP status) or stays out of reach (0).
    """

    namespace: str

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self.namespace = namespace

    @classmethod
    def connect(cls, namespace: str = "") -> "Cluster":
        """Find the cluster; nothing is sent yet. Without a namespace it is the pod's own, or that of the kubeconfig.

        Raises:
            KfpEdgeError: this is not a pod and there is no usable kubeconfig.
        """
        api = KubernetesApi()
        return cls(api, namespace or api.access.namespace)

    @property
    def token(self) -> str:
        """The bearer token, as it is now; empty where the kubeconfig signs in otherwise."""
        header = self._api.access.configuration.get_api_key_with_prefix("authorization") or ""
        scheme, _, token = header.partition(" ")
        return token if scheme == "Bearer" else ""

    @property
    def host(self) -> str:
        """The URL of the Kubernetes API."""
        return str(self._api.access.configuration.host)

    @property
    def ca_file(self) -> Path | None:
        """The certificates of the authorities that the cluster trusts; None: those of this machine."""
        file = self._api.access.configuration.ssl_ca_cert
        return Path(file) if file else None

    def create(self, manifest: Mapping[str, Any], namespace: str = "") -> dict[str, Any]:
        """Make an object, which has a name of its own (no `generateName`), and return it as the API keeps it.

        Raises:
            ClusterError: status 409 if somebody else has made an object of this name.
        """
        kind, metadata = manifest["kind"], manifest["metadata"]
        namespace = namespace or metadata.get("namespace", "")
        mark = secrets.token_hex(8)
        annotations = {**metadata.get("annotations", {}), REQUEST: mark}
        body = {**manifest, "metadata": {**metadata, "annotations": annotations}}
        try:
            return self._api.call(self._request("create", kind, namespace, body=body))
        except ClusterError as error:
            if error.status != 409 or not error.possibly_applied:
                raise
            made = self.get(kind, metadata["name"], namespace)
            if made is None or made["metadata"].get("annotations", {}).get(REQUEST) != mark:
                raise
            return made

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """The object, or None if there is none."""
        try:
            return self._api.call(self._request("get", kind, namespace, name))
        except ClusterError as error:
            if error.status != 404:
                raise
            return None

    def list(self, kind: str, selector: str = "", namespace: str = "") -> list[dict[str, Any]]:
        """All objects of a kind in the namespace that the label selector picks."""
        version, _ = kinds.KINDS[kind]
        query = {"limit": _PAGE, **({"labelSelector": selector} if selector else {})}
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            try:
                page = self._api.call(self._request("list", kind, namespace, query=query | more))
            except ClusterError as error:
                if error.status != 410 or not more:
                    raise
                found, more = [], {}  # the list changed too much since its first page: begin again
                continue
            # The API leaves out of a list what its items are.
            found += [{"apiVersion": version, "kind": kind, **item} for item in page["items"]]
            if not page["metadata"].get("continue"):
                return found
            more = {"continue": page["metadata"]["continue"]}

    def patch(self, kind: str, name: str, patch: Mapping[str, Any], namespace: str = "") -> dict[str, Any]:
        """Change an object by a JSON merge patch (RFC 7386: None removes a field) and return it as it is then."""
        return self._api.call(self._request("patch", kind, namespace, name, body=patch))

    def delete(self, kind: str, name: str, namespace: str = "") -> bool:
        """Delete an object, and in the background what it owns; False if there is none."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        try:
            self._api.call(self._request("delete", kind, namespace, name, body=options))
        except ClusterError as error:
            if error.status != 404:
                raise
            return error.possibly_applied  # an earlier try, whose answer was lost, deleted it
        return True

    def watch(self, kind: str, name: str, seconds: float, namespace: str = "") -> Iterator[dict[str, Any] | None]:
        """Follow an object: as it is now, then after each change, and None, which is the last, once there is none.

        Ends after `seconds`. A watch that is lost or expires is taken up again; changes in between then look like one.

        Raises:
            ClusterError: the API refused, or was out of reach when the seconds were over.
        """
        deadline = time.monotonic() + seconds
        version, failures = "", 0
        while True:
            problem = None
            try:
                for found in self._changes(kind, name, namespace, deadline):
                    if found is None:
                        yield None
                        return
                    if found["metadata"]["resourceVersion"] != version:
                        version, failures = found["metadata"]["resourceVersion"], 0
                        yield found
            except ClusterError as error:
                if not (error.retryable or error.status == 410) or time.monotonic() >= deadline:
                    raise
                problem = error
            left = deadline - time.monotonic()
            if left <= 0 and problem is None:
                return
            time.sleep(max(0.0, min(pause(failures, problem), left)))
            # Long pauses would hide changes, and a connection that is lost again and again may just be an idle one.
            failures = min(failures + 1, 3) if problem else 0

    def _changes(self, kind: str, name: str, namespace: str, deadline: float) -> Iterator[dict[str, Any] | None]:
        """The object as it is now and its changes, for as long as one watch lasts; one try each."""
        try:
            now = self._api.try_once(self._request("get", kind, namespace, name))
        except ClusterError as error:
            if error.status != 404:
                raise
            yield None
            return
        yield now
        seconds = min(_WATCH_SECONDS, math.ceil(deadline - time.monotonic()))
        if seconds <= 0:
            return
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": now["metadata"]["resourceVersion"],
            "timeoutSeconds": str(seconds),
        }
        for line in self._api.lines(self._request("watch", kind, namespace, query=query, silence=seconds + 5)):
            event = json.loads(line)
            if event["type"] == "ERROR":  # most often 410: the version is older than what the API remembers
                return
            yield None if event["type"] == "DELETED" else event["object"]

    def log(self, pod: str, container: str, namespace: str = "") -> Iterator[str]:
        """Follow the log of a container, line by line, until the container or its pod has ended.

        A log that is lost on the way is taken up after the last line that was seen.

        Raises:
            ClusterError: status 400 while the container has not started; 404 if there is no such pod.
        """
        last, repeated = "", 0  # the time of the last line that was given, and how many of that very time were
        begun, failures = False, 0
        while True:
            problem, resume, known = None, last, repeated
            try:
                # Asked before the log is read: then the log of a container that has ended is whole.
                ended = self._has_ended(pod, container, namespace)
                lines = self._log_lines(pod, container, namespace, last)
                begun, failures = True, 0
                for line in lines:
                    stamp, _, text = line.decode("utf-8", "replace").partition(" ")
                    if stamp < resume:
                        continue
                    if stamp == resume and known:
                        known -= 1
                        continue
                    repeated = repeated + 1 if stamp == last else 1
                    last = stamp
                    yield text
            except ClusterError as error:
                if error.status == 404 and begun:
                    return
                failures += 1
                if not error.retryable or failures == ATTEMPTS:
                    raise
                problem = error
            if problem is None and ended:
                return
            time.sleep(pause(failures, problem))

    def _log_lines(self, pod: str, container: str, namespace: str, since: str) -> Iterator[bytes]:
        query = {"container": container, "follow": "true", "timestamps": "true"}
        if since:
            query["sinceTime"] = since  # the API counts it in whole seconds: what it repeats is for us to leave out
        return self._api.lines(self._request("get", "Pod", namespace, pod, "log", query=query, silence=_LOG_SILENCE))

    def _has_ended(self, pod: str, container: str, namespace: str) -> bool:
        found = self.get("Pod", pod, namespace)
        if found is None:
            return True
        status = found.get("status", {})
        states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
        return any(state["name"] == container and "running" not in state.get("state", {}) for state in states)

    def _request(self, verb: str, kind: str, namespace: str, *args: Any, **more: Any) -> ApiRequest:
        return ApiRequest(verb, kind, namespace or self.namespace, *args, **more)
