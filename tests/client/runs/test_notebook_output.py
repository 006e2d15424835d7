"""A run shows itself in a notebook, is updated in place, and can be awaited."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any

import IPython.display
import pytest

from kfp_edge.client import Run, StageState
from kfp_edge.client.runs import observed_run
from kfp_edge.client.runs.html import render
from kfp_edge.client.runs.notebook_output import RunDisplay
from kfp_edge.client.runs.snapshot import RunSnapshot
from kfp_edge.errors import KfpApiError
from kfp_edge.reports.stage_report import StageReport
from support.clients import REPORT, STAGES, set_results, submit_small
from support.fake_kfp import FakeKfp
from support.notebooks import displayed_data, execute_cells

HTML = "text/html"


def snapshot(**changes: Any) -> RunSnapshot:
    """Return a run that is in its second stage."""
    stages = (
        StageState("learn", "succeeded", 75.0),
        StageState("judge", "running", 12.0),
        StageState("publish", "pending"),
    )
    values = {
        "name": "first <look>",
        "id": "1",
        "url": "https://example.com/#/runs/details/1",
        "pipeline": "small",
        "state": "running",
        "created_at": datetime(2026, 11, 29, 8, 30, tzinfo=UTC),
        "seconds": 87.0,
        "stages": stages,
    }
    return RunSnapshot(**{**values, **changes})


def test_a_run_is_shown_with_its_stages_progress_and_link() -> None:
    page = render(snapshot())
    for text in ("first &lt;look&gt;", "running", "1 of 3 stages", "1 min 27 s", "judge", "2026-11-29 08:30 UTC"):
        assert text in page
    assert 'href="https://example.com/#/runs/details/1"' in page


def test_metrics_and_reports_are_shown_inline_and_cannot_reach_the_notebook() -> None:
    reports = {"learn": StageReport("<!doctype html><script>"), "judge": StageReport("# Judged <b>")}
    page = render(snapshot(metrics={"roc_auc": 0.93127}, reports=reports))
    assert "0.9313" in page
    assert f'<iframe sandbox srcdoc="{escape("<!doctype html><script>")}"' in page
    assert "# Judged &lt;b&gt;" in page
    assert not any(element in page for element in ("<script", "<style"))


def test_a_problem_and_a_hint_are_shown() -> None:
    page = render(snapshot(state="failed", problem="the stage judge failed: <3", hint="no credentials"))
    assert "the stage judge failed: &lt;3" in page
    assert "no credentials" in page


def test_what_a_run_waits_for_and_the_notes_of_its_stages_are_shown() -> None:
    waiting = snapshot(
        stages=(StageState("learn", "succeeded", 0.0, "from the cache"),), waits=("the stage judge waits",)
    )
    assert "succeeded, from the cache" in render(waiting)
    assert "the stage judge waits" in render(waiting)
    assert waiting.text().splitlines()[2:] == [
        "✓ learn               succeeded   from the cache",
        "? the stage judge waits",
    ]


def test_a_terminal_gets_the_run_as_text() -> None:
    lines = snapshot(metrics={"roc_auc": 0.93127}).text().splitlines()
    assert lines[0] == "first <look>: running, 1 of 3 stages, 1 min 27 s"
    assert [line.split()[:3] for line in lines[2:4]] == [["✓", "learn", "succeeded"], ["…", "judge", "running"]]
    assert lines[-1].split() == ["roc_auc", "0.9313"]


@pytest.fixture
def ended(server: FakeKfp, no_pauses: None, work_folder: Path) -> Run:
    set_results(server)
    run = submit_small(server, name="ended")
    run.wait()
    return run


def test_a_run_that_has_ended_is_shown_with_its_results(ended: Run) -> None:
    page = ended._repr_html_()
    assert "0.8" in page
    assert escape(REPORT) in page


def test_results_that_cannot_be_read_are_a_hint(server: FakeKfp, ended: Run, no_credentials: None) -> None:
    server.store.has_artifact_api = False
    page = ended._repr_html_()
    assert "3 of 3 stages" in page
    assert "Metrics and reports cannot be read: " in page


# --- waiting


@pytest.mark.usefixtures("no_pauses", "work_folder")
def test_a_run_is_awaited_while_other_tasks_go_on(server: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed_run, "POLL_SECONDS", 0.01)
    ticks = 0

    async def wait_for_run() -> observed_run.RunResult:
        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        other = asyncio.create_task(tick())
        result = await submit_small(server)
        other.cancel()
        return result

    assert [stage.state for stage in asyncio.run(wait_for_run()).stages] == ["succeeded"] * len(STAGES)
    assert ticks > 1


@pytest.mark.usefixtures("no_pauses", "work_folder")
def test_a_task_that_no_longer_waits_asks_no_more(server: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observed_run, "POLL_SECONDS", 30.0)
    run = submit_small(server)

    async def wait_briefly() -> None:
        await asyncio.wait_for(asyncio.ensure_future(_result(run)), 0.2)

    with pytest.raises(TimeoutError):
        asyncio.run(wait_briefly())  # would not end before the thread does
    assert server.store.run(run.id)["state"] == "RUNNING"


async def _result(run: Run) -> observed_run.RunResult:
    return await run


@pytest.mark.usefixtures("work_folder")
def test_ctrl_c_ends_the_waiting_and_not_the_run(server: FakeKfp, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    run = submit_small(server, name="long")
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt, match="the run long continues; its method `cancel` cancels it"):
        run.wait()
    assert server.store.run(run.id)["state"] == "RUNNING"


# --- in place


Frame = tuple[str, dict[str, str]]


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """What is sent to the frontend: whether it is new or replaces an output, and the data."""
    sent: list[Frame] = []

    def send(kind: str) -> Callable[..., None]:
        return lambda bundle, raw, display_id: sent.append((kind, bundle))

    monkeypatch.setattr(IPython.display, "display", send("display"))
    monkeypatch.setattr(IPython.display, "update_display", send("update"))
    return sent


def follow_in_steps(update: Callable[[RunSnapshot], None]) -> RunSnapshot:
    update(snapshot(seconds=90.0))
    return snapshot(state="succeeded", metrics={"roc_auc": 0.9})


def test_an_output_is_replaced_until_the_run_has_ended(frames: list[Frame]) -> None:
    display = RunDisplay(follow_in_steps, lambda: None)
    display.show(snapshot())
    display.wait_for_last_update()
    assert [kind for kind, _ in frames] == ["display", "update", "update"]
    assert "roc_auc" in frames[-1][1][HTML]


def test_a_run_that_cannot_be_followed_keeps_its_last_state_with_the_reason(frames: list[Frame]) -> None:
    def fail(update: Callable[[RunSnapshot], None]) -> RunSnapshot:
        update(snapshot(seconds=99.0))
        raise KfpApiError("https://example.com cannot be reached.")

    display = RunDisplay(fail, lambda: None)
    display.show(snapshot())
    display.wait_for_last_update()
    last = frames[-1][1][HTML]
    assert "1 min 39 s" in last
    assert "This output is no longer updated: https://example.com cannot be reached." in last


class _Widget:
    """What the display uses of ipywidgets."""

    def __init__(self, children: "list[_Widget] | None" = None, **options: str) -> None:
        self.children = children or []
        self.options = options
        self.value = ""
        self.disabled = self.closed = False
        self.description = self.tooltip = ""

    def on_click(self, handler: Callable[[object], None]) -> None:
        self.click = handler

    def close(self) -> None:
        self.closed = True

    def _repr_mimebundle_(self) -> dict[str, Any]:
        return {"application/vnd.jupyter.widget-view+json": {"widget": self}}


@pytest.fixture
def widgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that looks like ipywidgets is installed."""
    module = ModuleType("ipywidgets")
    module.__dict__.update(HTML=_Widget, Button=_Widget, VBox=_Widget, __spec__=object())
    monkeypatch.setitem(sys.modules, "ipywidgets", module)


def test_with_ipywidgets_a_button_cancels_the_run_and_the_last_output_is_html(
    frames: list[Frame], widgets: None
) -> None:
    canceled, go_on = threading.Event(), threading.Event()

    def follow(update: Callable[[RunSnapshot], None]) -> RunSnapshot:
        update(snapshot(seconds=99.0))
        go_on.wait(10)
        return snapshot(state="canceled")

    display = RunDisplay(follow, canceled.set)
    display.show(snapshot())
    box = frames[0][1]["application/vnd.jupyter.widget-view+json"]["widget"]  # type: ignore[index]
    html, button = box.children
    button.click(button)
    assert canceled.is_set()
    assert button.disabled
    go_on.set()
    display.wait_for_last_update()
    assert "1 min 39 s" in html.value
    assert set(frames[-1][1]) == {"text/plain", HTML}
    assert box.closed


@pytest.mark.slow
def test_a_notebook_shows_a_run_in_one_output_from_its_start_to_its_results(server: FakeKfp, tmp_path: Path) -> None:
    """In a real kernel: the first cell displays the run, and its output is replaced while the second one waits."""
    set_results(server)
    code = [
        "from kfp_edge.client import Client\n"
        "from kfp_edge.client.runs import observed_run\n"
        "from support.clients import small\n"
        "observed_run.POLL_SECONDS = 0.1\n"
        f"run = Client.connect('ds-project', {server.url!r}).submit(small, {{'rows': 3}}, name='mine')\nrun",
        "result = await run\nresult.state",
    ]
    environment = {**os.environ, "KFP_EDGE_TOKEN": server.token, "KUBECONFIG": str(tmp_path / "none")}
    notebook = execute_cells(code, tmp_path, environment)
    (page,) = displayed_data(notebook, HTML)
    assert "3 of 3 stages" in page
    assert escape(REPORT) in page
    assert displayed_data(notebook, "text/plain")[-1] == "'succeeded'"
