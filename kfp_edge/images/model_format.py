"""The formats of a model's image: with the inference server, or the model alone."""

from collections.abc import Mapping
from enum import StrEnum

from kfp_edge.errors import ParameterError
from kfp_edge.suggestions import describe_unknown_choice

_LABEL = "io.kfp-edge.format"


class ModelFormat(StrEnum):
    """What is in the image of a model."""

    #: The serving image, and the model as one layer: a container that answers requests.
    IMAGE = "image"
    #: The model alone, in `/models`, for KServe's `oci://` addresses.
    MODELCAR = "modelcar"

    @classmethod
    def parse(cls, text: str) -> "ModelFormat":
        """Parse the parameter `format`.

        Raises:
            ParameterError: there is no such format.
        """
        if text not in tuple(cls):
            raise ParameterError(describe_unknown_choice("format", text, tuple(cls)))
        return cls(text)

    @classmethod
    def of_labels(cls, labels: Mapping[str, str]) -> "ModelFormat":
        """Return the format of an image with these labels."""
        return cls.MODELCAR if labels.get(_LABEL) == cls.MODELCAR else cls.IMAGE

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which an image of this format is known; none for the usual one."""
        return {} if self is ModelFormat.IMAGE else {_LABEL: self.value}
