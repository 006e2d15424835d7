"""The parameters of `export`: checked before a run starts, and by the stage itself."""

import math
from collections.abc import Mapping, Sequence

from kfp_edge.errors import ParameterError
from kfp_edge.tasks.anomaly.threshold_rows import check_false_alarm_rate
from kfp_edge.tasks.brought import BroughtOptions


def parse_options(
    model_classes: Mapping[str, object],
    model_outputs: Sequence[str],
    model_threshold: str,
    false_alarm_rate: float = 0.001,
) -> BroughtOptions:
    """Return what the user states about a model that was trained elsewhere.

    Raises:
        ParameterError: with what to write instead.
    """
    for name, label in model_classes.items():
        if not isinstance(label, str | int | float):
            raise ParameterError(
                f"model_classes gives {label!r} for the class {name!r}; give a class of the data for each class of the "
                'model, such as {"0": "good", "1": "bad"}.'
            )
    names = [str(label) for label in model_classes.values()]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ParameterError(
            f"model_classes gives the class {repeated[0]!r} twice; each class of the model is a class of the data of "
            "its own."
        )
    check_false_alarm_rate(false_alarm_rate)
    return BroughtOptions(
        dict(model_classes), tuple(model_outputs), _parse_threshold(model_threshold), false_alarm_rate
    )


def _parse_threshold(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        threshold = float(text)
    except ValueError:
        threshold = math.nan
    if not math.isfinite(threshold):
        raise ParameterError(f"model_threshold is {text!r}; give the limit of the model's score, a number such as 0.5.")
    return threshold
