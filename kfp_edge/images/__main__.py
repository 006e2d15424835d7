"""`python -m kfp_edge.images`: build the images of the project.

`runtime` is the image in which stages run, `serving` the one on which models are put.
"""

import argparse
import sys
from pathlib import Path

from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.base_names import PACKAGES, UBI9
from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.compression import SMALLEST
from kfp_edge.images.platforms import PLATFORMS
from kfp_edge.images.runtime import DEFAULT_NAME, build_runtime_image, save_runtime_image
from kfp_edge.images.serving import TAG, build_serving_image, ensure_serving_image

_IMAGES = ("runtime", "serving")
#: What `requires-python` allows.
_PYTHONS = ("3.11", "3.12", "3.13")


def main() -> int:
    """Build what the arguments name, print one line for each image and return the exit code."""
    options = _parse_arguments()
    images = options.images or _IMAGES
    try:
        if "runtime" in images:
            _build_runtime(options)
        if "serving" in images:
            _build_serving(options, alone="runtime" not in images)
    except KfpEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kfp_edge.images", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="runtime, serving; both when none is named")
    parser.add_argument(
        "--base",
        default=UBI9,
        help="ubi9 (the default); packages: made from this machine's distribution packages; or an image: of runtime "
        "HOST/REPO@sha256:..., UBI 9 or one with python3, git and skopeo; of serving, when it is built alone, an image "
        "with Python as skopeo names it, such as docker://HOST/REPO:TAG",
    )
    parser.add_argument("--output", type=Path, help="folder to write the images into, as OCI layouts to be pushed")
    runtime = parser.add_argument_group("options of runtime")
    runtime.add_argument(
        "--python",
        default="3.12",
        choices=_PYTHONS,
        help="the base's version of Python, unless the base is packages",
    )
    runtime.add_argument("--name", default=DEFAULT_NAME, help="name of the image in Buildah's storage")
    serving = parser.add_argument_group("options of serving")
    serving.add_argument(
        "--arch",
        action="append",
        default=[],
        choices=[platform.architecture for platform in PLATFORMS],
        help="processor, given twice for an image index of both; this machine's by default",
    )
    serving.add_argument(
        "--build-arg",
        action="append",
        default=[],
        type=_parse_pair,
        metavar="NAME=VALUE",
        help="argument of the Containerfile of ubi9",
    )
    serving.add_argument(
        "--level",
        type=int,
        choices=range(1, SMALLEST + 1),
        metavar="1-19",
        help="level of zstd, by default 19; 12 takes a tenth of the time; needs --output",
    )
    options = parser.parse_args()
    if unknown := set(options.images) - set(_IMAGES):
        parser.error(f"there is no image {', '.join(sorted(unknown))}; name runtime or serving")
    if options.output is None and (options.level or options.build_arg):
        parser.error("--level and --build-arg need --output")
    return options


def _build_runtime(options: argparse.Namespace) -> None:
    build_runtime_image(options.base, options.python, options.name)
    print(f"runtime {options.name}", flush=True)
    if options.output is not None:
        print(f"runtime oci:{save_runtime_image(options.name, options.output / 'runtime')}", flush=True)


def _build_serving(options: argparse.Namespace, alone: bool) -> None:
    """Build the serving image, or take it from the cache when it is not to be written anywhere."""
    base = options.base if alone or options.base == PACKAGES else UBI9
    source = None if base == PACKAGES else base
    if options.output is None:
        layout, digest = ensure_serving_image(cache_folder(), source, architectures=options.arch, progress=_report)
    else:
        layout = options.output / "serving"
        digest = build_serving_image(
            layout,
            source,
            architectures=options.arch,
            arguments=dict(options.build_arg),
            level=options.level or SMALLEST,
            progress=_report,
        )
    print(f"serving oci:{layout}:{TAG} {digest}", flush=True)


def _parse_pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
