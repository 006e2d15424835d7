"""A model in use, read from its bundle to be compared with another one on the same rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from kfp_edge.errors import DataError, ParameterError
from kfp_edge.ml.bundle import Bundle
from kfp_edge.ml.dataset import Dataset
from kfp_edge.ml.onnx_model import OnnxModel
from kfp_edge.tasks.predictions import Predictions
from kfp_edge.tasks.registry import predict_onnx


@dataclass(frozen=True)
class Champion:
    """The model in use.

    Attributes:
        name: Its address, for messages.
        model: The ONNX model.
        positive: The class that its metrics describe, None for more than two classes and for detectors.
        remedy: What a user can do where another model cannot be compared with it.
    """

    name: str
    model: OnnxModel
    positive: str | None
    remedy: str

    @classmethod
    def load(
        cls, folder: Path, name: str, remedy: str = "compare models of the same kind, or leave champion empty"
    ) -> Self:
        """Read a bundle.

        Raises:
            ModelError: it was altered.
        """
        bundle = Bundle.load(folder)
        return cls(name, OnnxModel.load(bundle.model), bundle.manifest.positive, remedy)

    def predict(self, data: Dataset) -> Predictions:
        """Return what the model predicts for rows that it was not necessarily made for.

        Raises:
            ParameterError: it is a model for another task.
            DataError: the rows lack a column that it needs.
        """
        task = self.model.signature.task
        if task != data.roles.task:
            raise ParameterError(
                f"the champion {self.name} is a model for {task}, this one is for {data.roles.task}; {self.remedy}."
            )
        for tensor in self.model.signature.inputs:
            for column in tensor.columns:
                if column.name not in data.roles.features:
                    raise DataError(
                        f"the champion {self.name} needs the column {column.name!r}, which the data does not have as a "
                        f"feature; {self.remedy}."
                    )
        return predict_onnx(self.model, data.x(), data.roles.positive)

    def check_classes(self, own: Predictions, others: Predictions, positive: object) -> None:
        """Refuse a comparison with a model of other classes, or with one whose metrics describe another class.

        Args:
            own: What the champion predicts.
            others: What the other model predicts.
            positive: The class that the other model's metrics describe, None if there is none.

        Raises:
            ParameterError: with what differs.
        """
        if set(own.classes) != set(others.classes):
            names = [", ".join(repr(name) for name in model.classes) for model in (own, others)]
            raise ParameterError(
                f"the champion {self.name} has the classes {names[0]}, this model {names[1]}; {self.remedy}."
            )
        if self.positive is not None and positive is not None and self.positive != str(positive):
            raise ParameterError(
                f"the champion {self.name} was measured with the positive class {self.positive!r}, this model with "
                f"{str(positive)!r}; give both the same parameter positive, or {self.remedy}."
            )
