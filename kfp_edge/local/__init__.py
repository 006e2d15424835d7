"""Run a compiled pipeline on this machine with `kfp.local`, and read what the run left."""

from kfp_edge.local.api import LocalRun, RunFailedError, run
from kfp_edge.local.runner import RunProgress, StageRun
from kfp_edge.reports.stage_report import StageReport

__all__ = ["LocalRun", "RunFailedError", "RunProgress", "StageReport", "StageRun", "run"]
