"""`kfp-edge run` prints what the data gives reason to doubt, and `summary.json` has it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from kfp_edge.components.ingest.component import ingest
from kfp_edge.runtime.component import component
from kfp_edge.spec.compiling.compiler import compile_to_yaml

ROWS = 400
TIMES = pd.date_range("2026-01-01", periods=ROWS, freq="min").strftime("%Y-%m-%d %H:%M")


@dsl.pipeline(name="reading")
def reading(data: str, target: str):
    ingest(data=data, target=target)


@component
def commit() -> NamedTuple(
    "Outputs",
    [
        ("git_repository", str),
        ("git_branch", str),
        ("git_commit", str),
        ("git_committed", bool),
        ("git_pull_request", str),
    ],
):
    return ("sites.git", "review", "c0ffee", True, "https://git.example/plant/sites/pulls/7")


@dsl.pipeline(name="committing")
def committing():
    commit()


@component
def decide() -> NamedTuple("Outputs", [("decision", str)]):
    return ("watch",)


@dsl.pipeline(name="deciding")
def deciding():
    decide()


def _make_table() -> pd.DataFrame:
    """Return a table without any fault."""
    random = np.random.default_rng(0)
    failed = random.random(ROWS) < 0.4
    return pd.DataFrame({"heat": random.normal(size=ROWS) + failed, "result": np.where(failed, "Fail", "Pass")})


def _run(folder: Path, table: pd.DataFrame) -> subprocess.CompletedProcess[str]:
    """Run ingest alone on a table, and leave the run in `folder/out`."""
    table.to_csv(folder / "table.csv", index=False)
    (folder / "reading.yaml").write_text(compile_to_yaml(reading))
    program = str(Path(sys.executable).with_name("kfp-edge"))
    command = [program, "run", "reading.yaml", "-p", "data=table.csv", "-p", "target=result", "--out", "out"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def _printed_warnings(done: subprocess.CompletedProcess[str]) -> list[str]:
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    return [text.strip() for name, _, text in lines if name == "warning"]


def _warnings_in_summary(folder: Path) -> list[str]:
    warnings: list[str] = json.loads((folder / "out" / "summary.json").read_text())["warnings"]
    return warnings


def test_a_run_without_warnings_prints_none(tmp_path: Path) -> None:
    done = _run(tmp_path, _make_table())
    assert done.returncode == 0, done.stderr
    assert (_printed_warnings(done), _warnings_in_summary(tmp_path)) == ([], [])


def test_a_column_that_gives_the_label_away_is_seen_on_the_console(tmp_path: Path) -> None:
    table = _make_table()
    done = _run(tmp_path, table.assign(repair=(table.result == "Fail") * 1.5))
    (warning,) = _printed_warnings(done)
    assert "column 'repair' alone gives the class of nearly every row" in warning
    assert _warnings_in_summary(tmp_path) == [warning]


def test_two_spellings_of_a_class_are_seen_on_the_console(tmp_path: Path) -> None:
    table = _make_table()
    table.loc[:99, "result"] = table.result[:100].str.lower()
    done = _run(tmp_path, table)
    assert any("'Pass'" in warning and "'pass'" in warning for warning in _printed_warnings(done))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """The warnings about a leak behind ten columns of timestamps: those printed, and those in the summary."""
    table, folder = _make_table(), tmp_path_factory.mktemp("many")
    clocks = {f"clock {number}": TIMES for number in range(10)}
    done = _run(folder, table.assign(**clocks, repair=(table.result == "Fail") * 1.5))
    return _printed_warnings(done), _warnings_in_summary(folder)


def test_of_many_warnings_the_first_lines_are_printed_and_the_summary_has_all(
    many: tuple[list[str], list[str]],
) -> None:
    printed, in_summary = many
    assert len(in_summary) == 11
    assert printed == [*in_summary[:4], "7 more in the reports and in summary.json"]


def test_a_leak_is_printed_before_warnings_about_single_columns(many: tuple[list[str], list[str]]) -> None:
    assert "column 'repair' alone" in many[0][0]


def _printed_lines(folder: Path, pipeline: BaseComponent) -> dict[str, str]:
    """Run a pipeline without parameters, and return what is printed by what it is."""
    (folder / "pipeline.yaml").write_text(compile_to_yaml(pipeline))
    program = str(Path(sys.executable).with_name("kfp-edge"))
    command = [program, "run", "pipeline.yaml", "--out", "out"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return {line[:22].strip(): line[22:] for line in done.stdout.splitlines()}


def test_the_decision_of_a_run_is_printed(tmp_path: Path) -> None:
    assert _printed_lines(tmp_path, deciding)["decision"] == "watch"


def test_the_pull_request_of_a_release_is_printed(tmp_path: Path) -> None:
    lines = _printed_lines(tmp_path, committing)
    assert lines["commit"] == "c0ffee on review of sites.git"
    assert lines["pull request"] == "https://git.example/plant/sites/pulls/7"
