"""The exceptions that kfp-edge raises for a caller to catch, by kind.

    KfpEdgeError
    ├── ParameterError            a parameter, option or environment variable has a value that cannot be used
    ├── DataError                 a table or dataset cannot be read, or does not suffice for the task
    ├── ModelError                a model file or bundle is damaged, refused or cannot be converted
    ├── PipelineError             there is no such pipeline, or a backend or the local runner cannot run it
    ├── RequirementsNotMetError   checks, gates or a staging test failed
    ├── kfp_edge.local.RunFailedError    a local run failed or was interrupted
    ├── RunTimeoutError           a run on the cluster has not ended within the time to wait
    ├── UnfinishedRunsError       a schedule was not deleted, because runs that it started have not ended
    ├── StorageError              the file system, S3 or HTTP refused or failed
    ├── ImageError                an image, a registry or a container tool
    ├── GitError                  a git repository
    ├── CommandError              another program failed
    └── ApiError                  an HTTP API refused a request, failed, or could not be reached
        ├── ClusterError          the Kubernetes API
        ├── ForgeError            GitHub, GitLab or Gitea
        ├── KfpApiError           the KFP API server
        └── MetricsError          the API of Prometheus

Any other exception is a defect of kfp-edge and keeps its traceback.
"""

__all__ = [
    "ApiError",
    "ClusterError",
    "CommandError",
    "DataError",
    "ForgeError",
    "GitError",
    "ImageError",
    "KfpApiError",
    "KfpEdgeError",
    "KfpEdgeWarning",
    "MetricsError",
    "ModelError",
    "ParameterError",
    "PipelineError",
    "RequirementsNotMetError",
    "RunTimeoutError",
    "StorageError",
    "UnfinishedRunsError",
]


class KfpEdgeError(Exception):
    """A user's mistake, or a refusal, in one sentence: what is wrong, where, what to do.

    Everything that is shown to a user without a traceback is of this type. Never put a secret in it.
    """


class KfpEdgeWarning(UserWarning):
    """What may impair a run, in one sentence: what it is, where, what to do."""


class ParameterError(KfpEdgeError):
    """A parameter, an option or an environment variable is missing or has a value that cannot be used."""


class DataError(KfpEdgeError):
    """A table or a dataset cannot be read, lacks a column, or does not suffice for the task."""


class ModelError(KfpEdgeError):
    """A model file or a bundle is damaged, was altered, is refused for safety, or cannot be converted."""


class PipelineError(KfpEdgeError):
    """There is no such pipeline, it does not compile, or a backend or the local runner cannot run it."""


class RequirementsNotMetError(KfpEdgeError):
    """A model did not pass its checks, its gates or its staging test."""


class RunTimeoutError(KfpEdgeError):
    """A run on the cluster has not ended within the time to wait; it continues."""


class UnfinishedRunsError(KfpEdgeError):
    """A schedule was paused instead of deleted, because that would have killed runs that it started.

    Attributes:
        runs: their ids.
    """

    def __init__(self, message: str, runs: tuple[str, ...]) -> None:
        super().__init__(message)
        self.runs = runs


class StorageError(KfpEdgeError):
    """The file system, an object store or an HTTP server refused, failed, or has no such file."""


class ImageError(KfpEdgeError):
    """An image cannot be built, read, copied or run, or a registry or container tool refused or failed."""


class GitError(KfpEdgeError):
    """A git repository cannot be used, or its server refused."""


class CommandError(KfpEdgeError):
    """Another program is missing, took too long or failed.

    Attributes:
        output: everything the program wrote to stderr, secrets removed.
    """

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


class ApiError(KfpEdgeError):
    """An HTTP API refused a request, failed, or could not be reached.

    Attributes:
        status: the HTTP status; 0 when there was no response.
        retryable: whether the same request may succeed a little later.
        retry_after: the seconds that the server asks to wait before the next attempt (RFC 9110, section 10.2.3).
    """

    def __init__(
        self, message: str, status: int = 0, *, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable
        self.retry_after = retry_after


class ClusterError(ApiError):
    """The Kubernetes API refused a request, failed, or could not be reached.

    Attributes:
        possibly_applied: whether an earlier attempt of the same request may have taken effect, its response lost.
    """

    possibly_applied = False


class ForgeError(ApiError):
    """A forge (GitHub, GitLab, Gitea or Forgejo) refused a request, failed, or could not be reached.

    Attributes:
        reason: the forge's own words, in one line without secrets; empty if it gave none.
        not_executed: whether the forge certainly did nothing, so that even a request that creates may be repeated.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        *,
        reason: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
        not_executed: bool = False,
    ) -> None:
        super().__init__(message, status, retryable=retryable, retry_after=retry_after)
        self.reason = reason
        self.not_executed = not_executed


class KfpApiError(ApiError):
    """The KFP API server refused a request, failed, or could not be reached.

    Attributes:
        not_executed: whether the server certainly did nothing, so that even a call that creates may be repeated.
    """

    def __init__(
        self,
        message: str,
        status: int = 0,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        not_executed: bool = False,
    ) -> None:
        super().__init__(message, status, retryable=retryable, retry_after=retry_after)
        self.not_executed = not_executed


class MetricsError(ApiError):
    """The HTTP API of Prometheus refused a query, failed, or could not be reached."""
