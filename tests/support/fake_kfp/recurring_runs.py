"""The recurring runs of the fake backend, and what the controller does that starts their runs."""

import uuid
from datetime import UTC, datetime, timedelta

from kfp_edge.cron import Cron, parse_every
from kfp_edge.errors import ParameterError
from support.fake_kfp.store import NAMESPACE, UNFINISHED, JsonObject, RefusedError, Store, check_parameters

_NOT_CREATED = "Failed to create a recurring run"
_NOT_CONVERTED = f"{_NOT_CREATED} due to conversion error"


def create(store: Store, body: JsonObject) -> JsonObject:
    """Create a recurring run and return it; a list shows it without the trigger if that is empty."""
    _check(body)
    _, pipeline = store.compiled_pipeline(body)
    try:
        check_parameters(pipeline, body)
    except RefusedError as refusal:
        raise RefusedError(
            refusal.status, f"{_NOT_CREATED}: {_NOT_CREATED} during scheduled workflow creation: {refusal}"
        ) from None
    is_pinned = "pipeline_version_id" in body["pipeline_version_reference"]
    fields = ("display_name", "description", "pipeline_version_reference", "max_concurrency", "mode", "experiment_id")
    created = {
        "recurring_run_id": str(uuid.uuid4()),
        **{name: body[name] for name in fields if name in body},
        "trigger": body.get("trigger", {}),
        "created_at": _now(),
        "updated_at": _now(),
        "status": f"{body['mode']}D",
        "namespace": NAMESPACE,
        **({"runtime_config": body["runtime_config"]} if body.get("runtime_config", {}).get("parameters") else {}),
        **({"service_account": "pipeline-runner"} if is_pinned else {}),
        **({"no_catchup": True} if body.get("no_catchup") else {}),
    }
    stored = {name: value for name, value in created.items() if value != {}}
    store.recurring_runs[created["recurring_run_id"]] = stored
    return created


def set_mode(store: Store, recurring_run_id: str, mode: str) -> JsonObject:
    """Enable or disable a recurring run; if a time has been missed, enabling it starts a run."""
    verb = f"Failed to change recurring run's mode to enable:{str(mode == 'ENABLE').lower()}"
    recurring_run = _find(store, recurring_run_id, f"{verb}. Check if recurring run {recurring_run_id} exists")
    recurring_run.update(mode=mode, status=f"{mode}D", updated_at=_now())
    due = _next_time(store, recurring_run)
    is_due = due is not None and due <= datetime.now(UTC)
    active = [run for run in _runs_of(store, recurring_run_id) if run["state"] in UNFINISHED]
    if mode == "ENABLE" and is_due and len(active) < int(recurring_run["max_concurrency"]):
        start_run(store, recurring_run_id)
    return {}


def start_run(store: Store, recurring_run_id: str) -> JsonObject:
    """Start a run of a recurring run, as the controller does when its time has come."""
    recurring_run = store.recurring_runs[recurring_run_id]
    number = len(_runs_of(store, recurring_run_id)) + 1
    kept = ("experiment_id", "pipeline_version_reference", "runtime_config")
    return store.create_run(
        {
            "display_name": f"{recurring_run['display_name']}x7k2p-{number}-3402310231",
            "recurring_run_id": recurring_run_id,
            **{name: recurring_run[name] for name in kept if name in recurring_run},
        }
    )


def delete(store: Store, recurring_run_id: str, propagation_policy: str) -> JsonObject:
    """Delete a recurring run and, unless the policy is to orphan them, the Workflows of its runs."""
    _find(
        store,
        recurring_run_id,
        f"Failed to delete a recurring run: Failed to delete recurring run {recurring_run_id}. Check if exists",
    )
    if not (store.has_propagation_policy and propagation_policy == "ORPHAN"):
        for run in _runs_of(store, recurring_run_id):
            store.delete_workflow(run["run_id"])
    del store.recurring_runs[recurring_run_id]
    return {}


def _find(store: Store, recurring_run_id: str, failure: str) -> JsonObject:
    if recurring_run_id not in store.recurring_runs:
        raise RefusedError(404, f"{failure}: ResourceNotFoundError: Job {recurring_run_id} not found")
    return store.recurring_runs[recurring_run_id]


def _runs_of(store: Store, recurring_run_id: str) -> list[JsonObject]:
    return [run for run in store.runs.values() if run.get("recurring_run_id") == recurring_run_id]


def _check(body: JsonObject) -> None:
    if not body.get("display_name"):
        raise RefusedError(
            500,
            f"{_NOT_CONVERTED}: InternalServerError: Failed to convert a API recurring run to its internal "
            "representation: Invalid input error: Recurring run's name cannot be empty",
        )
    trigger = body.get("trigger", {})
    if len(trigger) > 1:
        field = "kubeflow.pipelines.backend.api.v2beta1.Trigger.trigger"
        raise RefusedError(400, f'proto: (line 1:296): error parsing "periodic_schedule", oneof {field} is already set')
    concurrency = int(body.get("max_concurrency", 0))
    if not 1 <= concurrency <= 10:
        raise _invalid(f"Max concurrency of a recurring run must be at least 1 and at most 10. Received {concurrency}")
    if "cron_schedule" in trigger and parse_every(trigger["cron_schedule"]["cron"]) is None:
        try:
            Cron.read(trigger["cron_schedule"]["cron"])
        except ParameterError as error:
            raise _invalid(f"Schedule cron is not a supported format. Error: {error}") from None
    interval = int(trigger.get("periodic_schedule", {}).get("interval_second", 1))
    if interval < 1:
        raise _invalid(f"Found invalid period schedule interval {interval}. Set at interval to least 1 second")


def _invalid(message: str) -> RefusedError:
    return RefusedError(400, f"{_NOT_CONVERTED}: Invalid input error: {message}")


def _next_time(store: Store, recurring_run: JsonObject) -> datetime | None:
    """Return the first time after the last run, or after the start or the creation, within the end."""
    trigger = recurring_run.get("trigger", {})
    cron, interval = trigger.get("cron_schedule", {}), trigger.get("periodic_schedule", {})
    starts = [run["created_at"] for run in _runs_of(store, recurring_run["recurring_run_id"])]
    if not trigger:
        return None if starts else datetime.fromisoformat(recurring_run["created_at"])
    limits = cron or interval
    last = datetime.fromisoformat(max(starts, default=limits.get("start_time", recurring_run["created_at"])))
    every = parse_every(cron["cron"]) if cron else int(interval["interval_second"])
    first = last + timedelta(seconds=every) if every else next(Cron.read(cron["cron"]).after(last), None)
    is_over = first is not None and "end_time" in limits and first > datetime.fromisoformat(limits["end_time"])
    return None if is_over else first


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
