"""`python -m kfp_edge.images`: build the images of the project.

`runtime` is the image in which stages run, `serving` the one on which models are put, `managed-pipelines` the one that
brings pipelines into the dashboard of OpenShift AI.
"""

import argparse
import sys
from pathlib import Path

from kfp_edge import __version__
from kfp_edge.errors import KfpEdgeError
from kfp_edge.images.base_names import PACKAGES, UBI9
from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.compression import SMALLEST
from kfp_edge.images.platforms import PLATFORMS
from kfp_edge.images.runtime import DEFAULT_NAME, build_runtime_image, save_runtime_image
from kfp_edge.images.serving import TAG, build_serving_image, ensure_serving_image
from kfp_edge.spec.backends.profiles import DEFAULT_BACKEND, find_backend

#: What is built when no image is named.
_IMAGES = ("runtime", "serving")
_MANAGED_PIPELINES = "managed-pipelines"
#: What `requires-python` allows.
_PYTHONS = ("3.11", "3.12", "3.13")


def main() -> int:
    """Build what the arguments name, print one line for each image and return the exit code."""
    parser = make_parser()
    options = parser.parse_args()
    _check(parser, options)
    images = options.images or _IMAGES
    try:
        if "runtime" in images:
            _build_runtime(options)
        if "serving" in images:
            _build_serving(options, alone="runtime" not in images)
        if _MANAGED_PIPELINES in images:
            _build_managed_pipelines(options)
    except KfpEdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m kfp_edge.images", description=__doc__)
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="runtime, serving, managed-pipelines; the first two when none is named",
    )
    parser.add_argument(
        "--base",
        default=UBI9,
        help="ubi9 (the default); packages: made from this machine's distribution packages; or an image: of runtime "
        "HOST/REPO@sha256:..., UBI 9 or one with python3, git and skopeo; of serving, when it is built alone, an image "
        "with Python as skopeo names it, such as docker://HOST/REPO:TAG; of managed-pipelines an image with a shell, "
        "named like that, whose managed pipelines stay if it has any, as Red Hat's has",
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
    common = parser.add_argument_group("options of serving and managed-pipelines")
    common.add_argument(
        "--arch",
        action="append",
        default=[],
        choices=[platform.architecture for platform in PLATFORMS],
        help="processor, given twice for an image index of both; this machine's by default",
    )
    common.add_argument(
        "--level",
        type=int,
        choices=range(1, SMALLEST + 1),
        metavar="1-19",
        help="level of zstd, by default 19; 12 takes a tenth of the time; needs --output",
    )
    serving = parser.add_argument_group("options of serving")
    serving.add_argument(
        "--build-arg",
        action="append",
        default=[],
        type=_parse_pair,
        metavar="NAME=VALUE",
        help="argument of the Containerfile of ubi9",
    )
    managed = parser.add_argument_group("options of managed-pipelines")
    managed.add_argument(
        "--pipeline",
        action="append",
        default=[],
        metavar="PIPELINE",
        help="a pipeline of kfp-edge by name, or a compiled YAML or JSON file; may be repeated; all of kfp-edge by "
        "default",
    )
    managed.add_argument(
        "--backend", default=DEFAULT_BACKEND.name, metavar="NAME", help="the version of OpenShift AI that loads them"
    )
    managed.add_argument(
        "--suffix",
        default=__version__,
        help="what the names of the pipelines end in, by default the version of kfp-edge; a server that has a pipeline "
        "leaves it as it is, so other pipelines need another one",
    )
    return parser


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End with a message where arguments contradict each other."""
    known = (*_IMAGES, _MANAGED_PIPELINES)
    if unknown := set(options.images) - set(known):
        parser.error(f"there is no image {', '.join(sorted(unknown))}; name one of {', '.join(known)}")
    if _MANAGED_PIPELINES in options.images and (len(set(options.images)) > 1 or options.output is None):
        parser.error("managed-pipelines is built by itself, and needs --output")
    if _MANAGED_PIPELINES not in options.images and options.pipeline:
        parser.error("--pipeline is an option of managed-pipelines")
    if options.output is None and (options.level or options.build_arg):
        parser.error("--level and --build-arg need --output")


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


def _build_managed_pipelines(options: argparse.Namespace) -> None:
    # validation imports the whole of KFP
    from kfp_edge.images.managed_pipelines import TAG as MANAGED_TAG
    from kfp_edge.images.managed_pipelines import build_managed_pipelines_image, load_pipelines
    from kfp_edge.spec.compiling.compiler import pipeline_names

    backend = find_backend(options.backend)
    pipelines = load_pipelines(options.pipeline or pipeline_names(), backend, options.suffix)
    for pipeline in pipelines:
        _report(f"{pipeline.name}: {backend.title} takes it; its stages run in {', '.join(pipeline.images)}")
        for warning in pipeline.warnings:
            _report(f"warning: {warning}")
    layout = options.output / MANAGED_TAG
    digest = build_managed_pipelines_image(
        layout,
        pipelines,
        options.base,
        architectures=options.arch,
        level=options.level or SMALLEST,
        progress=_report,
    )
    print(f"managed-pipelines oci:{layout}:{MANAGED_TAG} {digest}", flush=True)


def _parse_pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
