"""`kfp-edge observe queue`."""

import typer

from kfp_edge.cli.observe.queue_options import (
    FeaturesOption,
    IntervalOption,
    MetricsOption,
    ModelsOption,
    OutageOption,
    SeriesOption,
    compute_size,
    read_scraped,
)


def queue(
    outage: OutageOption = "72h",
    interval: IntervalOption = "60s",
    series: SeriesOption = None,
    models: ModelsOption = 1,
    features: FeaturesOption = None,
    metrics: MetricsOption = None,
) -> None:
    """Compute how large the queue of a site's collector has to be for an outage, and explain it."""
    scraped = read_scraped(series, models, features, metrics)
    size = compute_size(scraped, outage, interval)
    typer.echo("\n".join([*scraped.notes, size.explain()]))
