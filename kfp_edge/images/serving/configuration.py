"""How the image starts, and its labels (OCI Image Specification, "OCI Image Configuration")."""

from kfp_edge.images.assembly import ImageProgram
from kfp_edge.images.oci.documents import ImageConfig
from kfp_edge.images.oci.labels import HEALTHCHECK_LABEL
from kfp_edge.images.serving.image_files import LIB, PYC, SERVER
from kfp_edge_serving import __version__

_START = ["python3", "-m", "kfp_edge_serving"]
_HEALTH = [*_START, "health"]
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

PROGRAM = ImageProgram("kfp-edge-serving", _RUN, LABELS, _ENVIRONMENT)
