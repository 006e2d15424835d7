"""The fake as tests and controllers hold it."""

import json
import re
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from support.fake_kubernetes import rbac
from support.fake_kubernetes.faults import REASONS, Failure, Faults
from support.fake_kubernetes.kinds import BY_NAME, Kind
from support.fake_kubernetes.logs import Log
from support.fake_kubernetes.quotas import over_count
from support.fake_kubernetes.server import Server, Target, merge
from support.fake_kubernetes.store import Change, Refused, Resource, Store
from support.rbac import Call

ADMIN = "system:admin"


class Controller(Protocol):
    """Acts on the objects of a cluster, in threads of its own, while the cluster is up."""

    def start(self, fake: "FakeKubernetes") -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class _Credential:
    """A file with a user's token, which is written anew when the token is."""

    user: str
    file: Path
    text: Callable[[str], str]

    def write(self, token: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(self.text(token))


class FakeKubernetes:
    """A fake cluster: its API over plain HTTP on this machine, nothing behind it but `controllers`.

    It refuses what the schema of a kind does not have (422), and what the Roles and bindings among `roles` do not allow
    (403); with `roles=None` everybody may do everything. `ADMIN` always may. What owners own goes with them.
    Credentials (kubeconfigs, service accounts) go into `folder`.
    """

    def __init__(
        self,
        folder: Path,
        roles: Sequence[Resource] | None = None,
        namespaces: Sequence[str] = ("ds-project", "edge-staging"),
        controllers: Sequence[Controller] = (),
    ) -> None:
        self.store = Store()
        self.faults = Faults(self.store.changed)
        self.stopped = threading.Event()
        self.forgotten = 0
        self.requests: list[Call] = []
        self._folder = folder
        self._open = roles is None
        self._namespaces = namespaces
        self._controllers = controllers
        self._tokens: dict[str, str] = {}
        self._expired: dict[str, tuple[str, bool]] = {}  # token to its user, and whether a new one comes
        self._credentials: list[_Credential] = []
        self._logs: dict[tuple[str, str, str], Log] = {}
        for namespace in namespaces:
            self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
            account = {"name": "default", "namespace": namespace}
            self.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        for role in roles or ():
            self.apply(role)

    def __enter__(self) -> "FakeKubernetes":
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        for controller in self._controllers:
            controller.start(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self.store.changed:
                self.stopped.set()
                self.store.changed.notify_all()
            for controller in self._controllers:
                controller.stop()
        finally:
            self._server.close()
            self._thread.join()
        if self._server.crashes and error is None:
            raise self._server.crashes[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    # Who calls

    def kubeconfig(self, user: str = ADMIN, namespace: str = "") -> Path:
        """A kubeconfig with the user's token; the namespace is the first one unless it is named."""
        namespace = namespace or self._namespaces[0]
        file = self._folder / f"kubeconfig-{re.sub('[^a-z0-9]+', '-', user)}-{namespace}"

        def text(token: str) -> str:
            context = {"cluster": "fake", "user": "user", "namespace": namespace}
            return json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
                    "users": [{"name": "user", "user": {"token": token}}],
                    "contexts": [{"name": "fake", "context": context}],
                    "current-context": "fake",
                }
            )

        self._hand_out(user, file, text)
        return file

    def environ(self, user: str = ADMIN, namespace: str = "") -> dict[str, str]:
        """What a process on a laptop adds to its environment to be that user."""
        return {"KUBECONFIG": str(self.kubeconfig(user, namespace))}

    def pod(self, user: str, namespace: str) -> dict[str, str]:
        """Create a pod as KFP does for a task, and return what a process in it finds in its environment besides.

        `user` is `system:serviceaccount:NAMESPACE:NAME`. The pod can be found by its name, HOSTNAME.
        """
        name = f"edge-mlops-{secrets.token_hex(3)}-system-container-impl-{secrets.randbelow(2**32)}"
        main = {"name": "main", "image": "quay.io/kfp-edge/runtime:test"}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"pipeline/runid": str(uuid.uuid4())},
                "annotations": {"pipelines.kubeflow.org/v2_component": "true"},
            },
            "spec": {"serviceAccountName": user.rpartition(":")[2], "containers": [main]},
            "status": {"phase": "Running"},
        }
        self.apply(pod)
        folder = self._folder / "pods" / name
        self._hand_out(user, folder / "token", lambda token: token)
        (folder / "namespace").write_text(namespace)
        return {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self._server.server_port),
            "KFP_EDGE_SERVICE_ACCOUNT": str(folder),
            "HOSTNAME": name,
        }

    def token(self, user: str = ADMIN) -> str:
        return self._tokens.setdefault(user, secrets.token_urlsafe(16))

    def expire_token(self, user: str, renew: bool = True) -> None:
        """Accept the user's token no more. A new one comes into all files at the first request that has the old one."""
        with self.store.changed:
            self._expired[self._tokens.pop(user)] = (user, renew)

    def _hand_out(self, user: str, file: Path, text: Callable[[str], str]) -> None:
        credential = _Credential(user, file, text)
        credential.write(self.token(user))
        self._credentials.append(credential)

    def user_of(self, authorization: str) -> str:
        """The user whose bearer token this is."""
        token = authorization.removeprefix("Bearer ")
        with self.store.changed:
            for user, known in self._tokens.items():
                if secrets.compare_digest(known, token):
                    return user
            user, renew = self._expired.get(token, ("", False))
            if renew:
                for credential in self._credentials:
                    if credential.user == user:
                        credential.write(self.token(user))
        raise Refused(401, "Unauthorized", "Unauthorized")

    def allows(self, user: str, verb: str, group: str, resource: str, namespace: str, name: str) -> bool:
        if self._open or user == ADMIN:
            return True
        return rbac.allows(self.objects, user, verb, group, resource, namespace, name)

    # Objects, in this process and without asking who

    def objects(self, kind: str, namespace: str = "") -> list[Resource]:
        """Copies of all objects of a kind, by namespace and name; without a namespace, of all namespaces."""
        return self.store.list(kind, namespace)

    def apply(self, manifest: Resource) -> Resource:
        """Create the object, status included, or merge the manifest into the one of that name.

        Without a namespace, one that needs it goes into the first.

        Raises:
            Refused: it is not valid, or there is no such namespace.
        """
        kind, metadata = BY_NAME[manifest["kind"]], dict(manifest["metadata"])
        if kind.namespaced:
            metadata.setdefault("namespace", self._namespaces[0])
        wanted = {**manifest, "metadata": metadata}
        namespace, name = metadata.get("namespace", ""), metadata.get("name", "")
        with self.store.changed:
            if self.store.has(kind.name, namespace, name):
                return self.store.update(kind.name, namespace, name, lambda now: merge(now, wanted))
            return self.store.create(wanted)

    def check_quotas(self, kind: Kind, resource: Resource) -> None:
        """Refuse an object that a ResourceQuota of its namespace does not allow, as admission does.

        Raises:
            Refused: with status 403.
        """
        namespace, name = resource["metadata"].get("namespace", ""), resource["metadata"].get("name", "")
        quotas = self.objects("ResourceQuota", namespace) if namespace else []
        if refused := over_count(kind, len(self.objects(kind.name, namespace)), quotas):
            title = f"{kind.plural}.{kind.group}".rstrip(".")
            raise Refused(403, "Forbidden", f'{title} "{name}" is forbidden: {refused}')

    def update(self, kind: str, namespace: str, name: str, change: Callable[[Resource], None]) -> Resource:
        """Let `change` alter a copy of an object, status included, and store that.

        Raises:
            Refused: there is no such object (`code` 404), or it is not valid any more (422).
        """
        return self.store.update(kind, namespace, name, change)

    def delete(self, kind: str, namespace: str, name: str) -> Resource:
        """Delete an object and what only it owns.

        Raises:
            Refused: there is no such object.
        """
        return self.store.delete(kind, namespace, name)

    def events(self, kind: str = "") -> Iterator[Change]:
        """All objects there are, as if just ADDED, then every change, waiting for the next; ends when the fake stops.

        Begins at the call, not at the first `next`. Do not alter the objects. Each thread calls it for itself.
        """
        with self.store.changed:
            kinds = [kind] if kind else list(BY_NAME)
            existing = [Change("ADDED", each) for name in kinds for each in self.objects(name)]
            return self._follow(kind, existing, self.store.version)

    def _follow(self, kind: str, existing: list[Change], at: int) -> Iterator[Change]:
        yield from existing
        while not self.stopped.is_set():
            with self.store.changed:
                self.store.changed.wait_for(lambda at=at: self.store.version > at or self.stopped.is_set())
                fresh, at = self.store.history[at:], self.store.version
            yield from (change for change in fresh if kind in ("", change.object["kind"]))

    def set_log(self, namespace: str, pod: str, container: str) -> Log:
        """The log of a container that starts: `write` text or bytes to it, and `close` it when the container ends."""
        log = self._logs[namespace, pod, container] = Log(self.store.changed)
        return log

    def log(self, namespace: str, pod: str, container: str) -> Log:
        """The log that a request for it gets.

        Raises:
            Refused: there is no such pod or container, or it has not started.
        """
        spec = self.store.get("Pod", namespace, pod)["spec"]
        names = [each["name"] for each in spec.get("initContainers", []) + spec["containers"]]
        if container not in names and (container or len(names) > 1):
            raise Refused(400, "BadRequest", f"container {container} is not valid for pod {pod}")
        container = container or names[0]
        if (namespace, pod, container) not in self._logs:
            raise Refused(
                400, "BadRequest", f'container "{container}" in pod "{pod}" is waiting to start: ContainerCreating'
            )
        return self._logs[namespace, pod, container]

    # What was asked, and what goes wrong

    def record(self, user: str, target: Target, status: int) -> None:
        about = (target.kind.group, target.resource, target.namespace, target.name)
        with self.store.changed:
            self.requests.append(Call(user, target.verb, *about, status))
            self.store.changed.notify_all()

    def wait_for_request(self, verb: str, resource: str, times: int = 1) -> None:
        """Wait until so many such requests have been answered (a watch: until it is open)."""
        with self.store.changed:
            came = self.store.changed.wait_for(
                lambda: sum((call.verb, call.resource) == (verb, resource) for call in self.requests) >= times, 60
            )
        assert came, f"nobody asked to {verb} {resource}"

    def fail(
        self,
        verb: str,
        resource: str,
        status: int,
        times: int = 1,
        retry_after: float | None = None,
        message: str = "",
        after: int = 0,
    ) -> None:
        """Answer the next such requests with this status and do nothing; `after` so many that are served as usual.

        "*" stands for any verb or any resource.
        """
        refusal = Refused(status, REASONS.get(status, "Unknown"), message or "on demand of the test", retry_after)
        self.faults.fail(Failure(verb, resource, refusal, times, after))

    def drop_connections(self, times: int = 1, done: bool = False) -> None:
        """Break the connection of the next requests without an answer; with `done`, after their work was done."""
        self.faults.drop_connections(times, done)

    def stall(self, times: int = 1) -> None:
        """Leave the next requests without an answer, their connections open, until the fake stops."""
        self.faults.stall(times)

    def drop_watches(self, gone: bool = False) -> None:
        """Break all open watches and followed logs; if none is open, the next one as soon as it opens.

        With `gone`, watches end with the error that their resourceVersion is too old (410).
        """
        self.faults.end_streams("gone" if gone else "dropped")

    def forget_history(self) -> None:
        """Know no versions but the present ones: a watch or a further page from an earlier one is answered 410."""
        self.forgotten = self.store.version
