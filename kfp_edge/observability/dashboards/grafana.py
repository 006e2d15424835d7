"""Dashboards as Grafana's JSON, by its own SDK (grafana-foundation-sdk, which has one release for each of Grafana)."""

import itertools

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, prometheus
from grafana_foundation_sdk.models import dashboard as models

from kfp_edge.observability.dashboards.contracts import Dashboard, Kind, Panel, Query, Variable

#: How often the collectors of sites scrape. Stated in every query, `$__rate_interval` is never shorter than four
#: scrapes; a Prometheus of which Grafana knows nothing else counts as one that scrapes every 15 s.
SCRAPED_EVERY = "1m"
_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG = "kfp-edge"
_HEIGHT = 8
_GREEN, _YELLOW, _RED = "green", "yellow", "red"

_Panel = timeseries.Panel | stat.Panel | table.Panel


def to_json(dashboard: Dashboard) -> str:
    """Return the JSON model of a dashboard, as Grafana imports it."""
    builder = (
        builders.Dashboard(dashboard.title)
        .uid(dashboard.name)
        .description(dashboard.description)
        .tags([_TAG])
        .time("now-24h", "now")
        .refresh("1m")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .link(
            builders.DashboardLink("kfp-edge")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .as_dropdown(True)
            .keep_time(True)
            .include_vars(True)
        )
    )
    for variable in dashboard.variables:
        builder = builder.with_variable(_build_variable(variable))
    number = itertools.count(1)
    for row in dashboard.rows:
        builder = builder.with_row(builders.Row(row.title).id(next(number)))
        for panel in row.panels:
            builder = builder.with_panel(_build_panel(panel).id(next(number)))
    return JSONEncoder(sort_keys=True, indent=2).encode(builder.build()) + "\n"


def _build_variable(variable: Variable) -> builders.QueryVariable:
    builder = (
        builders.QueryVariable(variable.name)
        .label(variable.name.capitalize())
        .datasource(_SOURCE)
        .query(variable.values)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
    )
    if variable.is_single:
        return builder
    everything = models.VariableOption(selected=True, text="All", value="$__all")
    # as one expression, the values of thousands of sites would be too long for a query
    return builder.multi(True).include_all(True).all_value(".*").current(everything)


def _build_panel(panel: Panel) -> _Panel:
    queries = [_build_query(query, panel, chr(ord("A") + number)) for number, query in enumerate(panel.queries)]
    builder = _choose_builder(panel).title(panel.title).description(panel.description).unit(panel.unit)
    return builder.datasource(_SOURCE).targets(list(queries)).height(_HEIGHT).span(panel.width)


def _choose_builder(panel: Panel) -> _Panel:
    if panel.kind is Kind.TABLE:
        hidden = models.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}})
        return table.Panel().with_transformation(hidden)
    if panel.kind is Kind.NUMBERS:
        latest = options.ReduceDataOptions().calcs(["lastNotNull"])
        return (
            stat.Panel()
            .reduce_options(latest)
            .thresholds(_build_limits(panel))
            .graph_mode(common.BigValueGraphMode.NONE)
        )
    lines = timeseries.Panel().legend(
        options.VizLegendOptions()
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    if panel.kind is Kind.STACKED:
        return lines.stacking(options.StackingConfig().mode(common.StackingMode.NORMAL)).fill_opacity(40)
    return lines


def _build_limits(panel: Panel) -> builders.ThresholdsConfig:
    steps = [models.Threshold(None, _GREEN)]
    if panel.limits:
        steps += [models.Threshold(value, colour) for value, colour in zip(panel.limits, (_YELLOW, _RED), strict=True)]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _build_query(query: Query, panel: Panel, name: str) -> Dataquery:
    builder = Dataquery().expr(query.expression).ref_id(name).interval(SCRAPED_EVERY).datasource(_SOURCE)
    builder = builder.instant() if panel.is_of_now else builder.range()
    if panel.kind is Kind.TABLE:
        builder = builder.format(prometheus.PromQueryFormat.TABLE)
    return builder.legend_format(query.legend or "__auto")
