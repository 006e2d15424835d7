"""The last check of a bundle: the inference server itself loads it and replays its samples."""

from pathlib import Path

from kfp_edge.errors import ModelError
from kfp_edge_serving.errors import StartError
from kfp_edge_serving.models import self_test
from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions


def replay_in_server(folder: Path) -> None:
    """Load a bundle with the server's own code, and replay its samples as the server does before it serves.

    Raises:
        ModelError: the server refuses the bundle.
    """
    try:
        self_test.replay(Model(load_bundle(folder, check_name=False), ModelOptions()))
    except StartError as error:
        raise ModelError(f"the inference server refuses this bundle, so none was written: {error}") from error
