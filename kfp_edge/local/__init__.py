"""Run a compiled pipeline on this machine with `kfp.local`, and read what the run left."""

from kfp_edge.errors import RunFailedError
from kfp_edge.local.api import LocalRun, StageReport, run

__all__ = ["LocalRun", "RunFailedError", "StageReport", "run"]
