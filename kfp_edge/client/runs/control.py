"""Canceling and retrying a run.

A 2.16 server refuses to cancel a run that has ended, or is being canceled, with "Row not found". It marks a run as
being canceled before it stops the Workflow, so a failure of the second half (status 500) leaves that mark.
"""

from kfp_server_api import V2beta1Run

from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.errors import KfpApiError, ParameterError

_ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
_CANCELING = "CANCELING"
#: What a 2.16 server says when it could not stop the Workflow of a run.
_WORKFLOW_FAILURE = "error terminating its workflow"


def cancel(api: KfpApi, run_id: str) -> V2beta1Run:
    """Cancel a run, which takes some seconds, and return it; one that is being canceled is left alone.

    Raises:
        ParameterError: the run has ended.
        KfpApiError: the server refuses or cannot be reached, or there is no Workflow that it could stop.
    """
    run = _read(api, run_id)
    _check_not_ended(run)
    if run.state == _CANCELING:
        return run
    try:
        api.call("cancel the run", api.runs.run_service_terminate_run, run_id, is_idempotent=False)
    except KfpApiError as error:
        run = _read(api, run_id)
        _check_not_ended(run)
        if run.state != _CANCELING:
            raise
        if _WORKFLOW_FAILURE in str(error):
            raise KfpApiError(
                f"the run {run.display_name} is marked as being canceled, but {api.endpoint.host} could not stop its "
                "Workflow; if that was deleted from the cluster, nothing of the run remains, else cancel it there.",
                error.status,
            ) from error
        return run  # it was canceled, and the answer was lost; or somebody else was faster
    return _read(api, run_id)


def retry(api: KfpApi, run_id: str) -> V2beta1Run:
    """Run the failed stages of a run again, and those after them, and return the run.

    Raises:
        ParameterError: the run has not failed.
        KfpApiError: the server refuses or cannot be reached.
    """
    run = _read(api, run_id)
    if run.state != "FAILED":
        state = "has succeeded" if run.state == "SUCCEEDED" else f"is {_word(run)}"
        raise ParameterError(f"the run {run.display_name} {state}; only a run that failed can be retried.")
    api.call("retry the run", api.runs.run_service_retry_run, run_id, is_idempotent=False)
    return _read(api, run_id)


def _read(api: KfpApi, run_id: str) -> V2beta1Run:
    return api.call(f"read the run {run_id}", api.runs.run_service_get_run, run_id)


def _check_not_ended(run: V2beta1Run) -> None:
    if run.state in _ENDED:
        raise ParameterError(
            f"the run {run.display_name} has ended already ({_word(run)}): there is nothing to cancel."
        )


def _word(run: V2beta1Run) -> str:
    return str(run.state or "pending").lower()
