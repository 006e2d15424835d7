"""Running a compiled pipeline on this machine, with `kfp.local`, as a user wants to see it."""

from kfp_edge.local.api import LocalRun, RunFailedError, StageReport, run

__all__ = ["LocalRun", "RunFailedError", "StageReport", "run"]
