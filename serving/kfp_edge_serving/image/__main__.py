"""`python -m kfp_edge_serving.image`: build the serving image."""

import argparse
import sys
from pathlib import Path

from kfp_edge_serving.image import ImageError, build


def main() -> int:
    """Build the image that the arguments ask for, print its digest and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kfp_edge_serving.image", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the OCI image layout")
    parser.add_argument("--base", help="image with Python; assembled from distribution packages when not given")
    arguments = parser.parse_args()
    try:
        digest = build(arguments.output, arguments.base, progress=lambda line: print(line, file=sys.stderr, flush=True))
    except ImageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(digest)
    return 0


if __name__ == "__main__":
    sys.exit(main())
