"""How the image starts, and its labels (OCI Image Specification, "OCI Image Configuration")."""

from collections.abc import Sequence

from kfp_edge.images.oci.documents import ImageConfig
from kfp_edge.images.oci.labels import HEALTHCHECK_LABEL
from kfp_edge.images.oci.layer_writer import Layer
from kfp_edge.images.platforms import Platform
from kfp_edge.images.serving.image_files import LIB, PYC, SERVER
from kfp_edge_serving import __version__

_START = ["python3", "-m", "kfp_edge_serving"]
_HEALTH = [*_START, "health"]
_CREATED = "1970-01-01T00:00:00Z"
_SECOND = 1_000_000_000

_ENVIRONMENT = {
    "PYTHONPATH": f"{SERVER}:{LIB}",
    "PYTHONPYCACHEPREFIX": PYC,
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "KFP_EDGE_MODELS": "/models",
    "KFP_EDGE_REQUIRE_BUNDLE": "on",
}

LABELS = {
    "org.opencontainers.image.title": "kfp-edge-serving",
    "org.opencontainers.image.description": "Open Inference Protocol v2 over onnxruntime, for small edge machines.",
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.version": __version__,
    # for those who do not read `Healthcheck` from an OCI image, such as Podman
    HEALTHCHECK_LABEL: " ".join(_HEALTH),
}

_RUN: ImageConfig = {
    "User": "1001:0",
    "WorkingDir": "/",
    "Entrypoint": _START,
    "ExposedPorts": {"8080/tcp": {}, "8081/tcp": {}},
    "StopSignal": "SIGTERM",
    # a field of Docker's, which OCI does not have
    "Healthcheck": {
        "Test": ["CMD", *_HEALTH],
        "Interval": 10 * _SECOND,
        "Timeout": 5 * _SECOND,
        "StartPeriod": 30 * _SECOND,
        "Retries": 3,
    },
}


def make_configuration(
    base: ImageConfig, platform: Platform, below: Sequence[Layer], added: Sequence[tuple[Layer, str]]
) -> ImageConfig:
    """Return the configuration of the image.

    Args:
        base: Configuration of the base.
        platform: The processor it is for.
        below: The layers of the base.
        added: The layers on it, and what each holds.
    """
    inherited = {key: value for key, value in base.get("config", {}).items() if key not in ("Cmd", "Shell", "OnBuild")}
    history = base.get("history") or [{"created": _CREATED, "created_by": "the base"} for _ in below]
    return {
        **platform.fields,
        "created": _CREATED,
        "config": {**inherited, **_RUN, "Env": _environment(inherited), "Labels": _labels(inherited)},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in [*below, *(layer for layer, _ in added)]]},
        "history": [*history, *({"created": _CREATED, "created_by": f"kfp-edge-serving: {what}"} for _, what in added)],
    }


def _environment(inherited: ImageConfig) -> list[str]:
    base = dict(line.split("=", 1) for line in inherited.get("Env") or [])
    return [f"{name}={value}" for name, value in (base | _ENVIRONMENT).items()]


def _labels(inherited: ImageConfig) -> dict[str, str]:
    return (inherited.get("Labels") or {}) | LABELS
