"""A folder of models that appears after the server has started, as that of KServe's modelcars."""

import os
import time
from pathlib import Path

from kfp_edge_serving.telemetry.log import log

#: KServe sets it to `async` beside a modelcar, whose sidecar starts after the server and makes the folder, a link
#: (`ConfigureModelcarToContainer` in pkg/utils/storage.go).
_MODE = "MODEL_INIT_MODE"
_CHECK_SECONDS = 0.1


def wait_for_folder(folder: Path) -> None:
    """Wait until a folder is there, if KServe says that it comes later; how long is for the startup probe to say."""
    if os.environ.get(_MODE) != "async" or os.path.lexists(folder):
        return
    log("waiting for models", models=str(folder))
    while not os.path.lexists(folder):
        time.sleep(_CHECK_SECONDS)
