"""The logs of a TaskRun's steps, shown in ours while they are written."""

import threading
from collections import deque
from typing import Any

from kfp_edge.cluster import Cluster, ClusterError

_KEPT_LINES = 3
# A step that has ended has written its log; what does not come then does not come any more.
_SECONDS_AFTER_THE_END = 10.0


class StepLogs:
    """Follows every step from its start, each in a thread of its own, and keeps the last lines of each."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._threads: dict[str, threading.Thread] = {}
        self._last: dict[str, deque[str]] = {}

    def follow(self, run: dict[str, Any]) -> None:
        """Begin with the steps of a TaskRun that have started and are not followed yet."""
        status = run.get("status", {})
        for step in status.get("steps", []):
            name = step["name"]
            if name in self._threads or not {"running", "terminated"} & step.keys():
                continue
            self._last[name] = deque(maxlen=_KEPT_LINES)
            work = (name, status["podName"], step["container"])
            self._threads[name] = threading.Thread(target=self._show, args=work, daemon=True)
            self._threads[name].start()

    def finish(self) -> None:
        """Wait until the logs of ended steps are shown."""
        for thread in self._threads.values():
            thread.join(_SECONDS_AFTER_THE_END)

    def last(self, step: str) -> str:
        """Return the last lines of a step in one, `it said nothing` when there are none."""
        return " | ".join(self._last.get(step, ())) or "it said nothing"

    def _show(self, step: str, pod: str, container: str) -> None:
        try:
            for line in self._cluster.log(pod, container):
                print(f"[{step}] {line}", flush=True)
                if line.strip():
                    self._last[step].append(line.strip())
        except ClusterError as error:
            if error.status != 404:  # a pod that is gone says nothing more, and why it is gone is told elsewhere
                print(f"[{step}] its log cannot be read any more: {error}", flush=True)
