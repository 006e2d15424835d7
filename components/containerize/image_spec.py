"""The files, labels and times of a model image, which are the same for every build."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kfp_edge.errors import ParameterError
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.labels import BASE_DIGEST_LABEL, BUNDLE_LABEL, MODEL_LABEL
from kfp_edge.images.serving.model_bases import BaseImage
from kfp_edge.ml.bundle import Bundle


@dataclass(frozen=True)
class ImageSpec:
    """A bundle, what it is put on (nothing, for a modelcar without a base), and the labels of the image.

    `epoch` is the time, in seconds, that is written everywhere instead of now (reproducible-builds.org).
    """

    bundle: Bundle
    base: BaseImage | None
    labels: dict[str, str]
    epoch: int
    format: ModelFormat = ModelFormat.IMAGE

    @classmethod
    def for_bundle(
        cls, bundle: Bundle, base: BaseImage | None, revision: str, format: ModelFormat = ModelFormat.IMAGE
    ) -> "ImageSpec":
        """Return the spec of a bundle's image; `revision` is the commit of the code, the bundle's own when empty.

        Raises:
            ParameterError: SOURCE_DATE_EPOCH is no number.
        """
        epoch = _source_date_epoch()
        labels = _make_labels(bundle, base, revision or bundle.manifest.revision, epoch) | format.labels
        return cls(bundle, base, labels, epoch, format)

    @property
    def created(self) -> str:
        """`epoch` as RFC 3339."""
        return _format_time(self.epoch)

    @property
    def folder(self) -> str:
        """The folder of the bundle in the image, without the first slash; KServe shows what is in `/models`."""
        if self.format == ModelFormat.MODELCAR:
            return "models"
        return f"models/{self.bundle.manifest.name}/{self.bundle.manifest.version}"

    @property
    def files(self) -> dict[str, Path]:
        """The files of the contract and nothing else, by name, sorted."""
        return {name: self.bundle.folder / name for name in self.bundle.files}

    @property
    def tag(self) -> str:
        """The candidate's tag."""
        return f"{self.bundle.manifest.version}-{self.bundle.digest[:12]}"


def _make_labels(bundle: Bundle, base: BaseImage | None, revision: str, epoch: int) -> dict[str, str]:
    """Return the pre-defined annotation keys of the OCI Image Specification ("Annotations"), and two of ours."""
    labels = {
        "org.opencontainers.image.title": bundle.manifest.name,
        "org.opencontainers.image.version": bundle.manifest.version,
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.created": _format_time(epoch),
        "org.opencontainers.image.base.name": base.name if base else "",
        BASE_DIGEST_LABEL: base.image.digest if base else "",
        MODEL_LABEL: bundle.manifest.files["model.onnx"].sha256,
        BUNDLE_LABEL: bundle.digest,
    }
    return {key: value for key, value in labels.items() if value}


def _format_time(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _source_date_epoch() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH") or "0"
    if not text.isdecimal():
        raise ParameterError(f"SOURCE_DATE_EPOCH is {text!r}; it has to be a number of seconds.")
    return int(text)
