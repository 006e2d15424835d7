"""What `kfp-edge observe demo` refuses before it starts anything."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError


def demo(*options: str) -> str:
    """Run the command, and return why it refused."""
    with pytest.raises(KfpEdgeError) as refused:
        CliRunner().invoke(app, ["observe", "demo", *options], catch_exceptions=False)
    return str(refused.value)


def test_without_prometheus_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo() == "prometheus is not installed; on Debian and Ubuntu, the package prometheus has it."


def test_a_collector_that_is_no_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KFP_EDGE_OTELCOL", str(tmp_path))
    assert demo() == f"KFP_EDGE_OTELCOL is {tmp_path}, which is no program; name an OpenTelemetry Collector."


def test_nothing_is_written_into_a_folder_with_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert demo("--output", str(tmp_path)) == f"--output {tmp_path} is not empty; name a new folder."
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
