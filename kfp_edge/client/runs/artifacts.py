"""The artifacts of a run: which there are, and what they contain.

A 2.16 backend does not report which artifacts a task produced (`outputs` of its task details stays empty). But every
artifact is stored as `ROOT/PIPELINE/RUN ID/STAGE/SALT/NAME`. Two ways lead there:

- Data Science Pipelines has an API of its own, `/apis/v2beta1/artifacts`, which signs download URLs. It lists
  everybody's artifacts, and asks the object store for the size of each: OpenShift AI 3.5 took 18 s for a hundred. It
  cannot be asked for those of one run. But artifact ids grow with time, so what a stage wrote when it ended is found by
  bisection, with one short request for each artifact that is looked at.
- KFP's own API server has nothing like it and answers 404. Then the object store is read with the credentials of this
  machine.

Neither contains metrics as such: our stages write theirs as JSON into the artifact's file.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from kfp_edge.client.server.kfp_api import KfpApi
from kfp_edge.errors import ClusterError, KfpApiError, ParameterError, StorageError
from kfp_edge.kubernetes import Cluster
from kfp_edge.storage import s3

_PATH = "/apis/v2beta1/artifacts"
#: How far the clocks of the workflow controller and of the metadata store may be apart.
_CLOCK_DIFFERENCE = timedelta(seconds=30)
#: A namespace in which nothing has run.
_NO_ARTIFACTS = "Failed to find any artifacts"
#: What the server answers, with status 500, of an artifact whose size it cannot find out: one that was imported from
#: elsewhere, or whose object was deleted. A list with such an artifact in it fails as a whole.
_UNDESCRIBED = re.compile("encountered error parsing artifact|failed to retrieve session info")
#: How many of these may follow each other before the fault is taken for one of the object store.
_MOST_UNDESCRIBED = 50
#: Of how many numbers in a row one was given to an artifact: the database leaves some out.
_LARGEST_GAP = 16
#: Where a backend stores artifacts unless it is configured otherwise: with its own object store, and in any bucket.
_DEFAULT_ROOT = "s3://mlpipeline/v2/artifacts"
_DEFAULT_PREFIX = "v2/artifacts"
#: The ConfigMap with the place where the launcher of a namespace stores artifacts.
_LAUNCHER_CONFIG = "kfp-launcher"


@dataclass(frozen=True)
class TaskTime:
    """When a task of a stage ran."""

    start: datetime
    end: datetime


class ArtifactReader(Protocol):
    """Reads the artifacts of one run."""

    def read(self, stage: str, name: str, tasks: Sequence[TaskTime]) -> bytes | None:
        """Return the newest artifact of this name that a stage stored, None if there is none.

        Args:
            stage: The name of the stage.
            name: The name of the output.
            tasks: When the tasks of the stage ran that succeeded; there is more than one if it is in a loop.

        Raises:
            KfpApiError: the server refuses or cannot be reached.
            StorageError: the object store refuses or cannot be reached.
        """


def open_reader(api: KfpApi, run_id: str, pipeline: str, roots: Sequence[str]) -> ArtifactReader:
    """Return what reads the artifacts of a run.

    Args:
        api: The API server.
        run_id: The id of the run.
        pipeline: The name of its pipeline.
        roots: The pipeline root that the run or the pipeline names; empty if the backend's own is used.

    Raises:
        ParameterError: the namespace is unknown.
        KfpApiError: the server refuses or cannot be reached.
        StorageError: the server lists no artifacts, and there are no credentials for its object store.
    """
    namespace = api.endpoint.namespace
    if not namespace:
        raise ParameterError("artifacts are listed by namespace; give the namespace of the API server.")
    try:
        return _ApiReader(api, run_id, namespace)
    except KfpApiError as error:
        if error.status != 404:
            raise
    if not s3.has_credentials():
        raise StorageError(
            f"{api.endpoint.host} has no API for artifacts, and there are no credentials for its object store; set "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_S3_ENDPOINT and AWS_S3_BUCKET, or open the run's page."
        )
    possible_roots = roots or _default_roots(api.endpoint.cluster)
    return _StoreReader([f"{_s3_uri(root)}/{pipeline}/{run_id}/" for root in possible_roots])


@dataclass(frozen=True)
class _Artifact:
    id: int
    path: str
    created_at: datetime


class _ApiReader:
    """Finds artifacts by their ids, which grow with the time at which they were stored."""

    def __init__(self, api: KfpApi, run_id: str, namespace: str) -> None:
        self._api = api
        self._run_id = run_id
        #: An error where there is an artifact that the server cannot describe, None where there is no artifact.
        self._artifacts: dict[int, _Artifact | KfpApiError | None] = {}
        self._newest_id = self._find_newest_id(namespace)

    def read(self, stage: str, name: str, tasks: Sequence[TaskTime]) -> bytes | None:
        for task in sorted(tasks, key=lambda task: task.end, reverse=True):
            if (artifact := self._find(stage, name, task)) is not None:
                return self._download(stage, artifact)
        return None

    def _find(self, stage: str, name: str, task: TaskTime) -> _Artifact | None:
        """Return the newest artifact that was stored while a task ran: it stores them when it ends."""
        number = self._last_id_until(task.end + _CLOCK_DIFFERENCE)
        while (artifact := self._at_or_before(number)) is not None:
            if artifact.created_at < task.start - _CLOCK_DIFFERENCE:
                return None
            folder, _, last = artifact.path.rpartition("/")
            if last == name and f"/{self._run_id}/{stage}/" in f"{folder}/":
                return artifact
            number = artifact.id - 1
        return None

    def _last_id_until(self, moment: datetime) -> int:
        """Return the last id until a moment, 0 if there is none; the distance to the newest one is doubled first."""
        low = high = self._newest_id + 1  # no artifact at `high` or above is old enough, some at `low` may be
        step = 1
        while low > 0 and self._is_after(low, moment):
            high, low, step = low, max(0, low - step), step * 2
        while high - low > 1:
            middle = (low + high) // 2
            if self._is_after(middle, moment):
                high = middle
            else:
                low = middle
        return low

    def _is_after(self, number: int, moment: datetime) -> bool:
        if number > self._newest_id:
            return True
        artifact = self._at_or_before(number)
        return artifact is not None and artifact.created_at > moment

    def _at_or_before(self, number: int) -> _Artifact | None:
        """Return the artifact with this id, or the one before it that can be described.

        Raises:
            KfpApiError: too many cannot be described.
        """
        undescribed = 0
        for before in range(number, 0, -1):
            artifact = self._get(before)
            if isinstance(artifact, _Artifact):
                return artifact
            if artifact is not None:
                undescribed += 1
                if undescribed > _MOST_UNDESCRIBED:
                    raise artifact
        return None

    def _get(self, number: int) -> _Artifact | KfpApiError | None:
        if number not in self._artifacts:
            self._artifacts[number] = self._describe(number)
        return self._artifacts[number]

    def _describe(self, number: int) -> _Artifact | KfpApiError | None:
        try:
            response = self._api.get("look for the run's artifacts", f"{_PATH}/{number}")
        except KfpApiError as error:
            if error.status == 404:
                return None
            if _is_undescribed(error):
                return error
            raise
        path, _, _ = response["uri"].partition("?")
        return _Artifact(number, path, datetime.fromisoformat(response["created_at"]))

    def _find_newest_id(self, namespace: str) -> int:
        """Return the id of the newest artifact, 0 if there is none; status 404 says that the server has no such API."""
        query = {"namespace": namespace, "max_result_size": "1", "order_by_field": "CREATE_TIME", "order_by": "desc"}
        try:
            artifacts = self._api.get("list the run's artifacts", _PATH, **query).get("artifacts", ())
        except KfpApiError as error:
            if error.status == 500 and _NO_ARTIFACTS in str(error):
                return 0
            if _is_undescribed(error):
                return self._search_newest_id()
            raise
        return max((int(artifact["artifact_id"]) for artifact in artifacts), default=0)

    def _search_newest_id(self) -> int:
        """Return the id of the newest artifact where the server cannot list it."""

        def has_artifact_from(number: int) -> bool:
            return any(self._get(each) is not None for each in range(number, number + _LARGEST_GAP))

        low, high = 0, 1
        while has_artifact_from(high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if has_artifact_from(middle) else (low, middle)
        return low

    def _download(self, stage: str, artifact: _Artifact) -> bytes | None:
        action = f"read an artifact of {stage}"
        response = self._api.get(action, f"{_PATH}/{artifact.id}", view="DOWNLOAD")
        return self._api.download(action, response["download_url"])


def _is_undescribed(error: KfpApiError) -> bool:
    return error.status == 500 and not error.retryable and bool(_UNDESCRIBED.search(str(error)))


class _StoreReader:
    """Reads the folder of a run in the object store, which is the first of `folders` that holds anything."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders
        self._uris: list[str] | None = None

    def read(self, stage: str, name: str, tasks: Sequence[TaskTime]) -> bytes | None:
        for uri in self._list():
            folder, _, last = uri.rpartition("/")
            if last == name and folder.split("/")[-2] == stage:
                return s3.read(uri)
        return None

    def _list(self) -> list[str]:
        if self._uris is None:
            self._uris = self._find()
        return self._uris

    def _find(self) -> list[str]:
        """Return the URIs of the run's objects, the newest first.

        Raises:
            StorageError: there are none; or, if that is the only place, the object store refuses it.
        """
        failure: StorageError | None = None
        for folder in self._folders:
            bucket = folder.removeprefix("s3://").partition("/")[0]
            try:
                keys = s3.list_keys(folder)
            except StorageError as error:  # the bucket of a guess may not exist
                failure = failure or error
                continue
            if keys:
                return [f"s3://{bucket}/{key}" for key in keys]
        raise failure or StorageError(
            f"there is nothing of the run at {', '.join(self._folders)}; set AWS_S3_BUCKET to the bucket of the "
            "pipeline server, and AWS_S3_ENDPOINT to its object store."
        )


def _default_roots(cluster: Cluster | None) -> list[str]:
    """Return where a backend may store artifacts, the likeliest place first."""
    if cluster is not None and (root := _configured_root(cluster)):
        return [root]
    bucket = os.environ.get("AWS_S3_BUCKET")
    return [*([f"s3://{bucket}", f"s3://{bucket}/{_DEFAULT_PREFIX}"] if bucket else []), _DEFAULT_ROOT]


def _configured_root(cluster: Cluster) -> str:
    """Return the pipeline root of the namespace; empty if it has none, or this user may not read it."""
    try:
        config = cluster.get("ConfigMap", _LAUNCHER_CONFIG)
    except ClusterError:
        return ""
    return str((config or {}).get("data", {}).get("defaultPipelineRoot", ""))


def _s3_uri(root: str) -> str:
    """Return a pipeline root as `s3://BUCKET/PREFIX`.

    Raises:
        StorageError: it is in another kind of object store.
    """
    scheme, _, location = root.partition("://")
    if scheme not in ("s3", "minio"):
        raise StorageError(f"the run's artifacts are at {root}, and only S3 can be read here; open the run's page.")
    return f"s3://{location.partition('?')[0].rstrip('/')}"
