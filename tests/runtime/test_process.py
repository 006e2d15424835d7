"""An error of another program, or of a stage, is one sentence without secrets."""

import json

import pytest

from kfp_edge.errors import CommandError, KfpEdgeError
from kfp_edge.runtime.process import run
from kfp_edge.runtime.stage import stage


def test_what_a_program_writes_is_returned():
    assert run(["sh", "-c", "cat"], stdin="hello") == "hello"


def test_a_program_that_is_not_installed_is_an_error_with_the_remedy():
    with pytest.raises(CommandError, match="no-such-program is not installed; `kfp-edge doctor` says how"):
        run(["no-such-program"])


def test_an_error_ends_with_the_last_lines_of_stderr():
    with pytest.raises(CommandError, match=r"`sh -c` failed with exit code 3: second \| third \| fourth"):
        run(["sh", "-c", "printf 'first\nsecond\nthird\nfourth\n' >&2; exit 3"])


def test_secrets_are_replaced_in_errors():
    with pytest.raises(CommandError) as error:
        run(["sh", "-c", "echo the password is hunter2 >&2; exit 1"], secrets=["hunter2", ""])
    assert "hunter2" not in str(error.value) + error.value.output
    assert "the password is ***" in str(error.value)


def test_a_program_that_takes_too_long_is_stopped():
    with pytest.raises(CommandError, match=r"sleep did not finish within 0\.1 s and was stopped"):
        run(["sleep", "60"], timeout=0.1)


def test_output_that_is_not_text_does_not_hide_the_error():
    with pytest.raises(CommandError, match="failed with exit code 1"):
        run(["sh", "-c", r"printf '\377\376' >&2; exit 1"])


def _logged(capsys) -> dict[str, object]:
    return json.loads(capsys.readouterr().out.removeprefix("kfp-edge: "))


def test_a_stage_logs_its_duration(capsys):
    with stage("train"):
        pass
    line = _logged(capsys)
    assert line["stage"] == "train"
    assert "error" not in line


def test_a_stage_logs_its_warnings(capsys):
    with stage("ingest") as warnings:
        warnings.append("a column gives the label away")
    assert _logged(capsys)["warnings"] == ["a column gives the label away"]


def test_a_users_mistake_ends_a_stage_with_its_message_and_exit_code_1(capsys):
    with pytest.raises(SystemExit) as ended, stage("train"):
        raise KfpEdgeError("too few rows.")
    assert ended.value.code == 1
    assert _logged(capsys)["error"] == "too few rows."


def test_a_defect_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), stage("train"):
        raise ZeroDivisionError


def test_an_interrupted_stage_ends_with_exit_code_130(capsys):
    with pytest.raises(SystemExit) as ended, stage("train"):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert _logged(capsys)["error"] == "the stage was interrupted."
