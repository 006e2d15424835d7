"""What a site downloads for an update of the model and of the server, beside an image of the usual kind."""

import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import zstandard

from kfp_edge.components.containerize.containerize import containerize
from kfp_edge.components.export.export import export_model
from kfp_edge.components.ingest.ingest import ingest
from kfp_edge.components.ingest.options import IngestOptions
from kfp_edge.components.train.train import fit
from kfp_edge.components.verify.verify import Requirements, verify
from kfp_edge.fleet.promotion.image_facts import ImageFacts, read_facts
from kfp_edge.images.oci.layout import blob_path
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import read_manifest
from kfp_edge.images.serving import image_files
from kfp_edge.images.serving.builder import TAG, build_serving_image, layout_digest
from kfp_edge.images.tools.buildah import Buildah, temporary_storage
from kfp_edge.ml import dataset
from kfp_edge.ml.bundle import ModelIdentity
from kfp_edge.ml.skops_model import save_model
from kfp_edge.ml.threads import limit_threads
from kfp_edge.tasks.task import TrainingOptions

_NAME = "press"


@dataclass(frozen=True)
class Updates:
    """Bytes that a site downloads, compressed as a registry has them: for the first image, and for each update."""

    first: int
    model: int
    server: int


def weigh_updates(scratch: Path) -> tuple[Updates, Updates]:
    """Build images of two models and two versions of the server; return what a site downloads, ours and usual.

    The usual image has the same files: a layer of the base, which stays, and one with server, its dependencies and the
    model, built by Buildah and compressed with gzip, as Buildah and Docker push it.
    """
    bundles = [_train(scratch / f"model-{seed}", seed) for seed in (0, 1)]
    servers = [_build_server(scratch, number) for number in (0, 1)]
    images = {
        (server, model): containerize(
            bundles[model], f"oci:{scratch / f'images-{server}-{model}'}", f"oci:{servers[server]}:{TAG}"
        )
        for server, model in ((0, 0), (0, 1), (1, 0))
    }
    with temporary_storage(scratch / "storage") as buildah:
        usual = {
            key: read_facts(_build_usual(buildah, image, scratch / f"usual-{key[0]}-{key[1]}"))
            for key, image in images.items()
        }
    return _compare({key: read_facts(image) for key, image in images.items()}), _compare(usual)


def _compare(facts: dict[tuple[int, int], ImageFacts]) -> Updates:
    before = facts[0, 0]
    return Updates(before.size, facts[0, 1].missing_in(before), facts[1, 0].missing_in(before))


def _train(folder: Path, seed: int) -> Path:
    """Return the bundle of a classifier of failures; another seed is other data, and so another model."""
    folder.mkdir(parents=True)
    data = f"synthetic:ai4i?rows=10000&seed={seed}"
    ingest(IngestOptions(data=data), folder / "train", folder / "test", folder / "ingest.md")
    train_data, test_data = dataset.load(folder / "train"), dataset.load(folder / "test")
    with limit_threads(train_data):
        save_model(fit(train_data, TrainingOptions()), folder / "model")
    export_model(folder / "model", train_data, folder / "onnx")
    verify(
        folder / "model",
        folder / "onnx",
        train_data,
        test_data,
        Requirements({"roc_auc": 0.7}),
        ModelIdentity(_NAME, f"1.{seed}.0"),
        report=folder / "verify.html",
        bundle=folder / "bundle",
    )
    return folder / "bundle"


def _build_server(scratch: Path, number: int) -> Path:
    """Return the layout of the serving image; of the second one, a line of one module is different."""
    package = image_files.SERVER_PACKAGE
    changed = scratch / f"server-{number}" / package.name
    shutil.copytree(package, changed, ignore=shutil.ignore_patterns("__pycache__"))
    if number:
        with (changed / "__main__.py").open("a") as stream:
            stream.write(f"\n_CHANGED = {number}\n")
    layout = scratch / f"serving-{number}"
    image_files.SERVER_PACKAGE = changed
    try:
        build_serving_image(layout, cache=scratch / "cache", progress=lambda line: None)
    finally:
        image_files.SERVER_PACKAGE = package
    return layout


def _build_usual(buildah: Buildah, image: ImageRef, target: Path) -> ImageRef:
    """Return an image with the same files in two layers: the base, and all that is ours."""
    base, *ours = read_manifest(image)["layers"]
    container = buildah("from", "--quiet", "scratch")
    for number, layers in enumerate(([base], ours)):
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            for layer in layers:
                _unpack(blob_path(Path(image.repository), layer["digest"]), Path(folder))
            buildah("copy", "--quiet", "--chown=0:0", container, folder, "/")
        name = f"localhost/{target.name}:{number}"
        buildah("commit", "--quiet", "--format=oci", "--timestamp=0", container, name)
        buildah("rm", container)
        container = buildah("from", "--quiet", name)
    buildah("rm", container)
    buildah("push", "--quiet", name, f"oci:{target}:usual")
    return ImageRef("oci", str(target), layout_digest(target))


def _unpack(blob: Path, folder: Path) -> None:
    with (
        blob.open("rb") as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        archive.extractall(folder, filter="tar")
