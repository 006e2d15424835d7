"""docs/observability-hub.md: its commands work as written, and what it lists is there."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.observability.hub.rules.contracts import Recording
from kfp_edge.observability.hub.rules.rule_files import all_groups
from kfp_edge.observability.hub.rules.settings import AlertSettings, read_settings
from support.documents import list_commands, read_blocks
from support.fleet_history import create_fleet
from support.fleets import site_with
from support.git_repositories import isolate
from support.paths import ROOT

PAGE = ROOT / "docs/observability-hub.md"
HUB = ROOT / "deploy/observability/hub"


@pytest.fixture
def desk(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page names."""
    isolate(monkeypatch, tmp_path_factory.mktemp("home"))
    create_fleet(tmp_path / "fleet", [site_with("hall-7")]).folder.rename(tmp_path / "edge-sites")
    shutil.copy(HUB / "collector/collector.yaml", tmp_path)
    shutil.copy(HUB / "alertmanager/alertmanager.yaml", tmp_path)
    (tmp_path / "alerts.yaml").write_text(read_blocks(PAGE, "yaml")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", list_commands([PAGE]))
def test_a_command_works_as_written(desk: Path, command: str) -> None:
    done = CliRunner().invoke(app, shlex.split(command)[1:], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_the_settings_of_the_page_are_the_defaults(desk: Path) -> None:
    assert read_settings(desk / "alerts.yaml") == AlertSettings()


def test_the_recorded_series_of_the_page_are_recorded() -> None:
    recorded = {
        rule.name for group in all_groups(AlertSettings()) for rule in group.rules if isinstance(rule, Recording)
    }
    listed = set(re.findall(r"`((?:site|model)\w*:\w+:\w+)`", PAGE.read_text()))
    assert len(listed) > 6
    assert listed <= recorded


def test_the_folders_of_the_page_are_there() -> None:
    listed = set(re.findall(r"^\| `(\w[\w-]*)/` \|", PAGE.read_text(), re.MULTILINE))
    assert listed == {path.name for path in HUB.iterdir() if path.is_dir() and path.name != "__pycache__"}
