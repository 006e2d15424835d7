"""The `kfp-edge` command: help, exit codes and errors."""

import subprocess
import sys
from pathlib import Path

import pytest

from kfp_edge import __version__
from kfp_edge.cli import app as cli
from kfp_edge.errors import KfpEdgeError
from kfp_edge.spec.compiling import compiler

HEAVY = ("kfp", "sklearn", "pandas", "numpy", "onnxruntime", "google.protobuf", "boto3", "yaml")


def kfp_edge(*args: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("kfp-edge")), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["kfp-edge", *args])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def raising(error: BaseException) -> object:
    def raise_error() -> list[str]:
        raise error

    return raise_error


def test_help_names_the_commands_and_imports_nothing_heavy() -> None:
    code = f"""
import sys
from kfp_edge.cli.app import main
sys.argv = ["kfp-edge", "--help"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
    assert all(command in done.stdout for command in ("run", "compile", "validate", "doctor"))


def test_version_prints_the_version() -> None:
    done = kfp_edge("--version")
    assert (done.returncode, done.stdout) == (0, f"kfp-edge {__version__}\n")


def test_a_user_s_mistake_is_one_line_on_stderr() -> None:
    done = kfp_edge("compile", "no-such-pipeline")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: there is no pipeline 'no-such-pipeline'")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "missing.yaml"], "cannot read the pipeline missing.yaml: No such file or directory; check the path."),
        (["compile", "--check", "-o", "nowhere"], "there is no folder nowhere to check; run kfp-edge compile"),
    ],
)
def test_a_path_that_does_not_exist_is_named_once_with_what_to_do(
    args: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(monkeypatch, *args) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("args", [["no-such-command"], ["compile", "--no-such-option"], ["validate"], []])
def test_wrong_usage_exits_with_2(args: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(monkeypatch, *args) == 2


def test_an_interrupt_exits_with_130_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiler, "pipeline_names", raising(KeyboardInterrupt()))
    assert main(monkeypatch, "compile") == 130
    assert "Traceback" not in capsys.readouterr().err


def test_square_brackets_in_an_error_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiler, "pipeline_names", raising(KfpEdgeError("the column 'Torque [Nm]' is missing.")))
    assert main(monkeypatch, "compile") == 1
    assert capsys.readouterr().err == "error: the column 'Torque [Nm]' is missing.\n"


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "pipeline_names", raising(ZeroDivisionError()))
    monkeypatch.setattr(sys, "argv", ["kfp-edge", "compile"])
    with pytest.raises(ZeroDivisionError):
        cli.main()
