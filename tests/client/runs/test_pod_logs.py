"""The end of a pod's log is reduced to what says why a stage failed."""

import pytest

from kfp_edge.client.runs.pod_logs import summarize_log

LAUNCHER = [
    "I1128 23:48:44.070319      18 launcher_v2.go:190] ExecutorInput: {",
    '  "inputs": {',
    '    "parameterValues": {}',
    "  }",
    "}",
]
END = [
    "I1128 23:48:47.118291      18 launcher_v2.go:202] publish success.",
    "F1128 23:48:47.218135      18 main.go:57] failed to execute component: exit status 1",
    'time="2026-11-28T23:48:47.312Z" level=info msg="sub-process exited" argo=true error="<nil>"',
    "Error: exit status 1",
]


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        (['kfp-edge: {"stage": "ingest", "seconds": 1}', "error: there is no column x."], "there is no column x"),
        (["Traceback (most recent call last):", '  File "x.py", line 3', "ValueError: no"], "ValueError: no"),
        (["Killed"], "Killed"),
        ([], ""),
    ],
)
def test_the_last_line_of_a_stage_says_why_it_failed(stage: list[str], reason: str) -> None:
    assert summarize_log([*LAUNCHER, *stage, *END]) == reason


def test_what_the_launcher_could_not_do_comes_before_what_the_stage_wrote() -> None:
    failed = "F1128 23:48:47.218135      18 main.go:57] failed to upload output artifact: access denied"
    assert summarize_log([*LAUNCHER, "done", failed]) == "failed to upload output artifact: access denied"


def test_a_long_line_is_cut() -> None:
    assert len(summarize_log(["x" * 5000])) < 600
