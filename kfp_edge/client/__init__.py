"""Pipelines on OpenShift AI: submit, follow, schedule."""

from kfp_edge.client.client import Client
from kfp_edge.client.runs import Outcome, Run, StageState
from kfp_edge.client.schedules import Schedule

__all__ = ["Client", "Outcome", "Run", "Schedule", "StageState"]
