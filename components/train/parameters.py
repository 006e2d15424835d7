"""The parameters of `train` as the options of the training, and their rules, which `preflight` applies too."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from kfp_edge.model_selection.selection import SelectionOptions
from kfp_edge.tasks.task import TrainingOptions


def read_training_options(parameters: Mapping[str, Any]) -> TrainingOptions:
    """Return how a model is trained, by default where there is no such parameter."""
    given = _select(TrainingOptions, parameters)
    return TrainingOptions(**given | ({"quantiles": tuple(given["quantiles"])} if "quantiles" in given else {}))


def read_selection_options(parameters: Mapping[str, Any]) -> SelectionOptions:
    """Return what is done with the training rows beside fitting one model, by default nothing."""
    return SelectionOptions(**_select(SelectionOptions, parameters))


def _select(options: type[TrainingOptions] | type[SelectionOptions], parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: parameters[each.name] for each in fields(options) if each.name in parameters}
