"""What the controllers share: a thread that looks at the fake's objects again and again, and the way to change them."""

import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from support.fake_kubernetes.objects import Object, event, key
from support.fake_kubernetes.store import Refused

if TYPE_CHECKING:
    from support.fake_kubernetes.fake import FakeKubernetes

#: Seconds between two looks.
POLL = 0.05
#: What the API says of an object that is not there.
GONE = 404


class Controller(ABC):
    """Looks after objects of the fake from `start` to `stop`; `folder` is scratch that goes with it."""

    fake: "FakeKubernetes"
    folder: Path

    def start(self, fake: "FakeKubernetes") -> None:
        """Begin to look after the fake's objects."""
        self.fake = fake
        self._scratch = tempfile.TemporaryDirectory(prefix="kfp-edge-fake-")
        self.folder = Path(self._scratch.name)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=type(self).__name__)
        self._thread.start()

    def stop(self) -> None:
        """Stop all that runs and remove all that was made outside the fake."""
        self._stopping.set()
        self._thread.join()
        try:
            self.clean_up()
        finally:
            self._scratch.cleanup()

    @abstractmethod
    def look(self) -> None:
        """Look once, and start what has to be done; must not take long."""

    @abstractmethod
    def clean_up(self) -> None:
        """Stop all that runs."""

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object as it is now."""
        try:
            return self.fake.store.get(kind, namespace, name)
        except Refused:
            return None

    def finder(self, namespace: str) -> Callable[[str, str], Object | None]:
        """A function that finds the Secrets and ConfigMaps of a namespace."""
        return lambda kind, name: self.find(kind, namespace, name)

    def set_status(self, thing: Object, status: Object) -> None:
        """Write the status of an object, if the object is still there."""

        def change(current: Object) -> None:
            if current["metadata"]["uid"] == thing["metadata"]["uid"]:
                current["status"] = current.get("status", {}) | status

        try:
            self.fake.update(thing["kind"], *key(thing), change)
        except Refused as refusal:
            if refusal.code != GONE:
                raise

    def delete(self, thing: Object) -> None:
        """Delete an object, if it is still there."""
        try:
            self.fake.delete(thing["kind"], *key(thing))
        except Refused as refusal:
            if refusal.code != GONE:
                raise

    def record_event(self, about: Object, kind: str, reason: str, message: str, component: str = "kubelet") -> None:
        """Write an Event; one that is there already gets a higher count, as the kubelet does it."""
        fresh = event(about, kind, reason, message, component)
        same = ("involvedObject", "type", "reason", "message")
        events = self.fake.objects("Event", fresh["metadata"]["namespace"])
        old = next((one for one in events if all(one.get(field) == fresh[field] for field in same)), None)
        if old is None:
            self.fake.apply(fresh)
        else:
            repeated = {"count": old["count"] + 1, "lastTimestamp": fresh["lastTimestamp"]}
            self.fake.update("Event", *key(old), lambda now: now.update(repeated))

    def _loop(self) -> None:
        while not self._stopping.wait(POLL):
            self.look()
