"""Which hyperparameters of an estimator a search tries."""

from collections.abc import Mapping

from kfp_edge.errors import ParameterError
from kfp_edge.estimators.estimator import Estimator
from kfp_edge.estimators.hyperparameters import Dimension


def select_space(estimator: Estimator, given: Mapping[str, object], trials: int) -> list[Dimension]:
    """Return the dimensions of the search space that the user does not fix.

    Args:
        estimator: The estimator.
        given: The hyperparameters that the user gives, which are kept.
        trials: The number of trials, for messages.

    Raises:
        ParameterError: there is none.
    """
    if not estimator.search_space:
        raise ParameterError(
            f"tune is {trials}, but nothing is searched for {estimator.name}, {estimator.title}; write tune=0."
        )
    space = [dimension for dimension in estimator.search_space if dimension.name not in given]
    if not space:
        names = ", ".join(dimension.name for dimension in estimator.search_space)
        raise ParameterError(
            f"tune is {trials}, but hyperparameters gives everything that is searched for {estimator.name} ({names}); "
            "leave one out, or write tune=0."
        )
    return space
