"""The client of Data Science Pipelines on OpenShift AI: submit pipelines, follow runs, manage schedules."""

from kfp_edge.client.client import Client
from kfp_edge.client.runs.observed_run import RunResult
from kfp_edge.client.runs.run import Run
from kfp_edge.client.runs.stage_states import StageState
from kfp_edge.client.schedules.recurring_runs import Schedule
from kfp_edge.client.server.kfp_api import Endpoint
from kfp_edge.client.submission.diagnosis import diagnose_cluster
from kfp_edge.reports.stage_report import StageReport

__all__ = [
    "Client",
    "Endpoint",
    "Run",
    "RunResult",
    "Schedule",
    "StageReport",
    "StageState",
    "diagnose_cluster",
]
