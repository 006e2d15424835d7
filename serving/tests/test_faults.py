"""Faults at a site: power, disks, clocks, limits, log collectors, signals."""

import json
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from serving_support.bundles import PUMP_ROW
from serving_support.raw_http import Answer, Client, exchange, get, post, statuses
from serving_support.server_process import PATIENT, Server, running, start
from serving_support.waiting import until

LIVE = "/v2/health/live"
READY = "/v2/health/ready"
INFER = "/v2/models/pump/infer"
SMALL = post(INFER, PUMP_ROW)
REFUSED = post(INFER, b"{")


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End a process with the block."""
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def limited(what: int, to: int) -> Iterator[None]:
    """Let processes that start in the block inherit a limit."""
    before = resource.getrlimit(what)
    resource.setrlimit(what, (to, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(what, before)


def seconds_of_cpu(process: subprocess.Popen[str]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- power ---


def test_after_kill_9_it_starts_at_once_on_the_same_port(models: Path) -> None:
    with running(models) as server, Client(server.port) as client:
        assert client.send(get(LIVE)).answer() is not None
        server.process.kill()
        with running(models, "--port", str(server.port)) as again:
            assert again.port == server.port
            assert statuses(exchange(again.port, SMALL)) == [200]


# --- the disk ---


def test_it_writes_to_no_file_and_needs_no_home_and_no_folder_for_temporary_files(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("TMPDIR", "/nowhere")
    files = sorted(models.rglob("*"))
    for path in files:
        path.chmod(0o555 if path.is_dir() else 0o444)
    # not a byte can be written to any file, wherever it lies
    with limited(resource.RLIMIT_FSIZE, 0):
        process = start(models)
    with ended(process):
        server = Server.after(process, "ready")
        assert statuses(exchange(server.port, SMALL + get("/metrics") + get("/openapi.json"))) == [200, 200, 200]
        assert server.stop() == 0
    assert sorted(models.rglob("*")) == files


def test_a_folder_that_cannot_be_read_is_a_start_error(tmp_path: Path, start_error: Callable[[Path], str]) -> None:
    folder = tmp_path / ("a" * 300)
    assert start_error(folder) == f"cannot read {folder}, the folder of models (--models): File name too long."


# --- limits ---


def test_with_few_file_descriptors_it_accepts_fewer_clients_and_recovers(models: Path) -> None:
    with limited(resource.RLIMIT_NOFILE, 96):
        process = start(models)
    with ended(process), ExitStack() as stack:
        server = Server.after(process, "ready")
        first = stack.enter_context(Client(server.port))
        for _ in range(300):
            stack.enter_context(Client(server.port))
        assert statuses([first.send(SMALL).answer() or pytest.fail("closed")]) == [200]
        assert is_at_rest(server)
        stack.close()
        assert statuses(recovered(server)) == [200]


def test_without_any_file_descriptor_left_it_goes_on_serving_and_recovers(models: Path) -> None:
    with running(models) as server, ExitStack() as stack:
        first = stack.enter_context(Client(server.port))
        assert first.send(get(LIVE)).answer() is not None
        used = max(int(path.name) for path in Path(f"/proc/{server.process.pid}/fd").iterdir())
        hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 10, hard))
        for _ in range(100):
            stack.enter_context(Client(server.port))
        assert statuses([first.send(SMALL).answer() or pytest.fail("closed")]) == [200]
        assert is_at_rest(server)
        stack.close()
        assert statuses(recovered(server)) == [200]


def is_at_rest(server: Server) -> bool:
    """Whether the server sleeps while clients wait that it cannot take."""
    before = seconds_of_cpu(server.process)
    time.sleep(0.5)
    return seconds_of_cpu(server.process) - before < 0.15


def recovered(server: Server) -> list[Answer]:
    """Return the answer to an inference, asked again until it is taken."""
    answers: list[Answer] = []

    def is_answered() -> bool:
        answers[:] = exchange(server.port, SMALL)
        return bool(answers) and answers[0].status != 503

    until(is_answered)
    return answers


@pytest.fixture
def quarter_of_a_processor() -> Iterator[Path]:
    """Return a cgroup whose processes share 0.25 processors."""
    version1, version2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    name = f"kfp-edge-test-{os.getpid()}"
    if (version1 / "cpu.cfs_quota_us").exists():
        group, quota, text = version1 / name, "cpu.cfs_quota_us", "25000"
    elif "cpu" in (version2 / "cgroup.subtree_control").read_text().split():
        group, quota, text = version2 / name, "cpu.max", "25000 100000"
    else:
        pytest.skip("this machine lets no cgroup limit processors")
    try:
        group.mkdir()
        (group / quota).write_text(text)
    except OSError as error:
        pytest.skip(f"only root may limit processors here: {error}")
    yield group
    group.rmdir()


def test_a_quarter_of_one_processor_is_enough(models: Path, quarter_of_a_processor: Path) -> None:
    process = start(models, *PATIENT)
    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    (quarter_of_a_processor / "cgroup.procs").write_text(str(process.pid))
    with ended(process):
        server = Server.after(process, "ready")
        assert statuses(exchange(server.port, get(READY) + SMALL * 50)) == [200] * 51


# --- the clock ---

#: Python reads this when it starts.
CLOCK = """
import pathlib, time
_offset, _time, _time_ns = pathlib.Path(__file__).with_name("offset"), time.time, time.time_ns
time.time = lambda: _time() + int(_offset.read_text())
time.time_ns = lambda: _time_ns() + int(_offset.read_text()) * 10**9
"""


@pytest.mark.parametrize("years", [10, -10])
def test_a_clock_that_jumps_neither_ends_nor_prolongs_a_timeout(models: Path, tmp_path: Path, years: int) -> None:
    (tmp_path / "offset").write_text("0")
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    options = ("--read-timeout", "0.3", "--idle-timeout", "60")
    with ExitStack() as stack:
        server = stack.enter_context(running(models, *options, PYTHONPATH=str(tmp_path)))
        kept, slow = (stack.enter_context(Client(server.port)) for _ in range(2))
        assert kept.send(SMALL).answer() is not None
        slow.send(SMALL[:-1])
        (tmp_path / "offset").write_text(str(years * 365 * 86_400))
        assert statuses(slow.answers()) == [408]
        answer, metrics = kept.send(SMALL + get("/metrics", "Connection: close")).answers()
    assert (answer.status, metrics.status) == (200, 200)
    # only the reported times have changed
    year = time.gmtime().tm_year + years
    assert abs(parsedate_to_datetime(answer.headers["date"]).year - year) <= 1
    last = next(line for line in metrics.body.decode().splitlines() if line.startswith("kfp_edge_last_inference"))
    assert abs(time.gmtime(float(last.split()[-1])).tm_year - year) <= 1


# --- the reader of its log ---


def test_a_log_without_a_reader_blocks_nothing(models: Path) -> None:
    with running(models, "--access-log", "on", *PATIENT) as server:
        for _ in range(4):
            assert statuses(exchange(server.port, SMALL * 1000)) == [200] * 1000
        assert statuses(exchange(server.port, get(READY))) == [200]
        assert server.stop() == 0


def test_a_log_whose_reader_has_gone_ends_nothing(models: Path) -> None:
    with running(models) as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        assert statuses(exchange(server.port, REFUSED * 10)) == [400] * 10
        assert statuses(exchange(server.port, SMALL)) == [200]
        assert server.stop() == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""


# --- SIGTERM ---


@pytest.mark.parametrize("moment", ["listening", "loaded", "ready"])
@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM] * 3])
def test_a_signal_ends_it_cleanly_at_any_moment(models: Path, moment: str, signals: list[signal.Signals]) -> None:
    with running(models, until="listening") as server:
        if moment != "listening":
            server.event(moment)
        for number in signals:
            server.process.send_signal(number)
        stdout, stderr = server.process.communicate(timeout=30)
        assert (server.process.returncode, stderr) == (0, "")
        assert json.loads(stdout.splitlines()[-1])["event"] == "stopped"


def test_an_idle_connection_does_not_delay_the_end(models: Path) -> None:
    with running(models) as server, Client(server.port) as client, Client(server.port) as silent:
        assert client.send(get(LIVE)).answer() is not None
        assert server.stop() == 0
        assert client.answers() == silent.answers() == []


def test_a_request_in_a_thread_is_answered_before_the_end(models: Path) -> None:
    numbers = b",".join([b"0.25"] * 27_000)
    large = b'{"inputs": [{"name": "X", "datatype": "FP32", "shape": [9000, 3], "data": [%b]}]}' % numbers
    with running(models) as server, Client(server.port) as client:
        client.send(post(INFER, large)[:-1])
        until(lambda: "in_flight 1" in server.get("/metrics")[1])
        client.send(b"}")
        server.process.terminate()
        assert statuses(client.answers()) == [200]
        assert server.process.wait(timeout=30) == 0


def test_while_it_drains_it_is_live_but_not_ready(models: Path) -> None:
    with running(models) as server, Client(server.port) as client:
        client.send(SMALL[:-1])
        until(lambda: "in_flight 1" in server.get("/metrics")[1])
        server.process.terminate()
        server.event("draining")
        client.send(SMALL[-1:] + get(READY) + get(LIVE))
        answers = client.answers()
    assert statuses(answers) == [200, 503, 200]


def test_a_request_that_never_arrives_is_aborted_after_the_drain_timeout(models: Path) -> None:
    with running(models, "--drain-timeout", "0.3") as server, Client(server.port) as client:
        client.send(SMALL[:-1])
        until(lambda: "in_flight 1" in server.get("/metrics")[1])
        assert server.stop() == 0
        assert client.answers() == []
