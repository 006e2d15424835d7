"""Termination and retry of a run in the fake backend, with the answers of a 2.16 server (recorded)."""

from typing import Any

from support.fake_kfp.store import RefusedError, Store

_ACTIVE = ("PENDING", "RUNNING", "PAUSED")


def terminate(store: Store, run_id: str) -> dict[str, Any]:
    """Mark a run as being canceled, and stop its Workflow unless somebody has deleted that."""
    run = store.run(run_id)
    prefix = "Failed to terminate a run: "
    if run["state"] not in _ACTIVE:
        raise RefusedError(
            400,
            f"{prefix}Failed to terminate run {run_id}: Invalid input error: Failed to terminate a run {run_id}. "
            "Row not found",
        )
    run["state"] = "CANCELING"
    run.setdefault("state_history", []).append({"update_time": run["created_at"], "state": "CANCELING"})
    if run_id in store.runs_without_workflow:
        raise RefusedError(
            500,
            f"{prefix}InternalServerError: Failed to terminate run {run_id} due to error terminating its workflow: "
            'Failed to terminate workflow small-cprwx: workflows.argoproj.io "small-cprwx" not found',
        )
    return {}


def retry(store: Store, run_id: str) -> dict[str, Any]:
    """Start a failed run again: its failed tasks will be executed anew."""
    run = store.run(run_id)
    if run["state"] != "FAILED":
        raise RefusedError(
            409,
            f"Failed to retry a run: Failed to retry run {run_id}: BadRequestError: Workflow must be Failed/Error to "
            "retry: workflow cannot be retried",
        )
    tasks = run["run_details"]["task_details"]
    run["run_details"]["task_details"] = [task for task in tasks if task["state"] == "SUCCEEDED"]
    run["state"] = "PENDING"
    return {}
