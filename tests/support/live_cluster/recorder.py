"""What runs create in the cluster, looked at while they run: objects that only exist for seconds."""

import logging
import threading
from collections import defaultdict

from kfp_edge.errors import ClusterError
from kfp_edge.kubernetes import Cluster
from kfp_edge.kubernetes.metadata import CONTEXT_ANNOTATION, RUN_LABEL
from support.live_cluster.live_cluster import LiveCluster

_POLL_SECONDS = 1.0

logger = logging.getLogger(__name__)


class ObjectRecorder:
    """Lists what runs have created, about once a second, from `start` to `stop`.

    Attributes:
        kinds: The kinds of the objects that were seen, by run.
        contexts: The build contexts in the object store that they name, by run.
    """

    def __init__(self, live: LiveCluster) -> None:
        # a connection of its own, for a thread of its own
        self._live = LiveCluster(live.settings, Cluster.connect(live.settings.namespace), live.api)
        self.kinds: dict[str, set[str]] = defaultdict(set)
        self.contexts: dict[str, set[str]] = defaultdict(set)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, once the list that is being read is complete."""
        self._stopped.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stopped.wait(_POLL_SECONDS):
            try:
                self._record()
            except ClusterError as error:  # the next look follows in a second
                logger.warning("%s", error)

    def _record(self) -> None:
        for each in self._live.created_objects():
            metadata = each["metadata"]
            run_id = metadata["labels"][RUN_LABEL]
            if each["kind"] not in self.kinds[run_id]:
                logger.info("%s %s was created", each["kind"], metadata["name"])
            self.kinds[run_id].add(each["kind"])
            if context := (metadata.get("annotations") or {}).get(CONTEXT_ANNOTATION):
                self.contexts[run_id].add(context)
