"""A stage of kfp-edge that is forked from a process with its libraries runs as in a Python of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kfp import dsl

from kfp_edge import local
from kfp_edge.local import api, fork_client, runner
from kfp_edge.local.fork_client import is_forkable, start_fork_server
from kfp_edge.local.fork_server import preloaded_modules
from kfp_edge.local.worker import StageProcesses
from kfp_edge.spec.compiled_pipeline import CompiledPipeline, read_or_compile
from support.paths import ROOT
from support.stage_commands import stage_command


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def describe(path: str):
    """Write what a stage can see of its process."""
    import json
    import os
    import signal
    import sys
    from pathlib import Path

    from kfp_edge.components.clean_up.clean_up import clean_up

    set_by_the_shell = ("_", "SHLVL", "OLDPWD", "PWD")
    clean_up("", {})
    print("to stdout")
    print("to stderr", file=sys.stderr)
    seen = {
        "arguments": sys.argv[3:],
        "folder": str(Path.cwd()),
        "group": os.getpgid(0) == os.getpid() or os.getpgid(0) == os.getppid(),
        "input": str(Path("/proc/self/fd/0").readlink()),
        "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "environment": {name: value for name, value in os.environ.items() if name not in set_by_the_shell},
    }
    Path(path).write_text(json.dumps(seen))


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def end(how: str):
    """End in the way that is asked for."""
    import os
    import signal
    import sys

    from kfp_edge.components.clean_up.clean_up import clean_up

    clean_up("", {})
    if how == "crash":
        raise ZeroDivisionError
    if how == "text":
        sys.exit("it cannot go on")
    if how.isdigit():
        sys.exit(int(how))
    os.kill(os.getpid(), signal.Signals[how])


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def endure(trace: str):
    """Ignore every interrupt."""
    import signal
    import time
    from pathlib import Path

    from kfp_edge.components.clean_up.clean_up import clean_up

    clean_up("", {})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Path(trace, "started").touch()
    time.sleep(600)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def wait_forever(trace: str):
    import time
    from pathlib import Path

    from kfp_edge.components.clean_up.clean_up import clean_up
    from kfp_edge.runtime.stage import stage

    with stage("wait"):
        clean_up("", {})
        Path(trace, "started").touch()
        try:
            time.sleep(600)
        finally:
            Path(trace, "cleaned").touch()


@dsl.pipeline(name="waiting")
def waiting(trace: str):
    wait_forever(trace=trace)


@dsl.pipeline(name="ending")
def ending(how: str):
    end(how=how)


@pytest.fixture(scope="module")
def fork_server() -> Iterator[socket.socket]:
    """The connection to a fork server."""
    with start_fork_server() as connection:
        assert connection is not None
        yield connection


@pytest.fixture(params=["forked", "in its own Python"])
def stages(request) -> StageProcesses:
    """Starts stages in either way."""
    return StageProcesses(request.getfixturevalue("fork_server") if request.param == "forked" else None)


def test_a_forked_stage_sees_what_it_sees_in_a_python_of_its_own(fork_server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "7")
    path = tmp_path / "seen.json"
    seen = []
    for server in (fork_server, None):
        command = stage_command(describe, tmp_path, path=str(path))
        assert StageProcesses(server).run(command, {"FROM_THE_COMPONENT": "1"}) == 0
        seen.append(json.loads(path.read_text()))
    assert sorted(seen[0]["environment"].items()) == sorted(seen[1]["environment"].items())
    assert seen[0] == seen[1]
    assert seen[0]["folder"] == str(tmp_path)
    assert seen[0]["environment"]["SOURCE_DATE_EPOCH"] == "7"
    assert seen[0]["environment"]["FROM_THE_COMPONENT"] == "1"
    assert [capsys.readouterr().out.count(line) for line in ("to stdout\n",)] == [2]


@pytest.mark.parametrize(
    ("how", "code", "line"),
    [("3", 3, ""), ("0", 0, ""), ("text", 1, "it cannot go on"), ("crash", 1, "ZeroDivisionError")],
)
def test_a_stage_ends_with_its_own_exit_code_and_last_words(stages, tmp_path, capsys, how, code, line):
    assert stages.run(stage_command(end, tmp_path, how=how)) == code
    assert line in capsys.readouterr().out


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
def test_a_stage_that_a_signal_ended_is_reported(stages, tmp_path, capsys, name):
    assert stages.run(stage_command(end, tmp_path, how=name)) != 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("kfp-edge: ")]
    assert json.loads(line.partition("kfp-edge: ")[2])["error"].startswith(f"the stage was ended by {name}")


def test_a_run_whose_stage_was_killed_names_the_stage_and_the_signal(tmp_path):
    with pytest.raises(local.RunFailedError, match=r"^end: the stage was ended by SIGKILL; Linux does so when memory"):
        local.run(ending, {"how": "SIGKILL"}, out=tmp_path / "out")


def test_a_stage_that_does_not_end_after_an_interrupt_is_killed(stages, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def interrupt_and_kill() -> None:
        while not (tmp_path / "started").exists():
            time.sleep(0.02)
        stages.interrupt(signal.SIGINT, None)
        signal.alarm(0)
        stages.kill(signal.SIGALRM, None)

    thread = threading.Thread(target=interrupt_and_kill)
    thread.start()
    assert stages.run(stage_command(endure, tmp_path, trace=str(tmp_path))) == 130
    thread.join()
    monkeypatch.undo()
    assert _processes_in(tmp_path) == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_cleans_up_and_leaves_no_process(tmp_path, signum):
    (tmp_path / "pipeline.yaml").write_text(read_or_compile(waiting))
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in what a shell starts with `&`\n"
        "from kfp_edge import local\n"
        "try:\n"
        "    local.run(sys.argv[1] + '/pipeline.yaml', {'trace': sys.argv[1]}, out=sys.argv[1] + '/out')\n"
        "except local.RunFailedError as error:\n"
        "    print(error.run.status)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    while not (tmp_path / "started").exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.send_signal(signum)
    output, _ = child.communicate(timeout=90)
    assert output.split()[-1] == "interrupted"
    assert (tmp_path / "cleaned").exists()
    assert _processes_in(tmp_path) == []


def test_stages_start_python_themselves_when_the_server_has_ended(tmp_path):
    with start_fork_server() as connection:
        connection.shutdown(socket.SHUT_WR)
        assert StageProcesses(connection).run(stage_command(describe, tmp_path, path=str(tmp_path / "seen.json"))) == 0


def test_a_pipeline_without_stages_of_kfp_edge_preloads_nothing(tmp_path, monkeypatch):
    def refuse() -> None:
        raise AssertionError("there is nothing to preload")

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def greet() -> str:
        return "hello"

    @dsl.pipeline(name="greeting")
    def greeting():
        greet()

    monkeypatch.setattr(api, "start_fork_server", refuse)
    assert local.run(greeting, out=tmp_path / "out").status == "succeeded"


def test_a_component_that_installs_packages_or_is_not_of_kfp_edge_is_not_forked(tmp_path):
    @dsl.component(base_image="python:3.11", install_kfp_package=False, packages_to_install=["example"])
    def installing(how: str):
        from kfp_edge.components.clean_up.clean_up import clean_up

        clean_up(how, {})

    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def foreign(how: str):
        pass

    assert is_forkable(stage_command(end, tmp_path, how=""))
    assert not is_forkable(stage_command(installing, tmp_path, how=""))
    assert not is_forkable(stage_command(foreign, tmp_path, how=""))
    assert not is_forkable([word.replace(sys.executable, "python9") for word in stage_command(end, tmp_path, how="")])


def test_what_every_component_imports_is_preloaded():
    stages = {path.parent.name for path in (ROOT / "components").glob("*/component.py")}
    assert stages <= {module.split(".")[2] for module in preloaded_modules() if ".components." in module}


def test_the_server_has_no_thread_when_it_forks():
    script = (
        "import importlib, json, os, sys\n"
        "from kfp_edge.local import fork_server\n"
        "for module in fork_server.preloaded_modules():\n"
        "    importlib.import_module(module)\n"
        "assert fork_server._is_single_threaded()\n"
        "assert {'sklearn', 'onnxruntime', 'skl2onnx', 'pandas', 'pyarrow', 'matplotlib'} <= sys.modules.keys()\n"
        "pid = os.fork()\n"
        "assert len(os.listdir('/proc/self/task')) == 1\n"
        "if pid == 0:\n"
        "    os._exit(0)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    environment = {**os.environ, **fork_client._SERVER_ENVIRONMENT}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)


def test_a_forked_stage_writes_the_same_bytes(tmp_path, fork_server):
    pipeline = CompiledPipeline(read_or_compile("training"))
    arguments = pipeline.arguments({"data": "synthetic:ai4i?rows=2000&seed=0"})
    bundles = []
    for name, server in (("forked", fork_server), ("python", None)):
        assert runner.run(pipeline, arguments, tmp_path / name, fork_server=server).status == "succeeded"
        (bundle,) = tmp_path.glob(f"{name}/artifacts/*/verify/bundle")
        bundles.append({path.name: path.read_bytes() for path in sorted(bundle.rglob("*")) if path.is_file()})
    assert bundles[0] == bundles[1]


def _processes_in(folder: Path) -> list[str]:
    """Return the processes whose current folder this is."""
    processes = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if (process / "cwd").resolve() == folder.resolve():
                processes.append((process / "cmdline").read_text())
    return processes
