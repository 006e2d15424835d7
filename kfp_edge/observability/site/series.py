"""How many series a scrape of a site brings: counted in the metrics of its models, or estimated."""

from dataclasses import dataclass, replace
from pathlib import Path

from kfp_edge.errors import ParameterError
from kfp_edge.wording import count_of

#: Series of a model besides those of its features: requests, refusals, latency, classes, output, information.
SERIES_OF_A_MODEL = 150
#: Series of a feature: its histogram and the two of training that it is compared with, missing and unusual values.
SERIES_OF_A_FEATURE = 45
#: What a scrape adds to each target: `up`, its duration, its samples before and after relabelling, new series.
SERIES_OF_A_SCRAPE = 5
#: What is kept of the metrics of the collector itself.
SERIES_OF_THE_COLLECTOR = 20


@dataclass(frozen=True)
class Scraped:
    """What a site's collector scrapes.

    Attributes:
        series: Samples of one scrape of all targets.
        targets: How many there are.
        notes: How the number of series came about, in sentences.
    """

    series: int
    targets: int
    notes: tuple[str, ...] = ()

    def with_collector(self) -> "Scraped":
        """Return the same with what each scrape adds, and with the collector's own metrics as one more target."""
        targets = self.targets + 1
        series = self.series + SERIES_OF_THE_COLLECTOR + targets * SERIES_OF_A_SCRAPE
        note = f"series       {self.series:,} of the models, {series - self.series} of the collector and its scrapes"
        return replace(self, series=series, targets=targets, notes=(*self.notes, note))


def count_series(files: list[Path]) -> Scraped:
    """Count the series in the metrics of models, one file each, as `curl` saves them from /metrics.

    Raises:
        ParameterError: a file cannot be read or holds no metrics.
    """
    counts = {file: _count(file) for file in files}
    notes = tuple(f"metrics      {file}: {count_of(count, 'series', 'series')}" for file, count in counts.items())
    return Scraped(sum(counts.values()), len(counts), notes)


def estimate_series(models: int, features: int) -> Scraped:
    """Estimate the series of models that are not there yet; rather too many than too few."""
    series = models * (SERIES_OF_A_MODEL + features * SERIES_OF_A_FEATURE)
    note = (
        f"estimate     {count_of(models, 'model')} with {count_of(features, 'feature')} each: {SERIES_OF_A_MODEL} "
        f"series a model and {SERIES_OF_A_FEATURE} a feature; --metrics counts them once a model runs"
    )
    return Scraped(series, models, (note,))


def _count(file: Path) -> int:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ParameterError(f"--metrics {file} cannot be read: {reason}.") from error
    series = sum(1 for line in lines if line.strip() and not line.startswith("#"))
    if not series or not any(line.startswith("# TYPE ") for line in lines):
        raise ParameterError(
            f"--metrics {file} has no metrics of Prometheus' text format; save them with "
            f"`curl --silent --output {file} http://HOST:8080/metrics`."
        )
    return series
