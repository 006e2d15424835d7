"""`fleet metrics`: what the repository says, as Prometheus reads it."""

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kfp_edge.cli.app import app
from kfp_edge.errors import KfpEdgeError
from kfp_edge.fleet.status.exporter import Exporter
from kfp_edge.fleet.status.exposition import render_metrics
from kfp_edge.fleet.status.status import read_files
from support.fleet_history import FleetClone, create_fleet
from support.fleets import DIGESTS, site_with
from support.prometheus import NOW

OLD, NEW = DIGESTS[:2]
NIGHT = {"schedule": "0 22 * * *", "duration": "4h", "timeZone": "Europe/Berlin"}


@pytest.fixture
def fleet(tmp_path: Path) -> FleetClone:
    made = create_fleet(tmp_path, [site_with("hall-7"), site_with("hall-8", windows=[NIGHT]), site_with("late", "all")])
    made.release("canary", NEW, 12)
    return made


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["fleet", "metrics", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def samples(text: str, name: str) -> dict[str, str]:
    return dict(re.findall(rf"^kfp_edge_fleet_{name}(?:{{(.*)}})? (.*)$", text, re.MULTILINE))


@pytest.fixture
def text(fleet: FleetClone) -> str:
    with fleet.remote.open() as clone:
        return render_metrics(read_files(clone, "main"), NOW)


def test_every_site_has_the_image_of_its_ring(text: str) -> None:
    assert samples(text, "wanted_info") == {
        f'site="hall-7",ring="canary",model="pump",image_digest="{NEW}"': "1",
        f'site="hall-8",ring="canary",model="pump",image_digest="{NEW}"': "1",
        f'site="late",ring="all",model="pump",image_digest="{OLD}"': "1",
    }


def test_the_time_of_the_release_is_there(text: str) -> None:
    assert samples(text, "wanted_since_timestamp_seconds")['site="hall-7",ring="canary",model="pump"'] == (
        f"{NOW.timestamp() - 12 * 3600:.0f}"
    )


def test_a_site_outside_its_window_may_not_change(text: str) -> None:
    may_change = samples(text, "site_may_change")
    assert may_change['site="hall-7",ring="canary"'] == "1"
    assert may_change['site="hall-8",ring="canary"'] == "0"


def test_a_site_may_be_unseen_for_as_long_as_its_ring_states(text: str) -> None:
    assert samples(text, "site_offline_after_seconds")['site="late",ring="all"'] == "3600"


def test_the_time_of_reading_is_exact_to_the_second(text: str) -> None:
    assert samples(text, "read_timestamp_seconds") == {"": f"{NOW.timestamp():.0f}"}


def test_prometheus_accepts_the_format(text: str) -> None:
    subprocess.run(["promtool", "check", "metrics"], input=text.encode(), check=True, capture_output=True)


def test_a_file_is_written_as_a_whole(fleet: FleetClone, tmp_path: Path) -> None:
    assert run("--repository", str(fleet.folder), "--output", str(tmp_path / "fleet.prom")) == ""
    assert samples((tmp_path / "fleet.prom").read_text(), "wanted_info")
    assert not list(tmp_path.glob(".fleet.prom*"))


def test_metrics_are_printed_and_a_broken_site_file_is_reported(fleet: FleetClone) -> None:
    fleet.commit({"sites/hall-9/site.yaml": "kind: nonsense\n"}, 1)
    output = run("--repository", str(fleet.folder))
    assert "warning: sites/hall-9/site.yaml" in output
    assert samples(output, "broken_files") == {"": "1"}


def test_metrics_are_served_until_interrupted(fleet: FleetClone) -> None:
    command = ["kfp-edge", "fleet", "metrics", "--repository", str(fleet.folder), "--listen", "127.0.0.1:0"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[1]
        with urllib.request.urlopen(url) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert samples(answer.read().decode(), "wanted_info")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url.replace("/metrics", "/"))
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 130


def test_a_repository_that_cannot_be_read_later_is_reported_and_changes_nothing() -> None:

    answers, reported = iter(["first 1\n"]), threading.Event()
    sentences: list[str] = []

    def read() -> str:
        for text in answers:
            return text
        raise KfpEdgeError("the repository cannot be reached.")

    def report(sentence: str) -> None:
        sentences.append(sentence)
        reported.set()

    exporter = Exporter(read, report)
    address: list[str] = []
    ready = threading.Event()

    def take(text: str) -> None:
        address.append(text)
        ready.set()

    threading.Thread(
        target=exporter.serve, args=("127.0.0.1", 0, timedelta(milliseconds=10), take), daemon=True
    ).start()
    assert ready.wait(30)
    assert reported.wait(30)
    with urllib.request.urlopen(f"http://{address[0]}/metrics") as answer:
        assert answer.read() == b"first 1\n"
    assert sentences[0] == "the repository cannot be reached."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--listen", "9464"], "--listen 9464 must be HOST:PORT, such as 0.0.0.0:9464."),
        (["--listen", "127.0.0.1:x"], "--listen 127.0.0.1:x must be HOST:PORT"),
        (["--listen", "127.0.0.1:0", "--every", "often"], "--every often must be a duration such as 30m"),
        (["--listen", "127.0.0.1:0", "--every", "0s"], "--every 0s must be above 0."),
        (["--listen", "127.0.0.1:0", "--output", "x"], "--listen and --output are both given; choose one of them."),
        (["--listen", "203.0.113.7:9464"], "203.0.113.7:9464 cannot be served"),
    ],
)
def test_a_wrong_option_is_one_sentence(fleet: FleetClone, options: list[str], message: str) -> None:
    with pytest.raises(KfpEdgeError, match=re.escape(message)):
        run("--repository", str(fleet.folder), *options)
