"""A feed between a real broker and a real server: rows of messages are answered, and predictions are published."""

import json
from pathlib import Path
from typing import Any

import pytest

from serving_support.bundles import mixed_bundle
from serving_support.feed_process import running_feed
from serving_support.mosquitto import Mosquitto
from serving_support.mqtt_client import connected
from serving_support.server_process import PATIENT, Server, running
from serving_support.waiting import until
from serving_support.windowed_bundle import expected, windowed_bundle

from .conftest import WITHOUT_WINDOWS, Configure

PREDICTIONS = "predictions/press/A"


def at(second: int) -> str:
    """Return a timestamp of 2024."""
    return f"2024-01-01T00:{second // 60:02d}:{second % 60:02d}Z"


def reading(second: int, pressure: float | None = None) -> tuple[str, Any]:
    """Return a message of the machine A."""
    value = float(second) if pressure is None else pressure
    return "plant/A/state", {"at": at(second), "pressure": value}


def seconds(predictions: list[Any]) -> list[int]:
    """Return the seconds of 2024 whose rows were answered."""
    return [60 * int(content["time"][14:16]) + int(content["time"][17:19]) for content in predictions]


def test_the_windows_of_raw_rows_are_computed_by_the_server(
    tmp_path: Path, broker: Mosquitto, configure: Configure
) -> None:
    windowed_bundle(tmp_path / "models")
    with (
        running(tmp_path / "models", *PATIENT) as server,
        running_feed(configure(broker.port, server.port)) as feed,
        connected(broker.port, "predictions/#") as plant,
    ):
        feed.wait_until_ready()
        plant.send_all([reading(second) for second in range(5)])
        answered = plant.wait_for(PREDICTIONS, 3)
        assert seconds(answered) == [2, 3, 4]
        assert answered[0] == {
            "model": "press",
            "version": "1",
            "group": "A",
            "time": "2024-01-01T00:00:02Z",
            "prediction": {"seen": pytest.approx(expected([0, 1, 2]), abs=1e-3)},
        }
        until(lambda: feed.value("buffer_messages") == 0)
        assert feed.value("rows_total", status="warming_up") == 2
        assert feed.value("rows_total", status="answered") == 3
        assert feed.value("predictions_total") == 3
        assert feed.stop() == 0


def test_one_topic_for_each_sensor_becomes_one_row_at_each_interval(
    tmp_path: Path, broker: Mosquitto, configure: Configure
) -> None:
    mixed_bundle(tmp_path / "models")
    sources = [
        {
            "topic": "plant/{group}/{column}",
            "columns": {"Torque [Nm]": "torque", "Type": "type", "count": "count", "on": "on"},
            "value_field": "value",
            "time_field": "ms",
            "time_unit": "ms",
        }
    ]
    rows = WITHOUT_WINDOWS | {"every": "2s", "max_age": "6s"}
    with running(tmp_path / "models", *PATIENT) as server:
        configuration = configure(broker.port, server.port, model={"name": "mill"}, sources=sources, rows=rows)
        with running_feed(configuration) as feed, connected(broker.port, "predictions/#") as plant:
            feed.wait_until_ready()
            values = [("torque", 2.5), ("type", "H"), ("count", 2), ("on", True)]
            plant.send_all(
                [
                    (f"plant/A/{name}", {"value": value, "ms": 1000 + index})
                    for index, (name, value) in enumerate(values)
                ]
            )
            plant.send("plant/A/torque", {"value": 1.0, "ms": 2500})
            first = plant.wait_for("predictions/mill/A", 1)[0]
            assert (first["time"], first["prediction"]) == ("1970-01-01T00:00:02Z", {"label": 1, "score": 6.5})
            # the next one is due by the clock, without another message
            second = plant.wait_for("predictions/mill/A", 2)[1]
            assert (second["time"], second["prediction"]["score"]) == ("1970-01-01T00:00:04Z", 5.0)


@pytest.mark.parametrize(
    "state",
    [
        '{"torque": 1, "speed": NaN, "wear": 1%s}' % ("0" * 40),
        '{"torque": "\\ud800", "speed": 2, "wear": NaN}',
        '{"torque": 1, "speed": 2, "machine": "press\\u0001"}',
        '{"torque": 1, "speed": 2, "machine": "$SYS"}',
        '{"torque": 1, "speed": 2, "at": "9000-01-01T00:00:00Z"}',
    ],
    ids=["large number", "half a character", "control character", "topic of the broker", "far future"],
)
def test_no_content_of_a_message_holds_up_those_after_it(
    broker: Mosquitto, server: Server, configure: Configure, state: str
) -> None:
    source = {
        "topic": "plant/state",
        "columns": ["torque", "speed", "wear"],
        "group_field": "machine",
        "time_field": "at",
    }
    configuration = configure(
        broker.port,
        server.port,
        model={"name": "pump"},
        sources=[source],
        rows=WITHOUT_WINDOWS | {"optional": ["wear"], "time_unit": "ns"},
        predictions={"topic": "{group}/predictions"},
    )
    row = {"torque": 1, "speed": 2, "machine": "B", "at": at(1)}
    strange = json.dumps(row | {"machine": "A"}).removesuffix("}") + "," + state.removeprefix("{")
    with running_feed(configuration) as feed, connected(broker.port, "B/#") as plant:
        feed.wait_until_ready()
        plant.send_all([("plant/state", strange), ("plant/state", row)])
        assert len(plant.wait_for("B/predictions", 1)) == 1
        until(lambda: feed.value("buffer_messages") == 0)
        assert feed.stop() == 0


def test_a_message_that_cannot_be_read_and_a_row_that_is_refused_hold_nothing_up(
    broker: Mosquitto, server: Server, configure: Configure
) -> None:
    configuration = configure(
        broker.port,
        server.port,
        model={"name": "pump"},
        sources=[{"topic": "plant/{group}/state", "columns": ["torque", "speed", "wear"]}],
        rows=WITHOUT_WINDOWS | {"optional": ["wear"]},
    )
    row = {"torque": 1, "speed": 2}
    messages = [row, "no JSON", row | {"torque": "high"}, {"torque": 1}, row]
    with running_feed(configuration) as feed, connected(broker.port, "predictions/#") as plant:
        feed.wait_until_ready()
        plant.send_all([("plant/A/state", message) for message in messages])
        assert len(plant.wait_for("predictions/pump/A", 2)) == 2
        until(lambda: feed.value("buffer_messages") == 0)
        assert feed.value("unreadable_messages_total") == 1
        assert feed.value("rows_total", status="refused") == 1
        assert feed.value("rows_total", status="skipped") == 1
        (refused,) = feed.named("row refused")
        assert "row 0" in refused["error"]
