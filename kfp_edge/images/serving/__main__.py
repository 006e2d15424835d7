"""`python -m kfp_edge.images.serving`: build the serving image."""

import argparse
import sys
from pathlib import Path

from kfp_edge.images.platforms import PLATFORMS
from kfp_edge.images.serving import SMALLEST, ImageError, build


def main() -> int:
    """Build the image that the arguments ask for, print its digest and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kfp_edge.images.serving", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder of the OCI image layout")
    parser.add_argument(
        "--base",
        help="image with Python, such as docker://HOST/REPO:TAG, or ubi9 for our recipe of it; "
        "assembled from distribution packages when not given",
    )
    parser.add_argument(
        "--arch",
        action="append",
        default=[],
        choices=[platform.architecture for platform in PLATFORMS],
        help="processor; twice gives an image for both; this machine's when not given",
    )
    parser.add_argument(
        "--build-arg", action="append", default=[], type=_pair, metavar="NAME=VALUE", help="argument of the recipe"
    )
    parser.add_argument(
        "--level",
        type=int,
        default=SMALLEST,
        choices=range(1, SMALLEST + 1),
        metavar="1-19",
        help="how hard to compress; 12 takes a tenth of the time of 19, which is the default",
    )
    given = parser.parse_args()
    try:
        digest = build(
            given.output,
            given.base,
            architectures=given.arch,
            arguments=dict(given.build_arg),
            level=given.level,
            progress=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except ImageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(digest)
    return 0


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
