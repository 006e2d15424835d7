"""What a staging test runs: an image with the inference server, or a modelcar beside such an image."""

from dataclasses import dataclass

from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.labels import BASE_DIGEST_LABEL
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.images.registry import read_labels, select_platform

#: Where KServe shows the files of a modelcar to the server.
MODEL_FOLDER = "/mnt/models"


@dataclass(frozen=True)
class Candidate:
    """A candidate, its labels, and the model in it.

    `server` is the serving image that is run with the files of a modelcar; None if the candidate has a server itself.
    """

    image: ImageRef
    labels: dict[str, str]
    model: str
    server: ImageRef | None = None

    @property
    def runs(self) -> ImageRef:
        """The image whose program is started."""
        return self.server or self.image

    @property
    def has_shell(self) -> bool:
        """Whether a modelcar has a base, by whose shell KServe runs it as a sidecar; else it is mounted as a volume."""
        return BASE_DIGEST_LABEL in self.labels

    def arguments(self, folder: str = MODEL_FOLDER) -> list[str]:
        """Return the arguments of the server, as in our ServingRuntime; none if it has its model in the image."""
        if self.server is None:
            return []
        return [f"--model_name={self.model}", f"--model_dir={folder}", "--require-bundle=on"]


def is_modelcar(labels: dict[str, str]) -> bool:
    """Whether an image with these labels is a modelcar."""
    return ModelFormat.of_labels(labels) == ModelFormat.MODELCAR


def read_candidate_labels(image: ImageRef) -> dict[str, str]:
    """Return the labels of an image, of one platform if it is an index.

    Raises:
        ImageError: it is not there, or its repository refuses.
    """
    return read_labels(select_platform(image))
