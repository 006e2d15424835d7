"""What keeps the feed from its work at the moment; what changes is logged."""

import threading

from kfp_edge_serving.telemetry.log import log

BROKER, SUBSCRIPTION, SERVER, MODEL, BUFFER, PUBLICATION = (
    "broker", "subscription", "server", "model", "buffer", "publication",
)  # fmt: skip


class FeedState:
    """The problems, by the part of the feed that has them; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._problems = {
            BROKER: "the broker is not connected yet.",
            SUBSCRIPTION: "no topic is subscribed to yet.",
            SERVER: "the server has not answered yet.",
        }

    def set_problem(self, part: str, problem: str) -> None:
        """Note what is wrong with a part, in one sentence."""
        with self._lock:
            is_new = self._problems.get(part) != problem
            self._problems[part] = problem
        if is_new:
            log(f"{part} failed", "error", error=problem)

    def clear_problem(self, part: str) -> None:
        """Note that a part works."""
        with self._lock:
            was_there = self._problems.pop(part, None) is not None
        if was_there:
            log(f"{part} works")

    def has_problem(self, part: str) -> bool:
        """Return whether something is wrong with a part."""
        with self._lock:
            return part in self._problems

    @property
    def problems(self) -> list[str]:
        """All that is wrong, one sentence each; empty if the feed is ready."""
        with self._lock:
            return list(self._problems.values())
