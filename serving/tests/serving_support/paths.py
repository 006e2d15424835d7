"""Where the server's distribution is."""

from pathlib import Path

SERVING = Path(__file__).parents[2]
PACKAGE = SERVING / "kfp_edge_serving"
