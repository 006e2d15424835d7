"""Pipelines on OpenShift AI: submit, follow, schedule."""

from kfp_edge.client.client import Client
from kfp_edge.client.kfp_api import ClientError
from kfp_edge.client.runs import Outcome, Run, StageState
from kfp_edge.client.schedules import Schedule

__all__ = ["Client", "ClientError", "Outcome", "Run", "Schedule", "StageState"]
