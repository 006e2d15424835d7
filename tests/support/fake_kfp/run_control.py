"""Termination and retry of a run in the fake backend, with the answers of a 2.16 server (recorded)."""

from typing import Any

from support.fake_kfp.store import NEVER, RefusedError, Store, format_time
from support.fake_kfp.workflow import TICK

_ACTIVE = ("PENDING", "RUNNING", "PAUSED")


def terminate(store: Store, run_id: str) -> dict[str, Any]:
    """Mark a run as being canceled, and stop its Workflow unless somebody has deleted that."""
    run = store.run(run_id)
    prefix = f"Failed to terminate a run: Failed to terminate run {run_id}: "
    if run["state"] not in _ACTIVE:
        raise RefusedError(400, f"Failed to terminate a run {run_id}. Row not found", f"{prefix}Invalid input error: ")
    run["state"] = "CANCELING"
    name = store.workflows[run_id].name
    if not store.has_workflow(run_id):
        reason = f'Failed to terminate workflow {name}: workflows.argoproj.io "{name}" not found'
        raise RefusedError(
            500, f"{prefix}InternalServerError: due to error terminating its workflow: {reason}", is_internal=True
        )
    store.workflows[run_id].terminate()
    return {}


def retry(store: Store, run_id: str) -> dict[str, Any]:
    """Start a failed run again: its failed tasks will be executed anew."""
    run = store.run(run_id)
    if run["state"] != "FAILED":
        raise RefusedError(
            409,
            "Workflow must be Failed/Error to retry",
            f"Failed to retry a run: Failed to retry run {run_id}: BadRequestError: ",
            code=10,
        )
    workflow = store.workflows[run_id]
    workflow.retry()
    # the history begins anew, and the tasks are reported when Argo has come to them
    now = format_time(workflow.now + TICK)
    run.update(state="RUNNING", finished_at=NEVER, state_history=[{"update_time": now, "state": "RUNNING"}])
    return {}
