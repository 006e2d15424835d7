"""Running other programs: one clear sentence, and no secret in it."""

import json

import pytest

from kfp_edge.errors import CommandError, KfpEdgeError
from kfp_edge.runtime.process import run
from kfp_edge.runtime.stage import stage


def test_what_a_program_writes_is_returned():
    assert run(["sh", "-c", "cat"], stdin="hello") == "hello"


def test_a_program_that_is_not_there_is_told_with_the_remedy():
    with pytest.raises(CommandError, match="no-such-program is not installed; `kfp-edge doctor` says how"):
        run(["no-such-program"])


def test_a_failure_ends_with_what_the_program_said_last():
    with pytest.raises(CommandError, match=r"`sh -c` failed with exit code 3: second \| third \| fourth"):
        run(["sh", "-c", "printf 'first\nsecond\nthird\nfourth\n' >&2; exit 3"])


def test_secrets_are_blanked_out_of_errors():
    with pytest.raises(CommandError) as error:
        run(["sh", "-c", "echo the password is hunter2 >&2; exit 1"], secrets=["hunter2", ""])
    assert "hunter2" not in str(error.value) + error.value.output
    assert "the password is ***" in str(error.value)


def test_a_program_that_takes_too_long_is_stopped():
    with pytest.raises(CommandError, match=r"sleep did not finish within 0\.1 s and was stopped"):
        run(["sleep", "60"], timeout=0.1)


def test_bytes_that_are_no_text_do_not_hide_the_failure():
    with pytest.raises(CommandError, match="failed with exit code 1"):
        run(["sh", "-c", r"printf '\377\376' >&2; exit 1"])


def _told(capsys) -> dict[str, object]:
    return json.loads(capsys.readouterr().out.removeprefix("kfp-edge: "))


def test_a_stage_tells_its_seconds(capsys):
    with stage("train"):
        pass
    told = _told(capsys)
    assert told["stage"] == "train"
    assert "error" not in told


def test_a_users_mistake_ends_a_stage_with_its_sentence_and_exit_code_1(capsys):
    with pytest.raises(SystemExit) as ended, stage("train"):
        raise KfpEdgeError("too few rows.")
    assert ended.value.code == 1
    assert _told(capsys)["error"] == "too few rows."


def test_a_defect_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), stage("train"):
        raise ZeroDivisionError


def test_an_interrupted_stage_ends_with_exit_code_130(capsys):
    with pytest.raises(SystemExit) as ended, stage("train"):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert _told(capsys)["error"] == "the stage was interrupted."
