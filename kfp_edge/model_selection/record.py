"""What `train` found out about a model beside its metrics on held-out rows: the contract between `train` and `verify`.

It is JSON in the metadata of the model's artifact; a model that was trained elsewhere has none.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, ValidationError
from scipy import stats

from kfp_edge.errors import ModelError
from kfp_edge.metrics.catalog import find_metric, name_over_folds
from kfp_edge.metrics.intervals import CONFIDENCE, Interval
from kfp_edge.wording import count_of

#: The key in the metadata of the model's artifact.
METADATA_KEY = "training"


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FoldSummary(_Contract):
    """One metric over the folds in which it is defined."""

    values: tuple[float, ...]
    mean: float
    #: The 95 % interval of the mean; None for a single fold.
    interval: tuple[float, float] | None

    @property
    def lowest(self) -> float:
        """The lowest value of a fold."""
        return min(self.values)

    @property
    def highest(self) -> float:
        """The highest value of a fold."""
        return max(self.values)

    def format_interval(self) -> str:
        """Return the interval as reports show it, or ""."""
        return str(Interval(*self.interval)) if self.interval else ""


class CrossValidation(_Contract):
    """The metrics over the folds of the training rows, by name."""

    #: The number of folds that were measured.
    folds: int
    #: How the rows were divided, in words.
    description: str
    #: Which folds could not be measured, and why, each in one sentence.
    left_out: tuple[str, ...] = ()
    metrics: Mapping[str, FoldSummary]

    def to_metrics(self) -> dict[str, float]:
        """Return the numbers by name, such as `cv_mean(roc_auc)`."""
        return {
            name_over_folds(statistic, name): value
            for name, summary in self.metrics.items()
            for statistic, value in (("mean", summary.mean), ("low", summary.lowest), ("high", summary.highest))
        }


class TrialRecord(_Contract):
    """One trial: the mean of the metric over the folds, or why there is none, and the hyperparameters in words."""

    score: float | None
    problem: str = ""
    hyperparameters: Mapping[str, str]


class Tuning(_Contract):
    """The search for hyperparameters."""

    estimator: str
    metric: str
    #: The number of trials that were asked for.
    asked: int
    trials: tuple[TrialRecord, ...]
    #: The position of the best trial; the first one has the default hyperparameters.
    best: int
    #: Whether the time limit ended the search.
    is_cut_short: bool = False

    @property
    def outcome(self) -> str:
        """How many trials ran."""
        done = len(self.trials)
        asked = count_of(self.asked, "trial")
        return f"stopped after {done:,} of {asked}" if self.is_cut_short else count_of(done, "trial")


class TrainingRecord(_Contract):
    """What `train` found out."""

    cross_validation: CrossValidation | None = None
    tuning: Tuning | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers over folds by name; none where there was no cross-validation."""
        return {} if self.cross_validation is None else self.cross_validation.to_metrics()


def parse_record(text: str) -> TrainingRecord | None:
    """Read the record of a model; "" stands for a model that was trained elsewhere, of which nothing is known.

    Raises:
        ModelError: another version of kfp-edge wrote it.
    """
    if not text:
        return None
    try:
        return TrainingRecord.model_validate_json(text)
    except ValidationError as error:
        raise ModelError("the model's metadata was written by another version of kfp-edge; train it again.") from error


def summarize_folds(folds: Sequence[Mapping[str, float]], test_ratio: float) -> dict[str, FoldSummary]:
    """Return each metric over the folds, sorted by name.

    The interval is that of the corrected t-test of Nadeau and Bengio (Machine Learning 52, 2003): the models of the
    folds share most of their rows, so that the plain standard error of the mean is too small.

    Args:
        folds: The metrics of each fold by name; a fold lacks those that its labels do not define.
        test_ratio: The number of rows that a fold is measured on for each that its model is fitted on.
    """
    names = sorted({name for metrics in folds for name in metrics})
    return {name: _summarize(name, [each[name] for each in folds if name in each], test_ratio) for name in names}


def _summarize(name: str, values: Sequence[float], test_ratio: float) -> FoldSummary:
    mean, count = statistics.fmean(values), len(values)
    interval = None
    if count > 1:
        error = statistics.stdev(values) * (1 / count + test_ratio) ** 0.5
        half_width = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
        interval = _clip(name, (mean - half_width, mean + half_width))
    return FoldSummary(values=tuple(values), mean=round(mean, 6), interval=interval)


def _clip(name: str, ends: Iterable[float]) -> tuple[float, float]:
    metric = find_metric(name)
    assert metric is not None
    low, high = (round(min(max(end, metric.low), metric.high), 6) for end in ends)
    return low, high
