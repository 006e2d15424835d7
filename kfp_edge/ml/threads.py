"""How many threads scikit-learn uses."""

from contextlib import AbstractContextManager, nullcontext

from threadpoolctl import threadpool_limits

from kfp_edge.ml.dataset import Dataset

#: Number of rows from which a second thread makes fitting and predicting faster.
_PARALLEL_ROWS = 100_000


def limit_threads(data: Dataset) -> AbstractContextManager[object]:
    """Return a context that limits OpenMP to one thread where `data` is small.

    OpenMP's threads spin while they wait for each other: on a busy machine, small steps take many times longer with
    two threads than with one, and on an idle machine they gain nothing.
    """
    return threadpool_limits(1, user_api="openmp") if len(data.frame) < _PARALLEL_ROWS else nullcontext()
