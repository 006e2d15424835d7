"""Prints the logs of a TaskRun's steps while they are written."""

import threading
from collections import deque

from kfp_edge.kubernetes import Cluster, ClusterError
from kfp_edge.kubernetes.objects import KubernetesObject

_KEPT_LINES = 3
# A step that has ended has written its log: lines that do not arrive by then will not arrive.
_FINISH_SECONDS = 10.0


class StepLogs:
    """Follows every step from its start, each in a thread of its own, and keeps the last lines of each."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._threads: dict[str, threading.Thread] = {}
        self._last_lines: dict[str, deque[str]] = {}

    def follow(self, run: KubernetesObject) -> None:
        """Start to follow those steps of a TaskRun that have started and are not followed yet."""
        status = run.get("status", {})
        for step in status.get("steps", []):
            if {"running", "terminated"} & step.keys():
                self.follow_container(step["name"], status["podName"], step["container"])

    def follow_container(self, name: str, pod: str, container: str) -> None:
        """Start to follow a container that has started, unless it is followed already."""
        if name in self._threads:
            return
        self._last_lines[name] = deque(maxlen=_KEPT_LINES)
        self._threads[name] = threading.Thread(target=self._print_log, args=(name, pod, container), daemon=True)
        self._threads[name].start()

    def finish(self) -> None:
        """Wait until the logs of ended steps are printed."""
        for thread in self._threads.values():
            thread.join(_FINISH_SECONDS)

    def last_lines(self, step: str) -> str:
        """Return the last lines of a step as one line, `it logged nothing` when there are none."""
        return " | ".join(self._last_lines.get(step, ())) or "it logged nothing"

    def _print_log(self, step: str, pod: str, container: str) -> None:
        try:
            for line in self._cluster.log(pod, container):
                print(f"[{step}] {line}", flush=True)
                if line.strip():
                    self._last_lines[step].append(line.strip())
        except ClusterError as error:
            if error.status != 404:  # a pod that is gone has no log, and the TaskRun reports why it is gone
                print(f"[{step}] its log cannot be read any more: {error}", flush=True)
