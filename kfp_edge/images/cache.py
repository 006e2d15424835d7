"""The folder of images, layers and package lists that later runs use again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return `KFP_EDGE_CACHE`, else `~/.cache/kfp-edge`."""
    return Path(os.environ.get("KFP_EDGE_CACHE") or Path.home() / ".cache" / "kfp-edge").absolute()
