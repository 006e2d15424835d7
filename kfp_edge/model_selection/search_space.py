"""The search space of an estimator as distributions of Optuna."""

from collections.abc import Mapping, Sequence

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from kfp_edge.estimators.hyperparameters import Choice, Dimension

#: Digits of a number that is drawn: the model card shows what was trained.
_DIGITS = 4


def to_distributions(space: Sequence[Dimension]) -> dict[str, BaseDistribution]:
    """Return a distribution for each hyperparameter; that of a choice has the position of its values."""
    return {dimension.name: _to_distribution(dimension) for dimension in space}


def to_hyperparameters(space: Sequence[Dimension], drawn: Mapping[str, object]) -> dict[str, object]:
    """Return the hyperparameters that were drawn."""
    return {dimension.name: _to_value(dimension, drawn[dimension.name]) for dimension in space}


def _to_distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Choice):  # Optuna takes no lists
        return CategoricalDistribution(tuple(range(len(dimension.values))))
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _to_value(dimension: Dimension, drawn: object) -> object:
    if isinstance(dimension, Choice):
        assert isinstance(drawn, int)
        return dimension.values[drawn]
    if isinstance(drawn, float):
        return min(max(float(f"{drawn:.{_DIGITS}g}"), dimension.low), dimension.high)
    return drawn
