"""Lines of the text format of Prometheus; names and labels of a series are formatted once."""

from collections.abc import Iterable, Mapping, Sequence


def format_labels(labels: Mapping[str, str]) -> str:
    """Return labels as they follow the name of a series."""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class HistogramSeries:
    """The series of a histogram, without the sum of its values."""

    def __init__(self, name: str, labels: Mapping[str, str], bounds: Sequence[str]) -> None:
        """Format the labels.

        Args:
            name: The name of the histogram.
            labels: Its labels but `le`.
            bounds: The upper bounds of the buckets, in their order, without the last one, which is `+Inf`.
        """
        bucket_labels = [format_labels({**labels, "le": bound}) for bound in (*bounds, "+Inf")]
        self._buckets = [f"{name}_bucket{each} " for each in bucket_labels]
        self._count = f"{name}_count{format_labels(labels)} "

    def lines(self, cumulative: Iterable[int]) -> list[str]:
        """Return the lines of the histogram, given how many values are at most each bound."""
        lines = [f"{bucket}{count}" for bucket, count in zip(self._buckets, cumulative, strict=True)]
        return [*lines, self._count + lines[-1].rpartition(" ")[2]]
