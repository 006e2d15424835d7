"""The context in which every component runs: duration and errors in the log, clean-up on SIGTERM."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kfp_edge.errors import KfpEdgeError
from kfp_edge.runtime.mounts import set_environment_from_mounts
from kfp_edge.runtime.signals import interrupt_on_sigterm
from kfp_edge.storage.files import canonical_json, write_file

if TYPE_CHECKING:
    from kfp.dsl import Metrics

#: Begins the log lines that the local runner reads.
LOG_PREFIX = "kfp-edge:"


@contextmanager
def stage(name: str) -> Iterator[list[str]]:
    """Run a stage's work, then log one JSON line: `kfp-edge: {"stage", "seconds"[, "warnings"][, "error"]}`.

    SIGTERM interrupts the stage like Ctrl-C, so that it cleans up. In a pod of KFP it does not get that far: the
    launcher ends at once, and the container with it.

    Yields:
        The stage's warnings, to which it adds what the user should know about the results.

    Raises:
        SystemExit: with code 1 in place of a `KfpEdgeError`, so that the log ends with its message and not with a
            traceback, and with code 130 when the stage was interrupted. Any other exception is a defect of
            kfp-edge and keeps its traceback.
    """
    start = time.perf_counter()
    warnings: list[str] = []
    try:
        set_environment_from_mounts()
        with interrupt_on_sigterm():
            yield warnings
    except KfpEdgeError as error:
        _log_end(name, start, warnings, str(error))
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _log_end(name, start, warnings, "the stage was interrupted.")
        raise SystemExit(130) from None
    _log_end(name, start, warnings)


def log_progress(text: str) -> None:
    """Log how far a long stage is, such as `trial 4 of 10`; a local run shows it."""
    print(LOG_PREFIX, text, flush=True)


def log_metrics(metrics: "Metrics", values: Mapping[str, float]) -> None:
    """Log metrics as metadata of the artifact, which KFP's UI shows, and as JSON in its file, which clients read."""
    for name, value in values.items():
        metrics.log_metric(name, value)
    write_file(Path(metrics.path), canonical_json(dict(values)))


def _log_end(name: str, start: float, warnings: list[str], error: str | None = None) -> None:
    line: dict[str, str | float | list[str]] = {"stage": name, "seconds": round(time.perf_counter() - start, 3)}
    if warnings:
        line["warnings"] = warnings
    if error is not None:
        line["error"] = error
    print(LOG_PREFIX, json.dumps(line), flush=True)
