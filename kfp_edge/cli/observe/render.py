"""`kfp-edge observe render`."""

from pathlib import Path
from typing import Annotated

import typer

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


def render(
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where the files are written.")],
    form: Annotated[str, typer.Option("--form", help="kubernetes, operator or podman.")] = "kubernetes",
    site: Annotated[str, typer.Option("--site", help="The name of the site.")] = "",
    ring: Annotated[str, typer.Option("--ring", help="The ring of the site.")] = "",
    hub: HubOption = "",
    image: ImageOption = "",
    outage: OutageOption = "72h",
    interval: IntervalOption = "60s",
    series: SeriesOption = None,
    models: ModelsOption = 1,
    features: FeaturesOption = None,
    metrics: MetricsOption = None,
) -> None:
    """Write the collector of a site, with a queue for an outage of that length."""
    from kfp_edge.errors import ParameterError
    from kfp_edge.observability.site.forms import Form, SiteSettings, render_form
    from kfp_edge.storage.files import write_file
    from kfp_edge.suggestions import describe_unknown_choice

    if form not in tuple(Form):
        raise ParameterError(describe_unknown_choice("--form", form, tuple(Form)))
    size = compute_size(read_scraped(series, models, features, metrics, default=1000), outage, interval)
    values = {"site": site, "ring": ring, "hub": hub, "image": image}
    given = {name: value for name, value in values.items() if value}
    for path, data in render_form(Form(form), SiteSettings(**given, size=size)).items():
        write_file(output / path, data)
        typer.echo(f"wrote {output / path}")
    if missing := [f"--{name}" for name in values if name not in given]:
        typer.echo(f"warning: the files have examples in place of {', '.join(missing)}; give your own.", err=True)
