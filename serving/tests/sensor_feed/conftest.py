"""Fixtures of the sensor feed: a broker, servers and configurations."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving_support.feed_process import write_configuration
from serving_support.mosquitto import Mosquitto

#: What `[rows]` of a model without windows leaves out, see `configure`.
WITHOUT_WINDOWS = {"time_column": None, "group_column": None, "optional": None}
#: Makes the configuration of a feed from its port of the broker, its port of the server and changes of its tables.
Configure = Callable[..., Path]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """Return a broker that keeps everything."""
    broker = Mosquitto(tmp_path / "broker").start()
    yield broker
    broker.kill()


@pytest.fixture
def configure(tmp_path: Path) -> Configure:
    """Return a function that writes the configuration of a feed of `press`: one JSON object for each raw row.

    A key of `[rows]` that is None is left out.
    """

    def configure(broker_port: int, server_port: int, **changes: Any) -> Path:
        content: dict[str, Any] = {
            "model": {"name": "press", "url": f"http://127.0.0.1:{server_port}"},
            "broker": {"host": "127.0.0.1", "port": broker_port, "client_id": "feed"},
            "sources": [{"topic": "plant/{group}/state", "columns": ["pressure"], "time_field": "at"}],
            "rows": {"time_column": "at", "group_column": "machine", "optional": ["pressure"]},
            "predictions": {"topic": "predictions/{model}/{group}"},
            "buffer": {"folder": tmp_path / "buffer"},
            "health": {"host": "127.0.0.1", "port": 0},
        }
        for name, table in changes.items():
            content[name] = table if isinstance(table, list) else content.get(name, {}) | table
        content["rows"] = {key: value for key, value in content["rows"].items() if value is not None}
        return write_configuration(tmp_path / "feed.toml", content)

    return configure
