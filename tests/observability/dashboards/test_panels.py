"""What every dashboard has, and what its files are."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.observability.dashboards.files import render_dashboards
from support import schemas
from support.paths import ROOT

FOLDER = ROOT / "deploy/observability/hub/dashboards"
DOCUMENTS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel.get('title')}")
    for name, document in DOCUMENTS.items()
    for panel in document["panels"]
    if panel["type"] != "row"
]
#: Variables that Grafana itself has.
OF_GRAFANA = {"datasource", "__rate_interval", "__all"}


def test_the_files_in_the_repository_are_what_the_command_writes() -> None:
    command = ["observe", "dashboards", "--output", str(FOLDER), "--check"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert (done.exit_code, done.output) == (0, "the dashboards are up to date\n")
    assert {path.name for path in FOLDER.iterdir()} == set(render_dashboards())


def test_a_file_that_was_changed_by_hand_is_noticed(tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["observe", "dashboards", "--output", str(tmp_path)]).exit_code == 0
    (tmp_path / "kfp-edge-site.json").write_text("{}\n")
    with pytest.raises(KfpEdgeError, match=r"not up to date: .*/kfp-edge-site\.json; run `kfp-edge observe dashboards"):
        runner.invoke(app, ["observe", "dashboards", "--output", str(tmp_path), "--check"], catch_exceptions=False)


def test_without_the_sdk_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "kfp_edge.observability.dashboards.grafana", None)
    with pytest.raises(KfpEdgeError, match=re.escape("pip install 'kfp-edge[dashboards]'.")):
        CliRunner().invoke(app, ["observe", "dashboards", "--output", str(tmp_path)], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_custom_resource_fits_its_schema_and_has_the_same_dashboard(name: str) -> None:
    resource = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    schemas.check(resource)
    assert json.loads(resource["spec"]["json"]) == DOCUMENTS[name]


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_a_title_a_unit_and_a_description(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"].endswith(".")


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_the_chosen_data_source_at_the_interval_of_scraping(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert target["datasource"]["uid"] == "${datasource}"
        # or $__rate_interval would be 60 s where Grafana thinks that scrapes are 15 s apart
        assert target["interval"] == "1m"
        assert target["instant"] is not target["range"]


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_variables_of_the_queries_are_those_of_the_dashboard(document: dict[str, Any]) -> None:
    variables = {each["name"] for each in document["templating"]["list"]}
    queries = json.dumps([document["panels"], document["templating"]])
    used = set(re.findall(r"\$\{?([a-z_]{2,})", queries))
    assert used - OF_GRAFANA <= variables
    assert variables - OF_GRAFANA <= used


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(document: dict[str, Any]) -> None:
    panels = document["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
