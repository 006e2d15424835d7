"""How often the steps of a long stage are printed where nothing can be overwritten: in a log, in a notebook."""

import time

from kfp_edge.local.runner import RunProgress

#: Seconds between two lines about the same run.
INTERVAL_SECONDS = 30.0


class StepLines:
    """The lines about the steps of a run, at most one in each interval.

    Args:
        interval: The seconds between two lines; the first one comes after as many.
    """

    def __init__(self, interval: float = INTERVAL_SECONDS) -> None:
        self._interval = interval
        self._printed_at = time.monotonic()

    def take(self, progress: RunProgress) -> str:
        """Return the line about the step of the running stage, such as `train: trial 4 of 10`; "" where none is due."""
        now = time.monotonic()
        if not progress.step or now - self._printed_at < self._interval:
            return ""
        self._printed_at = now
        running = next(stage for stage in progress.stages if stage.status == "running")
        return f"{running.name}: {progress.step}"
