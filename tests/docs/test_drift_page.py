"""The page on drift: its commands run against a real Prometheus, and its Python reads what they wrote."""

import os
import shlex
import subprocess
import sys
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from support.counting_servers import CountingServer
from support.documents import list_commands, read_blocks
from support.paths import ROOT
from support.prometheus import NOW, prometheus_with

PAGE = ROOT / "docs/drift.md"
URL = "https://thanos.example"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Return the folder of a run of the page's first command, with a site whose sensor is broken."""
    (command,) = [command for command in list_commands([PAGE]) if command.startswith("kfp-edge run drift")]
    servers = [
        *(CountingServer(f"hall-{number}", (300, 0), model="press-failure") for number in range(1, 4)),
        CountingServer("hall-4", (300, 0), model="press-failure", heat=(0, 0, 0, 0, 3)),
        *(CountingServer(f"hall-{number}", (300, 0), model="press-failure", heat=(0, 0, 1, 2, 0)) for number in (5, 6)),
    ]
    with prometheus_with(tmp_path / "prometheus", servers) as url:
        # the metrics of the test are of its own present
        more = ["-p", "drift_window=280m", "-p", f"drift_until={NOW.isoformat()}", "--out", str(tmp_path / "run")]
        done = subprocess.run(
            [*shlex.split(command.replace(URL, url)), *more],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return tmp_path / "run"


def test_the_command_decides_and_the_python_reads_why(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (result,) = run_folder.glob("artifacts/*/drift/result")
    monkeypatch.chdir(result.parent)
    (block,) = read_blocks(PAGE, "python")
    exec(compile(block, PAGE, "exec"), {})
    begin = (NOW - timedelta(minutes=280)).astimezone(UTC)
    assert capsys.readouterr().out.startswith(f"hall-4 {begin} {NOW} ('heat',) heat: its values are outside of the")
    assert (run_folder / "reports/drift.html").exists()


def test_the_readme_has_the_same_command() -> None:
    readme = [command for command in list_commands([ROOT / "README.md"]) if command.startswith("kfp-edge run drift")]
    assert readme == [command for command in list_commands([PAGE]) if command.startswith("kfp-edge run drift")]
