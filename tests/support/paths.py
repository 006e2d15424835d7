"""Where the repository and the optional folder of shared data are."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Real data and the full schemas of custom kinds; not part of the repository.
SHARED = Path(os.environ.get("KFP_EDGE_SHARED") or ROOT.parent / "shared")
