"""`kfp-edge observe queue`."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer


def queue(
    outage: Annotated[str, typer.Option("--outage", help="How long the hub may be out of reach.")] = "72h",
    interval: Annotated[str, typer.Option("--interval", help="The time from one scrape to the next.")] = "60s",
    series: Annotated[
        int | None,
        typer.Option("--series", metavar="N", min=1, help="Series of one scrape, over all models of the site."),
    ] = None,
    models: Annotated[int, typer.Option("--models", metavar="N", min=1, help="Models of the site.")] = 1,
    features: Annotated[
        int | None,
        typer.Option("--features", metavar="N", min=1, help="Features of each model, in place of --series."),
    ] = None,
    metrics: Annotated[
        list[Path] | None,
        typer.Option("--metrics", metavar="FILE", help="/metrics of a model, in place of --series; repeatable."),
    ] = None,
) -> None:
    """Compute how large the queue of a site's collector has to be for an outage, and explain it."""
    from kfp_edge.errors import ParameterError
    from kfp_edge.observability.site.queue_size import compute_queue_size
    from kfp_edge.observability.site.series import Scraped, count_series, estimate_series

    given = [name for name, value in (("--series", series), ("--features", features), ("--metrics", metrics)) if value]
    if len(given) != 1:
        chosen = f"{' and '.join(given)} are given; choose one of them" if given else "how many series are there"
        raise ParameterError(f"{chosen}: --series, --features (of each of --models) or --metrics.")
    if metrics:
        scraped = count_series(metrics)
    elif features:
        scraped = estimate_series(models, features)
    else:
        scraped = Scraped(series or 0, models)
    scraped = scraped.with_collector()
    for line in scraped.notes:
        typer.echo(line)
    size = compute_queue_size(
        _duration(outage, "--outage"),
        series=scraped.series,
        targets=scraped.targets,
        interval=_duration(interval, "--interval"),
    )
    typer.echo(size.explain())


def _duration(text: str, option: str) -> timedelta:
    from kfp_edge.errors import ParameterError
    from kfp_edge.fleet.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ParameterError(f"{option} {text} {error}.") from error
