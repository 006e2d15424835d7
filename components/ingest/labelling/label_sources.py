"""What makes the labels of a run: failure windows, a failure log, runs that end with their failure, or nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory

from kfp_edge.components.ingest.labelling.fails_within import FailureLogLabels
from kfp_edge.components.ingest.labelling.failure_log import read_failure_log
from kfp_edge.components.ingest.labelling.failure_windows import read_windows
from kfp_edge.components.ingest.labelling.log_times import DataTimes
from kfp_edge.components.ingest.labelling.made_labels import LabelSource
from kfp_edge.components.ingest.labelling.run_to_failure import RunToFailureLabels
from kfp_edge.components.ingest.options import IngestOptions, predicts_number
from kfp_edge.components.ingest.reading.arrow_columns import is_number
from kfp_edge.components.ingest.reading.sources import SourceTable
from kfp_edge.storage.fetch import fetch


def find_label_source(options: IngestOptions, source: SourceTable) -> LabelSource | None:
    """Return what the parameters make labels of, None where the data has its own labels or none.

    Args:
        options: The parameters, which do not contradict each other.
        source: The data; the times of windows and failures are written like those of its time column.

    Raises:
        DataError: the windows or the failure log cannot be used.
        StorageError: a file cannot be fetched.
    """
    labels, table_format = options.labels, options.table_format
    if options.windows:
        with TemporaryDirectory() as scratch:
            return read_windows(
                fetch(options.windows, Path(scratch)),
                source.name,
                table_format.time_zone,
                source.time_formats,
                has_number_times=is_number(source.table.column(options.time_column).type),
            )
    if labels.failures:
        log = read_failure_log(labels.failures, table_format)
        times = DataTimes(options.time_column, source.has_utc_times, source.time_formats, table_format.time_zone)
        return FailureLogLabels(log, labels, times, predicts_number(options.task))
    if labels.run_to_failure:
        return RunToFailureLabels(labels, predicts_number(options.task))
    return None
