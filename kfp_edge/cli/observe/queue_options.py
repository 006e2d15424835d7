"""The options that say how large the queue of a collector has to be."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kfp_edge.observability.site.queue_size import QueueSize
    from kfp_edge.observability.site.series import Scraped

OutageOption = Annotated[str, typer.Option("--outage", help="How long the hub may be out of reach.")]
IntervalOption = Annotated[str, typer.Option("--interval", help="The time from one scrape to the next.")]
SeriesOption = Annotated[
    int | None,
    typer.Option("--series", metavar="N", min=1, help="Series of one scrape, over all models of the site."),
]
ModelsOption = Annotated[int, typer.Option("--models", metavar="N", min=1, help="Models of the site.")]
FeaturesOption = Annotated[
    int | None, typer.Option("--features", metavar="N", min=1, help="Features of each model, in place of --series.")
]
MetricsOption = Annotated[
    list[Path] | None,
    typer.Option("--metrics", metavar="FILE", help="/metrics of a model, in place of --series; repeatable."),
]
HubOption = Annotated[str, typer.Option("--hub", metavar="URL", help="The hub's OTLP/HTTP receiver.")]
ImageOption = Annotated[str, typer.Option("--image", help="The image of the collector, by its digest.")]


def read_scraped(
    series: int | None, models: int, features: int | None, metrics: list[Path] | None, default: int | None = None
) -> "Scraped":
    """Return what is scraped at a site, with the collector itself.

    Args:
        series: Series of all models.
        models: How many models there are.
        features: Of each model.
        metrics: Files with the metrics of the models.
        default: The series if none of the others is there.

    Raises:
        ParameterError: none of them is there and there is no default, or more than one is.
    """
    from kfp_edge.errors import ParameterError
    from kfp_edge.observability.site.series import Scraped, count_series, estimate_series

    options = [
        name for name, value in (("--series", series), ("--features", features), ("--metrics", metrics)) if value
    ]
    if len(options) > 1 or (not options and default is None):
        chosen = f"{' and '.join(options)} are given; choose one of them" if options else "how many series are there"
        raise ParameterError(f"{chosen}: --series, --features (of each of --models) or --metrics.")
    if metrics:
        scraped = count_series(metrics)
    elif features:
        scraped = estimate_series(models, features)
    else:
        scraped = Scraped(series or default or 0, models)
    return scraped.with_collector()


def compute_size(scraped: "Scraped", outage: str, interval: str) -> "QueueSize":
    """Return the size of the queue for an outage and an interval, as a user writes them.

    Raises:
        ParameterError: one of them is no duration, or they do not fit together.
    """
    from kfp_edge.observability.site.queue_size import compute_queue_size

    return compute_queue_size(
        read_duration(outage, "--outage"),
        series=scraped.series,
        targets=scraped.targets,
        interval=read_duration(interval, "--interval"),
    )


def read_duration(text: str, option: str) -> timedelta:
    """Return the duration that an option has.

    Raises:
        ParameterError: it is none.
    """
    from kfp_edge.errors import ParameterError
    from kfp_edge.fleet.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ParameterError(f"{option} {text} {error}.") from error
