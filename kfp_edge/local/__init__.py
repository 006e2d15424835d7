"""Run a compiled pipeline on this machine with `kfp.local`, and read what the run left."""

from kfp_edge.local.api import LocalRun, RunFailedError, StageReport, run
from kfp_edge.local.runner import RunProgress, StageRun

__all__ = ["LocalRun", "RunFailedError", "RunProgress", "StageReport", "StageRun", "run"]
