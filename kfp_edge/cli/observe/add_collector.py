"""`kfp-edge observe add-collector`."""

from typing import Annotated

import typer

from kfp_edge.cli.fleet.options import HERE, RepositoryFolder
from kfp_edge.cli.observe.queue_options import (
    FeaturesOption,
    HubOption,
    ImageOption,
    IntervalOption,
    MetricsOption,
    ModelsOption,
    OutageOption,
    SeriesOption,
    compute_size,
    read_scraped,
)


def add_collector(
    hub: HubOption,
    image: ImageOption,
    ring: Annotated[str, typer.Option("--ring", help="All sites of this ring.")] = "",
    site: Annotated[list[str] | None, typer.Option("--site", help="This site; may be repeated.")] = None,
    outage: OutageOption = "72h",
    interval: IntervalOption = "60s",
    series: SeriesOption = None,
    models: ModelsOption = 1,
    features: FeaturesOption = None,
    metrics: MetricsOption = None,
    repository: RepositoryFolder = HERE,
) -> None:
    """Give sites of a checkout a collector that sends their metrics to the hub, to be committed."""
    from kfp_edge.errors import ParameterError
    from kfp_edge.observability.site.fleet_component import add_to_sites
    from kfp_edge.observability.site.forms import SiteSettings

    if not ring and not site:
        raise ParameterError("name the sites that get a collector: --ring RING, or --site SITE.")
    size = compute_size(read_scraped(series, models, features, metrics, default=1000), outage, interval)
    settings = SiteSettings(hub=hub, image=image, size=size)
    for path in add_to_sites(repository, settings, ring=ring, names=site or ()):
        typer.echo(path)
