"""SIGKILL of broker, feed and server, and outages: every row is answered, in order, or counted as dropped."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving_support.feed_process import running_feed
from serving_support.mosquitto import Mosquitto, free_port
from serving_support.mqtt_client import MqttClient, connected
from serving_support.server_process import PATIENT, Server, running
from serving_support.waiting import until
from serving_support.windowed_bundle import expected, windowed_bundle

from .conftest import Configure
from .test_feed import PREDICTIONS, reading, seconds


@pytest.fixture
def press(tmp_path: Path) -> Path:
    """Return the folder of a model with windows of 3 rows."""
    windowed_bundle(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def server(press: Path) -> Iterator[Server]:
    """Return a server of `press`."""
    with running(press, *PATIENT) as server:
        yield server


def windows(predictions: list[Any]) -> dict[int, list[float]]:
    """Return what the model has seen of each second that was answered; a repeated answer must be the same."""
    seen: dict[int, list[float]] = {}
    for second, prediction in zip(seconds(predictions), predictions, strict=True):
        answer = prediction["prediction"]["seen"]
        assert seen.setdefault(second, answer) == answer
    return seen


def check_all_answered(predictions: list[Any], last: int) -> None:
    """Check that each second up to `last` has the answer of its whole window, in order."""
    seen = windows(predictions)
    assert list(seen) == list(range(2, last + 1))
    assert seen == {
        second: pytest.approx(expected([second - 2, second - 1, second]), abs=1e-3) for second in range(2, last + 1)
    }


def wait_for_second(plant: MqttClient, last: int) -> list[Any]:
    """Wait until a second has been answered, and return all predictions so far."""
    until(lambda: last in seconds(plant.contents(PREDICTIONS)))
    return plant.contents(PREDICTIONS)


def test_a_feed_that_is_killed_at_any_moment_loses_nothing(
    broker: Mosquitto, server: Server, configure: Configure
) -> None:
    with running_feed(configure(broker.port, server.port)) as feed, connected(broker.port, "predictions/#") as plant:
        feed.wait_until_ready()
        for start in range(0, 100, 20):
            plant.send_all([reading(second) for second in range(start, start + 20)])
            feed.kill()
            feed.start()
        check_all_answered(wait_for_second(plant, 99), 99)


def test_a_broker_that_is_killed_loses_nothing_that_it_had_saved(
    tmp_path: Path, server: Server, configure: Configure
) -> None:
    broker = Mosquitto(tmp_path / "broker").start()
    configuration = configure(broker.port, server.port)
    with running_feed(configuration) as feed:
        feed.wait_until_ready()
        with connected(broker.port, "predictions/#", client_id="reader") as plant:
            plant.send_all([reading(second) for second in range(10)])
            wait_for_second(plant, 9)
        until(lambda: feed.value("buffer_messages") == 0)
        broker.kill()
        until(lambda: feed.value("connected") == 0)
        broker.start()
        until(lambda: feed.value("connected") == 1)
        with connected(broker.port, "predictions/#", client_id="reader") as plant:
            plant.send_all([reading(second) for second in range(10, 20)])
            wait_for_second(plant, 19)
            assert feed.value("connections_total", to="broker") == 2
            assert seconds(plant.contents(PREDICTIONS)) == list(range(10, 20))
    broker.kill()


def test_a_server_that_is_killed_gets_the_rows_of_the_windows_again(
    broker: Mosquitto, press: Path, configure: Configure
) -> None:
    port = free_port()
    with running_feed(configure(broker.port, port)) as feed, connected(broker.port, "predictions/#") as plant:
        with running(press, "--port", str(port), *PATIENT):
            feed.wait_until_ready()
            plant.send_all([reading(second) for second in range(10)])
            wait_for_second(plant, 9)
        plant.send_all([reading(second) for second in range(10, 15)])
        until(lambda: feed.get("/ready")[0] == 503)
        assert f"the server at http://127.0.0.1:{port} cannot be reached" in feed.get("/ready")[1]
        until(lambda: feed.value("buffer_messages") == 5)
        with running(press, "--port", str(port), *PATIENT):
            check_all_answered(wait_for_second(plant, 14), 14)
        assert feed.value("history_replays_total") == 1


def test_a_power_cut_takes_server_and_feed_and_the_windows_go_on(
    broker: Mosquitto, press: Path, configure: Configure
) -> None:
    port = free_port()
    configuration = configure(broker.port, port)
    with connected(broker.port, "predictions/#") as plant:
        with running(press, "--port", str(port), *PATIENT), running_feed(configuration) as feed:
            feed.wait_until_ready()
            plant.send_all([reading(second) for second in range(10)])
            wait_for_second(plant, 9)
        plant.send_all([reading(second) for second in range(10, 15)])
        with running(press, "--port", str(port), *PATIENT), running_feed(configuration):
            check_all_answered(wait_for_second(plant, 14), 14)


def test_without_the_feed_messages_wait_at_the_broker(broker: Mosquitto, server: Server, configure: Configure) -> None:
    with running_feed(configure(broker.port, server.port)) as feed, connected(broker.port, "predictions/#") as plant:
        feed.wait_until_ready()
        assert feed.stop() == 0
        plant.send_all([reading(second) for second in range(150)])
        feed.start()
        check_all_answered(wait_for_second(plant, 149), 149)
        until(lambda: feed.value("messages_total", status="stored") == 150)


@pytest.mark.parametrize("overflow", ["oldest", "newest"])
def test_an_outage_of_the_server_that_is_longer_than_the_buffer_is_counted(
    broker: Mosquitto, press: Path, configure: Configure, overflow: str
) -> None:
    port = free_port()
    configuration = configure(broker.port, port, buffer={"size": "256KiB", "overflow": overflow})
    number = 350
    messages = [(topic, content | {"remark": "x" * 1000}) for topic, content in map(reading, range(number))]
    with running_feed(configuration) as feed, connected(broker.port, "predictions/#") as plant:
        until(lambda: feed.value("connected") == 1)
        plant.send_all(messages)
        until(lambda: feed.value("messages_total", status="stored") == number)
        dropped = int(feed.value("dropped_messages_total"))
        assert 0 < dropped < number
        assert feed.value("buffer_bytes") <= feed.value("buffer_size_bytes") == 256 << 10
        kept = range(dropped, number) if overflow == "oldest" else range(number - dropped)
        with running(press, "--port", str(port), *PATIENT):
            predictions = wait_for_second(plant, kept[-1])
        assert seconds(predictions) == list(kept[2:])


def test_a_broker_without_persistence_is_reported_as_a_lost_session(
    tmp_path: Path, server: Server, configure: Configure
) -> None:
    broker = Mosquitto(tmp_path / "broker", "persistence false").start()
    with running_feed(configure(broker.port, server.port)) as feed:
        feed.wait_until_ready()
        broker.kill()
        until(lambda: feed.value("connected") == 0)
        broker.start()
        until(lambda: feed.value("lost_sessions_total") == 1)
        until(lambda: bool(feed.named("session lost")))
    broker.kill()


def test_a_session_that_ended_while_the_feed_was_away_is_lost_too(
    tmp_path: Path, server: Server, configure: Configure
) -> None:
    broker = Mosquitto(tmp_path / "broker", "persistence false").start()
    with running_feed(configure(broker.port, server.port)) as feed:
        feed.wait_until_ready()
        assert feed.value("lost_sessions_total") == 0
        with connected(broker.port) as plant:
            plant.send(*reading(0))
        until(lambda: feed.value("messages_total", status="stored") == 1)
        feed.kill()
        broker.kill()
        broker.start()
        feed.start()
        until(lambda: feed.value("connected") == 1)
        assert feed.value("lost_sessions_total") == 1
    broker.kill()


def test_the_oldest_message_has_waited_although_time_alone_made_a_row_of_it(
    tmp_path: Path, broker: Mosquitto, configure: Configure
) -> None:
    windowed_bundle(tmp_path / "models")
    port = free_port()
    configuration = configure(broker.port, port, rows={"every": "1s", "max_age": "10s"})
    with running_feed(configuration) as feed, connected(broker.port, "predictions/#") as plant:
        with running(tmp_path / "models", "--port", str(port), *PATIENT):
            feed.wait_until_ready()
            plant.send(*reading(0, 1.0))
            until(lambda: feed.value("rows_total", status="warming_up") > 0)
        until(lambda: feed.value("buffer_messages") > 0)
        plant.send(*reading(100, 1.0))
        until(lambda: feed.value("oldest_message_age_seconds") > 0)


def test_a_message_that_comes_twice_is_answered_once(broker: Mosquitto, server: Server, configure: Configure) -> None:
    with running_feed(configure(broker.port, server.port)) as feed, connected(broker.port, "predictions/#") as plant:
        feed.wait_until_ready()
        plant.send_all([reading(second) for second in (0, 1, 1, 2, 2, 3)])
        assert seconds(wait_for_second(plant, 3)) == [2, 3]
        until(lambda: feed.value("messages_total", status="duplicate") == 2)


def test_the_feed_of_a_new_pod_takes_over_from_that_of_the_old_one(
    broker: Mosquitto, server: Server, configure: Configure
) -> None:
    configuration = configure(broker.port, server.port)
    with (
        running_feed(configuration) as old,
        running_feed(configuration, waits_for="waiting for the buffer") as new,
        connected(broker.port, "predictions/#") as plant,
    ):
        old.wait_until_ready()
        plant.send_all([reading(second) for second in range(10)])
        assert old.stop() == 0
        plant.send_all([reading(second) for second in range(10, 20)])
        new.wait_for("started")
        check_all_answered(wait_for_second(plant, 19), 19)


def test_a_server_that_closes_idle_connections_has_not_failed(
    broker: Mosquitto, press: Path, configure: Configure
) -> None:
    with (
        running(press, "--idle-timeout", "0.2", *PATIENT) as server,
        running_feed(configure(broker.port, server.port)) as feed,
        connected(broker.port, "predictions/#") as plant,
    ):
        feed.wait_until_ready()
        for second in range(5):
            plant.send(*reading(second))
            # those of the feed have gone, and only this one is there
            until(lambda: "kfp_edge_connections 1\n" in server.get("/metrics")[1])
        wait_for_second(plant, 4)
        assert feed.value("failed_requests_total") == 0
        assert not feed.named("server failed")
