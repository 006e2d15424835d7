"""The client of a Data Science Pipelines server."""

import json
import re
import tempfile
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import kfp_server_api
from kfp_server_api import V2beta1PipelineVersion, V2beta1PipelineVersionReference

from kfp_edge.client.runs.run import Run
from kfp_edge.client.schedules import recurring_runs
from kfp_edge.client.schedules.recurring_runs import Schedule
from kfp_edge.client.schedules.timing import Timing
from kfp_edge.client.server.discovery import find_endpoint
from kfp_edge.client.server.kfp_api import Endpoint, KfpApi
from kfp_edge.client.submission.checks import check_run, describe_warnings, refuse_missing
from kfp_edge.client.submission.names import (
    check_experiment_name,
    check_run_name,
    check_schedule_name,
)
from kfp_edge.client.submission.package import PipelinePackage, make_package
from kfp_edge.client.submission.pull_secret import put_pull_secrets
from kfp_edge.client.submission.sent_values import describe_risks
from kfp_edge.client.submission.target import TargetOptions, choose_target
from kfp_edge.errors import KfpApiError, KfpEdgeWarning, ParameterError
from kfp_edge.spec.compiled_pipeline import PipelineLike
from kfp_edge.spec.pipeline_names import version_name
from kfp_edge.spec.workflow.texts import find_beyond_database

T = TypeVar("T")

EXPERIMENT = "kfp-edge"

_RUN_ID = re.compile(r"[A-Za-z0-9_-]+")


class Client:
    """A client of one Data Science Pipelines server.

    Calls that may succeed at the next attempt are retried, and an expired token is read again.

    Raises:
        KfpApiError: from every method: the server refuses or cannot be reached.
        ParameterError: from every method: an argument or a pipeline parameter has a value that cannot be used.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._api = KfpApi(endpoint)

    @classmethod
    def connect(
        cls, namespace: str = "", host: str = "", token: str = "", ca_file: str | Path | None = None
    ) -> "Client":
        """Find the server, a token and the CA certificates.

        Args:
            namespace: The project with the pipelines; the pod's own or the kubeconfig's if empty.
            host: The address of the API server; if empty, the cluster is asked.
            token: The bearer token; if empty, `KFP_EDGE_TOKEN`, else the service account's or the kubeconfig's.
            ca_file: The CA certificates (PEM) of the server; if None, the public ones and the cluster's.

        Raises:
            ClusterError: there is neither a cluster nor a host, or there is no API server in the namespace.
            ParameterError: the host, the token or the CA file cannot be used.
        """
        return cls(find_endpoint(namespace, host, token, Path(ca_file) if ca_file else None))

    @property
    def host(self) -> str:
        """The address of the API server."""
        return self._api.endpoint.host

    def submit(
        self,
        pipeline: PipelineLike,
        parameters: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        experiment: str = EXPERIMENT,
        cache: bool = True,
        image: str = "",
        join_stages: bool = False,
        backend: str = "",
        deadline: str = "",
        time_to_live: str = "",
    ) -> Run:
        """Start a run.

        What would keep its pods from starting is found before, as far as the namespaces may be read: missing Secrets,
        ConfigMaps, claims and service accounts, quotas, limits and network policies. What may impair the run, such as
        the default image, is a `KfpEdgeWarning`.

        Args:
            pipeline: The name of a pipeline of kfp-edge, a compiled YAML or JSON file, or a function with
                `@dsl.pipeline`.
            parameters: Values by name; they are checked before anything is sent.
            name: The name of the run; the pipeline's and the time if empty.
            experiment: The group of runs that it belongs to; created if it does not exist.
            cache: False makes every stage run again.
            image: The image of the stages, in place of the default; if empty, `KFP_EDGE_RUNTIME_IMAGE`, else the one
                that the project names in the ConfigMap `kfp-edge-images`.
            join_stages: Whether stages that may share a pod are joined into one task, which takes fewer pods and less
                time; they then also share limits, and a task that fails uploads no reports.
            backend: For which version of OpenShift AI or KFP it is compiled, such as `rhoai-3.4`; if empty, the one
                that the cluster or the server reports, or else the newest OpenShift AI, with a warning. Not for a
                compiled file, as the two limits.
            deadline: How long the run may take, such as `6h`, where the backend has it (docs/backends.md).
            time_to_live: How long its objects in the cluster are kept after its end, such as `7d`.
        """
        check_experiment_name(experiment)
        options = TargetOptions(backend, deadline, time_to_live, join_stages)
        package, arguments = self._prepare(pipeline, parameters, cache, image, options)
        name = name or f"{package.pipeline.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        check_run_name(name)
        request = kfp_server_api.V2beta1Run(
            display_name=name,
            experiment_id=self._experiment_id(experiment),
            pipeline_version_reference=self._version_reference(package),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=arguments),
        )
        create = self._api.runs.run_service_create_run
        return Run(self._api, self._api.call("start the run", create, request, is_idempotent=False))

    def run(self, run_id: str) -> Run:
        """Return a run by its id."""
        if not _RUN_ID.fullmatch(run_id):
            command = self._api.endpoint.repeat_command("runs")
            raise ParameterError(f"{run_id!r} is not the id of a run; `{command}` lists the runs with their ids.")
        get = self._api.runs.run_service_get_run
        try:
            return Run(self._api, self._api.call(f"read the run {run_id}", get, run_id))
        except KfpApiError as error:
            if error.status != 404:
                raise
            raise KfpApiError(
                f"{self.host} has no run {run_id}; `kfp-edge runs` lists the runs with their whole ids.", error.status
            ) from error

    def runs(self, limit: int = 10) -> list[Run]:
        """Return the latest runs, the newest first."""
        page = self._api.call(
            "list the runs", self._api.runs.run_service_list_runs, page_size=limit, sort_by="created_at desc"
        )
        return [Run(self._api, run) for run in page.runs or ()]

    def schedule(
        self,
        name: str,
        pipeline: PipelineLike,
        parameters: Mapping[str, Any] | None = None,
        *,
        cron: str = "",
        every: int = 0,
        concurrency: int = 1,
        catch_up: bool = False,
        experiment: str = EXPERIMENT,
        cache: bool = True,
        image: str = "",
        join_stages: bool = False,
        backend: str = "",
        deadline: str = "",
        time_to_live: str = "",
    ) -> Schedule:
        """Create or replace a schedule; the name is unique. An equal schedule is left unchanged.

        A schedule that is replaced starts no more runs. Those that it has started go on; until they have ended it stays
        on the server, paused, because deleting it would kill them. The next call with this name deletes it.

        Args:
            name: The name of the schedule.
            pipeline: As for `submit`.
            parameters: As for `submit`.
            cron: Six fields, seconds first, in UTC: `0 30 2 * * *` is every night at half past two.
            every: Seconds between two runs, instead of cron.
            concurrency: How many of its runs may run at the same time, 1 to 10.
            catch_up: Whether runs that were missed while it was paused are started afterwards, one by one.
            experiment: As for `submit`.
            cache: As for `submit`.
            image: As for `submit`.
            join_stages: As for `submit`.
            backend: As for `submit`.
            deadline: As for `submit`.
            time_to_live: As for `submit`.
        """
        check_schedule_name(name)
        check_experiment_name(experiment)
        timing = Timing.checked(cron, every, concurrency, catch_up)
        options = TargetOptions(backend, deadline, time_to_live, join_stages)
        package, arguments = self._prepare(pipeline, parameters, cache, image, options)
        recurring_run = kfp_server_api.V2beta1RecurringRun(
            display_name=name,
            experiment_id=self._experiment_id(experiment),
            pipeline_version_reference=self._version_reference(package),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=arguments),
            trigger=timing.trigger(),
            mode=kfp_server_api.RecurringRunMode.ENABLE,
            max_concurrency=str(timing.concurrency),
            no_catchup=not timing.catch_up,
        )
        return recurring_runs.create_or_replace(self._api, recurring_run)

    def schedules(self) -> list[Schedule]:
        """Return all schedules on the server, by name, also those that this client has not created."""
        return recurring_runs.list_schedules(self._api)

    def pause(self, name: str) -> None:
        """Pause a schedule, given by its name or id: it starts no more runs until it is resumed."""
        recurring_runs.pause(self._api, recurring_runs.find(self._api, name))

    def resume(self, name: str) -> list[Schedule]:
        """Resume a paused schedule, given by its name or id, and return it; there are several if others have made them.

        If a time was missed (`Schedule.missed`), a run starts at once; with `catch_up`, all runs that were missed do.
        """
        return recurring_runs.resume(self._api, recurring_runs.find(self._api, name))

    def unschedule(self, name: str, *, force: bool = False) -> tuple[str, ...]:
        """Delete a schedule, given by its name or id; the runs that it started remain.

        Args:
            name: The name of the schedule or, where several have that name, the id of one.
            force: Whether it is deleted even while runs that it started have not ended. A server before KFP 2.16 kills
                them, and shows them as running forever.

        Returns:
            The ids of the runs that had not ended.

        Raises:
            UnfinishedRunsError: runs that it started have not ended. It is paused, and can be deleted later.
        """
        return recurring_runs.delete(self._api, recurring_runs.find(self._api, name), force=force)

    def _prepare(
        self,
        pipeline: PipelineLike,
        parameters: Mapping[str, Any] | None,
        cache: bool,
        image: str,
        options: TargetOptions,
    ) -> tuple[PipelinePackage, dict[str, Any]]:
        """Return the package and its arguments, both checked, also against the namespaces of the run."""
        endpoint = self._api.endpoint
        chosen = choose_target(self._api, pipeline, options)
        package = make_package(pipeline, cache, image, endpoint.cluster, chosen.target)
        arguments = package.arguments(dict(parameters or {}))
        if endpoint.is_in_cluster and endpoint.cluster is not None:
            arguments = put_pull_secrets(endpoint.cluster, package, arguments)
        risks = describe_risks(package.document, arguments)
        for sentence in filter(None, (chosen.warning, package.warning, *risks)):
            warnings.warn(sentence, KfpEdgeWarning, stacklevel=3)
        diagnoses = check_run(endpoint.cluster, package, arguments) if endpoint.cluster is not None else []
        if endpoint.is_in_cluster:  # else the server may be another cluster's, and what is missing is a warning
            refuse_missing(diagnoses)
        for sentence in describe_warnings(diagnoses):
            warnings.warn(sentence, KfpEdgeWarning, stacklevel=3)
        return package, arguments

    def _experiment_id(self, name: str) -> str:
        """Return the id of an experiment, which is created if it does not exist."""
        service = self._api.experiments

        def find() -> str | None:
            page = self._api.call(
                "look for the experiment", service.experiment_service_list_experiments, filter=_name_filter(name)
            )
            if not page.experiments:
                return None
            if page.experiments[0].storage_state == "ARCHIVED":
                raise ParameterError(
                    f"the experiment {name} is archived, so that the dashboard would not list its new runs; "
                    "restore it there, or give another experiment."
                )
            return str(page.experiments[0].experiment_id)

        def create() -> str:
            request = kfp_server_api.V2beta1Experiment(display_name=name)
            experiment = self._api.call("create the experiment", service.experiment_service_create_experiment, request)
            return str(experiment.experiment_id)

        return _find_or_create(find, create)

    def _version_reference(self, package: PipelinePackage) -> V2beta1PipelineVersionReference:
        """Return a reference to the pipeline's version, which is uploaded unless the server has an equal one."""
        pipeline_id = self._pipeline_id(package.pipeline.name)
        for name in package.version_names:
            version = self._find_or_upload_version(name, package, pipeline_id)
            if package.is_equal_to(version.pipeline_spec):
                break
        return V2beta1PipelineVersionReference(pipeline_id=pipeline_id, pipeline_version_id=version.pipeline_version_id)

    def _pipeline_id(self, name: str) -> str:
        """Return the id of a pipeline, which is created, without a version, if it does not exist."""
        service = self._api.pipelines

        def find() -> str | None:
            page = self._api.call(
                # one that GitOps has created may have another display name, or none
                "look for the pipeline",
                service.pipeline_service_list_pipelines,
                filter=_name_filter(name, "name"),
            )
            return str(page.pipelines[0].pipeline_id) if page.pipelines else None

        def create() -> str:
            request = kfp_server_api.V2beta1Pipeline(name=name, display_name=name)
            pipeline = self._api.call("create the pipeline", service.pipeline_service_create_pipeline, request)
            return str(pipeline.pipeline_id)

        return _find_or_create(find, create)

    def _find_or_upload_version(self, name: str, package: PipelinePackage, pipeline_id: str) -> V2beta1PipelineVersion:
        """Return the version with this name, whose content may differ; it is uploaded if it does not exist."""
        service = self._api.pipelines

        def find() -> V2beta1PipelineVersion | None:
            page = self._api.call(
                "look for the version of the pipeline",
                service.pipeline_service_list_pipeline_versions,
                pipeline_id,
                filter=_name_filter(name),
            )
            return page.pipeline_versions[0] if page.pipeline_versions else None

        return _find_or_create(find, lambda: self._upload_version(name, package, pipeline_id))

    def _upload_version(self, name: str, package: PipelinePackage, pipeline_id: str) -> V2beta1PipelineVersion:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "pipeline.yaml")
            file.write_text(package.text, encoding="utf-8")
            try:
                return self._api.call(
                    "upload the pipeline",
                    self._api.uploads.upload_pipeline_version,
                    str(file),
                    pipelineid=pipeline_id,
                    # a cluster that stores pipelines as Kubernetes objects needs a name unique in the namespace
                    name=version_name(package.pipeline.name, name),
                    display_name=name,
                )
            except KfpApiError as error:
                # the server keeps the reason to itself
                if error.status == 500 and (character := find_beyond_database(package.text)):
                    raise KfpApiError(
                        f"{str(error).rstrip('.')}; the pipeline contains {character!r}, and most servers' databases "
                        "store no character beyond U+FFFF: leave it out.",
                        error.status,
                    ) from error
                raise


def _name_filter(name: str, key: str = "display_name") -> str:
    """Return KFP's filter for a name; operation 1 is EQUALS."""
    return json.dumps({"predicates": [{"operation": 1, "key": key, "stringValue": name}]})


def _find_or_create(find: Callable[[], T | None], create: Callable[[], T]) -> T:
    """Return what exists, else create it; another client may create it at the same moment."""
    if (existing := find()) is not None:
        return existing
    try:
        return create()
    except KfpApiError as error:
        if error.status == 409 and (existing := find()) is not None:
            return existing
        raise
