"""Pipelines on OpenShift AI: submit, follow, schedule."""

from kfp_edge.client.client import Client
from kfp_edge.client.runs import Outcome, Run, StageState
from kfp_edge.client.schedules import Schedule
from kfp_edge.client.session import ClientError

__all__ = ["Client", "ClientError", "Outcome", "Run", "Schedule", "StageState"]
