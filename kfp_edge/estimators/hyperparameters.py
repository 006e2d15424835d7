"""The hyperparameters of an estimator: where tuning searches for them, and whether a user's values can be used."""

from collections.abc import Mapping
from dataclasses import dataclass

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import InvalidParameterError

from kfp_edge.errors import ParameterError
from kfp_edge.suggestions import suggest_or

#: A value of a hyperparameter, as JSON and YAML have it.
Value = bool | int | float | str | list[int] | None

#: Parameters of scikit-learn that are set here, each with the reason for an error message.
_RESERVED = {
    "random_state": "the parameter seed sets it",
    "n_jobs": "the number of threads must not decide what a model is",
    "verbose": "it changes nothing about the model",
    "warm_start": "a model is fitted once",
    "copy_X": "it changes nothing about the model",
    "cache_size": "it changes nothing about the model",
}


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high` among which tuning searches a hyperparameter."""

    name: str
    low: float
    high: float
    #: Whether equal ratios are equal steps.
    log: bool = False
    #: Whether the numbers are integers.
    whole: bool = False

    def describe(self) -> str:
        """Return name and range in a form for documents, such as `C` 0.001 to 100 (log)."""
        return f"`{self.name}` {self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """The values among which tuning searches a hyperparameter."""

    name: str
    values: tuple[Value, ...]

    def describe(self) -> str:
        """Return name and values in a form for documents, such as `max_depth` 4, 6 or none."""
        *first, last = ("none" if value is None else str(value) for value in self.values)
        return f"`{self.name}` {', '.join(first)} or {last}"


#: One dimension of the space that tuning searches.
Dimension = Range | Choice


def check_hyperparameters(
    estimator: str, model: type[BaseEstimator], values: Mapping[str, object], refused: Mapping[str, str]
) -> dict[str, object]:
    """Return the hyperparameters that a user gives to an estimator, integers where whole numbers are meant.

    Args:
        estimator: Its name, for messages.
        model: Its class in scikit-learn, which knows the names, types and ranges.
        values: The hyperparameters by name.
        refused: Those that may not be given, with the reason.

    Raises:
        ParameterError: there is no such hyperparameter, it may not be given, or its value cannot be used.
    """
    reasons = {**_RESERVED, **refused}
    known = sorted(set(model().get_params()) - set(reasons))
    for name in values:
        if name in reasons and name in model().get_params():
            raise ParameterError(f"hyperparameters: {name} cannot be given for {estimator}: {reasons[name]}.")
        if name not in known:
            hint = suggest_or(str(name), known, f"choose among {', '.join(known)}.")
            raise ParameterError(f"{estimator} has no hyperparameter {name!r}; {hint}")
    return {name: _check_value(estimator, model, name, value) for name, value in values.items()}


def _check_value(estimator: str, model: type[BaseEstimator], name: str, value: object) -> object:
    """Return a value that scikit-learn accepts.

    Raises:
        ParameterError: there is none.
    """
    if value == "precomputed":
        raise ParameterError(
            f"hyperparameters: {name} cannot be precomputed for {estimator}: rows hold features, no similarities."
        )
    if isinstance(value, bool) and not {"boolean", "verbose"} & set(_list_kinds(model, name)):
        written = "true" if value else "false"
        raise ParameterError(f"hyperparameters of {estimator}: {name} cannot be {written}; give a number or a name.")
    try:
        model(**{name: value})._validate_params()
    except InvalidParameterError as error:
        # a backend writes every number as a float
        if isinstance(value, float) and value.is_integer():
            return _check_value(estimator, model, name, int(value))
        reason = str(error).removeprefix("The ").replace(f" parameter of {model.__name__}", "")
        raise ParameterError(f"hyperparameters of {estimator}: {reason.rstrip('.')}.") from error
    return value


def _list_kinds(model: type[BaseEstimator], name: str) -> list[str]:
    """Return the kinds of values by their names in scikit-learn, to which true is the number 1 everywhere."""
    return [kind for kind in model._parameter_constraints[name] if isinstance(kind, str)]
