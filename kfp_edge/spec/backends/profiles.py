"""In which backends differ: one table of facts, each read in the sources of the backend.

A backend is what executes pipelines: the API server, driver and launcher of a version of OpenShift AI or of KFP. Each
has its own protobuf messages for a pipeline. Those of the installed `kfp-pipeline-spec` and `kfp-kubernetes` are the
common part; here is what has to be added to them, or taken away, for each backend.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kfp_edge.errors import ParameterError
from kfp_edge.suggestions import did_you_mean


@dataclass(frozen=True)
class Backend:
    """A version of OpenShift AI or of KFP.

    Attributes:
        name: How `--backend` names it.
        title: How people name it.
        kfp: The version of KFP that it is built from.
        source: The repository and the commit in which its facts were read.
        ignores_executor_fields: Whether it ignores unknown fields in `deploymentSpec`; others refuse to start a run.
        checks_platform_early: Whether it parses the Kubernetes configuration of executors when a run is started;
            with others, the task fails.
        also: Other minor versions that have the same messages.
        fails_on_claim_annotations: Whether its driver ends with an error when `CreatePVC` has annotations.
        has_managed_pipelines: Whether its operator takes an image with pipelines, which its API server loads.
    """

    name: str
    title: str
    kfp: str
    source: str
    ignores_executor_fields: bool = True
    checks_platform_early: bool = True
    also: tuple[str, ...] = ()
    fails_on_claim_annotations: bool = False
    has_managed_pipelines: bool = False


_RHOAI = "red-hat-data-services/data-science-pipelines"
_KFP = "kubeflow/pipelines"

_ALL = (
    Backend(
        "rhoai-2.25",
        "OpenShift AI 2.25 EUS",
        "2.5.0",
        f"{_RHOAI}, branch rhoai-2.25, 87f75f8e5",
        ignores_executor_fields=False,
        checks_platform_early=False,
        fails_on_claim_annotations=True,
    ),
    # the messages of branch rhoai-3.2 (1089aef85) are those of 3.0 and of 3.3
    Backend(
        "rhoai-3.0",
        "OpenShift AI 3.0",
        "2.14.3",
        f"{_RHOAI}, branch rhoai-3.0, 4d07673ac",
        also=("3.1", "3.2"),
        fails_on_claim_annotations=True,
    ),
    Backend(
        "rhoai-3.3",
        "OpenShift AI 3.3",
        "2.14.3",
        f"{_RHOAI}, branch rhoai-3.3, 9f73c3176",
        fails_on_claim_annotations=True,
    ),
    Backend(
        "rhoai-3.4",
        "OpenShift AI 3.4",
        "2.16.0 and backports",
        f"{_RHOAI}, branch rhoai-3.4, 6a348e659",
        has_managed_pipelines=True,
    ),
    Backend(
        "rhoai-3.5",
        "OpenShift AI 3.5",
        "2.16.1 and backports",
        f"{_RHOAI}, branch rhoai-3.5, 17c01fccd",
        has_managed_pipelines=True,
    ),
    Backend("kfp-2.16", "KFP 2.16", "2.16.1", f"{_KFP}, tag 2.16.1", fails_on_claim_annotations=True),
    Backend("kfp-2.17", "KFP 2.17", "2.17.0", f"{_KFP}, tag 2.17.0"),
)

#: Every backend by its name.
BACKENDS: Mapping[str, Backend] = {backend.name: backend for backend in _ALL}
#: The newest OpenShift AI.
DEFAULT_BACKEND = BACKENDS["rhoai-3.5"]
#: Every name that `find_backend` takes, of versions without a profile of their own, too.
BACKEND_NAMES = tuple(
    name
    for backend in _ALL
    for name in (backend.name, *(f"{backend.name.partition('-')[0]}-{minor}" for minor in backend.also))
)
#: A release, of which only major and minor version decide; a rebuild has a suffix. Early access may differ from either.
_RELEASE = re.compile(r"v?(\d+\.\d+)(?:\.\d+(?:\+.*|-0\.\d+\.p)?)?")
_NAME = re.compile(r"(?:(rhoai|kfp)-)?(.*)", re.DOTALL)

_FROM_3_0 = ("rhoai-3.0", "rhoai-3.3", "rhoai-3.4", "rhoai-3.5", "kfp-2.16", "kfp-2.17")
_FROM_3_4 = ("rhoai-3.4", "rhoai-3.5", "kfp-2.16", "kfp-2.17")


@dataclass(frozen=True)
class FieldFact:
    """Fields, or values of an enumeration, that only some backends know.

    Attributes:
        message: The message or the enumeration, as its proto file names it.
        fields: Their names, as the proto file has them, with their types; an empty one for the value of an enumeration.
        known_to: The names of the backends.
        effect: What they do; empty where a backend takes them and does nothing.
    """

    message: str
    fields: Mapping[str, str]
    known_to: tuple[str, ...]
    effect: str


#: The differences. `tests/spec/backends/test_backends.py` compares them with the installed messages.
FIELD_FACTS = (
    FieldFact(
        "ComponentSpec",
        {"task_config_passthroughs": "TaskConfigPassthrough"},
        _FROM_3_0,
        "hands settings of a task to what it starts",
    ),
    FieldFact("ParameterType.ParameterTypeEnum", {"TASK_CONFIG": ""}, _FROM_3_0, "a parameter with these settings"),
    FieldFact("SecretAsEnv", {"optional": "bool"}, _FROM_3_0, "a Secret that need not exist"),
    FieldFact("ConfigMapAsEnv", {"optional": "bool"}, _FROM_3_0, "a ConfigMap that need not exist"),
    FieldFact(
        "NodeAffinityTerm",
        {"node_affinity_json": "InputParameterSpec"},
        _FROM_3_0,
        "the affinity to nodes as a parameter",
    ),
    FieldFact(
        "ComponentInputsSpec.ParameterSpec",
        {"literals": "google.protobuf.Value"},
        _FROM_3_4,
        "the values that a parameter may have",
    ),
    FieldFact(
        "PipelineDeploymentConfig.ImporterSpec",
        {"download_to_workspace": "bool"},
        _FROM_3_4,
        "an importer that writes to the workspace",
    ),
    FieldFact("RuntimeArtifact", {"custom_path": "string"}, _FROM_3_4, "the path of an output artifact"),
    FieldFact(
        "KubernetesExecutorConfig",
        {"security_context": "SecurityContext"},
        _FROM_3_4,
        "user and group of the container",
    ),
    FieldFact("PvcMount", {"sub_path": "string"}, _FROM_3_4, "a folder of a volume"),
    FieldFact(
        "PipelineConfig",
        {
            "resource_ttl_on_completion": "int32",
            "resource_ttl_on_success": "int32",
            "resource_ttl_on_failure": "int32",
        },
        ("rhoai-3.4", "rhoai-3.5", "kfp-2.17"),
        "seconds after which the objects of a run are deleted",
    ),
    FieldFact(
        "PipelineConfig",
        {"active_deadline_seconds": "int32"},
        ("rhoai-3.4", "rhoai-3.5", "kfp-2.17"),
        "seconds that a run may take",
    ),
    FieldFact("PipelineConfig", {"resource_ttl": "int32"}, ("rhoai-2.25", "rhoai-3.0", "rhoai-3.3", "kfp-2.16"), ""),
    FieldFact(
        "PipelineConfig",
        {"semaphore_key": "string", "mutex_name": "string"},
        ("rhoai-2.25", "rhoai-3.0", "rhoai-3.3"),
        "",
    ),
    FieldFact(
        "CreatePvc",
        {"data_source": "TypedLocalObjectReference"},
        ("rhoai-3.5", "kfp-2.17"),
        "a volume that is a copy of another one",
    ),
)

#: Fields of `KubernetesExecutorConfig` that every backend takes and that no driver reads.
IGNORED_EXECUTOR_FIELDS = ("podAffinity", "enabledSharedMemory")

#: Messages of these fields that older packages lack.
MESSAGES: Mapping[str, Mapping[str, str]] = {
    "TypedLocalObjectReference": {"api_group": "string", "kind": "string", "name": "string"},
}


def find_backend(name: str) -> Backend:
    """Return a backend by its name, in which OpenShift AI needs no prefix and a patch version does not count.

    Raises:
        ParameterError: there is none of this name.
    """
    product, version = _split_name(name)
    if (backend := find_release(product or "rhoai", version)) is not None:
        return backend
    raise ParameterError(
        f"there is no backend {name!r}; {_did_you_mean(name)}the backends are: {', '.join(BACKEND_NAMES)}."
    )


def find_release(product: str, version: str) -> Backend | None:
    """Return the backend of a released version, None if its fields are not known.

    Args:
        product: `rhoai` or `kfp`.
        version: Such as `3.2.1`.
    """
    if (match := _RELEASE.fullmatch(version.strip())) is None:
        return None
    minor = match[1]
    if (backend := BACKENDS.get(f"{product}-{minor}")) is not None:
        return backend
    for backend in BACKENDS.values():
        if backend.name.startswith(product) and minor in backend.also:
            title, _, _ = backend.title.rpartition(" ")
            return replace(backend, title=f"{title} {minor}")
    return None


def _split_name(name: str) -> tuple[str, str]:
    match = _NAME.fullmatch(name.strip().lower())
    assert match is not None, "the pattern takes every text"
    return match[1] or "", match[2]


def _did_you_mean(name: str) -> str:
    product, version = _split_name(name)
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match is None:
        return did_you_mean(name, BACKEND_NAMES)
    distances = {
        each: abs(int(each.rpartition(".")[2]) - int(match[2]))
        for each in BACKEND_NAMES
        if each.startswith(product) and f"-{match[1]}." in each
    }
    return f"did you mean {min(distances, key=lambda each: distances[each])}? " if distances else ""


def find_fact(message: str, key: str) -> FieldFact | None:
    """Return the row of the table about a field, by its name in the proto file or in JSON; None if there is none."""
    return next(
        (
            fact
            for fact in FIELD_FACTS
            if fact.message == message and key in {*fact.fields, *map(_json_name, fact.fields)}
        ),
        None,
    )


def knows(backend: Backend, message: str, key: str) -> bool:
    """Whether a backend knows a field that the installed messages, or the table, have."""
    fact = find_fact(message, key)
    return fact is None or backend.name in fact.known_to


def _json_name(field: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), field)
