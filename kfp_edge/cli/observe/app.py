"""`kfp-edge observe` and its subcommands."""

import typer

from kfp_edge.cli.observe.add_collector import add_collector
from kfp_edge.cli.observe.charts import charts
from kfp_edge.cli.observe.check_alertmanager import check_alertmanager
from kfp_edge.cli.observe.check_collector import check_collector
from kfp_edge.cli.observe.dashboards import dashboards
from kfp_edge.cli.observe.demo import demo
from kfp_edge.cli.observe.queue import queue
from kfp_edge.cli.observe.render import render
from kfp_edge.cli.observe.rules import rules

observe = typer.Typer(no_args_is_help=True, help="What a fleet reports: collectors, dashboards, alerts.")


observe.command("queue")(queue)
observe.command("check-alertmanager")(check_alertmanager)
observe.command("check-collector")(check_collector)
observe.command("render")(render)
observe.command("charts")(charts)
observe.command("dashboards")(dashboards)
observe.command("rules")(rules)
observe.command("add-collector")(add_collector)
observe.command("demo")(demo)
