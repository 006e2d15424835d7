"""The client: pipelines are submitted, followed and scheduled on OpenShift AI's Data Science Pipelines."""

import json
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kfp_server_api

from kfp_edge.client import schedules as recurring
from kfp_edge.client.discovery import find_endpoint
from kfp_edge.client.kfp_api import Endpoint, KfpApi
from kfp_edge.client.package import PipelinePackage, make_package
from kfp_edge.client.runs import Run
from kfp_edge.client.schedules import Schedule, Timing
from kfp_edge.errors import KfpApiError
from kfp_edge.spec.compiled_pipeline import PipelineLike

EXPERIMENT = "kfp-edge"


class Client:
    """A Data Science Pipelines server.

    Every method raises a KfpEdgeError when the server refuses or cannot be reached, or what it is given is wrong. Calls
    that may succeed at the next attempt are tried again, and a token that has expired is read again.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._session = KfpApi(endpoint)

    @classmethod
    def connect(
        cls, namespace: str = "", host: str = "", token: str = "", ca_file: str | Path | None = None
    ) -> "Client":
        """Find the server and what opens it; see `kfp_edge.client.discovery.find_endpoint`."""
        return cls(find_endpoint(namespace, host, token, Path(ca_file) if ca_file else None))

    @property
    def host(self) -> str:
        """The address of the API server."""
        return self._session.endpoint.host

    def submit(
        self,
        pipeline: PipelineLike,
        parameters: Mapping[str, Any] | None = None,
        *,
        name: str = "",
        experiment: str = EXPERIMENT,
        cache: bool = True,
    ) -> Run:
        """Start a run.

        Args:
            pipeline: One of ours by name, a compiled YAML file, or a function with `@dsl.pipeline`.
            parameters: By name; they are checked before anything is sent.
            name: Of the run; the pipeline's and the time if empty.
            experiment: The group of runs that it belongs to; created if it is new.
            cache: False has every stage do its work anew.
        """
        package = make_package(pipeline, cache)
        arguments = package.arguments(dict(parameters or {}))
        run = kfp_server_api.V2beta1Run(
            display_name=name or f"{package.pipeline.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
            experiment_id=self._experiment(experiment),
            pipeline_version_reference=self._version(package),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=arguments),
        )
        service = self._session.runs
        found = self._session.call("start the run", service.run_service_create_run, run, repeatable=False)
        return Run(self._session, found)

    def run(self, run_id: str) -> Run:
        """Return a run by its id."""
        service = self._session.runs
        return Run(self._session, self._session.call(f"read the run {run_id}", service.run_service_get_run, run_id))

    def runs(self, limit: int = 10) -> list[Run]:
        """Return the latest runs, the newest first."""
        service = self._session.runs
        page = self._session.call(
            "list the runs", service.run_service_list_runs, page_size=limit, sort_by="created_at desc"
        )
        return [Run(self._session, found) for found in page.runs or ()]

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
    ) -> Schedule:
        """Have a pipeline run again and again; the name is unique: an equal schedule is left, another one replaced.

        Args:
            name: Of the schedule.
            pipeline: As for `submit`.
            parameters: As for `submit`.
            cron: Six fields, seconds first: `0 30 2 * * *` is every night at half past two.
            every: Seconds between two runs, instead of cron.
            concurrency: How many of its runs may run at the same time, 1 to 10.
            catch_up: Whether runs that were missed, while it was paused, are made up for one by one.
            experiment: As for `submit`.
        """
        timing = Timing.checked(cron, every, concurrency, catch_up)
        package = make_package(pipeline)
        arguments = package.arguments(dict(parameters or {}))
        wanted = kfp_server_api.V2beta1RecurringRun(
            display_name=name,
            experiment_id=self._experiment(experiment),
            pipeline_version_reference=self._version(package),
            runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=arguments),
            trigger=timing.trigger(),
            mode=kfp_server_api.RecurringRunMode.ENABLE,
            max_concurrency=str(timing.concurrency),
            no_catchup=not timing.catch_up,
        )
        return recurring.described(recurring.put(self._session, wanted))

    def schedules(self) -> list[Schedule]:
        """Return all schedules, by name."""
        found = map(recurring.described, recurring.list_all(self._session))
        return sorted(found, key=lambda schedule: schedule.name)

    def pause(self, name: str) -> None:
        """Have a schedule start no more runs until it is resumed."""
        for found in recurring.named(self._session, name):
            recurring.enable(self._session, found, enabled=False)

    def resume(self, name: str) -> None:
        """Let a paused schedule go on."""
        for found in recurring.named(self._session, name):
            recurring.enable(self._session, found, enabled=True)

    def unschedule(self, name: str) -> None:
        """Delete a schedule; the runs that it started stay."""
        for found in recurring.named(self._session, name):
            recurring.delete(self._session, found)

    def _experiment(self, name: str) -> str:
        """Return the id of an experiment, which is created if need be."""
        service = self._session.experiments

        def find() -> Any:
            page = self._session.call(
                "look for the experiment", service.experiment_service_list_experiments, filter=_filter(name)
            )
            return page.experiments[0].experiment_id if page.experiments else None

        def create() -> Any:
            wanted = kfp_server_api.V2beta1Experiment(display_name=name)
            made = self._session.call("create the experiment", service.experiment_service_create_experiment, wanted)
            return made.experiment_id

        return str(_find_or_create(find, create))

    def _version(self, package: PipelinePackage) -> Any:
        """Upload a pipeline's version unless the server has the very same one, and return KFP's reference to it."""
        pipeline_id = self._pipeline(package.pipeline.name)
        for name in package.version_names:
            version = self._version_named(name, package, pipeline_id)
            if package.is_spec(version.pipeline_spec):
                break
        return kfp_server_api.V2beta1PipelineVersionReference(
            pipeline_id=pipeline_id, pipeline_version_id=version.pipeline_version_id
        )

    def _pipeline(self, name: str) -> str:
        """Return the id of a pipeline, which is created, without a version, if need be."""
        service = self._session.pipelines

        def find() -> Any:
            page = self._session.call(
                "look for the pipeline", service.pipeline_service_list_pipelines, filter=_filter(name)
            )
            return page.pipelines[0].pipeline_id if page.pipelines else None

        def create() -> Any:
            wanted = kfp_server_api.V2beta1Pipeline(name=name, display_name=name)
            made = self._session.call("create the pipeline", service.pipeline_service_create_pipeline, wanted)
            return made.pipeline_id

        return str(_find_or_create(find, create))

    def _version_named(self, name: str, package: PipelinePackage, pipeline_id: str) -> Any:
        """Return the version of this name, which may say something else; it is uploaded if there is none."""
        service = self._session.pipelines

        def find() -> Any:
            page = self._session.call(
                "look for the version of the pipeline",
                service.pipeline_service_list_pipeline_versions,
                pipeline_id,
                filter=_filter(name),
            )
            return page.pipeline_versions[0] if page.pipeline_versions else None

        return _find_or_create(find, lambda: self._upload(name, package, pipeline_id))

    def _upload(self, name: str, package: PipelinePackage, pipeline_id: str) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "pipeline.yaml")
            file.write_text(package.text, encoding="utf-8")
            return self._session.call(
                "upload the pipeline",
                self._session.uploads.upload_pipeline_version,
                str(file),
                pipelineid=pipeline_id,
                # a cluster that keeps pipelines as Kubernetes objects wants a name that is unique in the namespace
                name=f"{package.pipeline.name}-{name}",
                display_name=name,
            )


def _filter(name: str) -> str:
    """Return KFP's filter for a display name; 1 is EQUALS."""
    return json.dumps({"predicates": [{"operation": 1, "key": "display_name", "stringValue": name}]})


def _find_or_create(find: Callable[[], Any], create: Callable[[], Any]) -> Any:
    """Return what is there, else create it; somebody else may do so at the same moment."""
    if (found := find()) is not None:
        return found
    try:
        return create()
    except KfpApiError as error:
        if error.status == 409 and (found := find()) is not None:
            return found
        raise
