"""How many messages a second the sensor feed turns into predictions, beside a loop that does the least that can work.

    .venv/bin/python benchmarks/sensor_feed/run.py [MESSAGES]

Prints the table of docs/sensor-feed.md. All processes are real: mosquitto, the server, and what is measured.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "serving" / "tests"))
from serving_support.bundles import numeric_bundle
from serving_support.feed_process import running_feed, write_configuration
from serving_support.mosquitto import Mosquitto
from serving_support.mqtt_client import MqttClient, connected
from serving_support.server_process import running
from serving_support.windowed_bundle import windowed_bundle

HERE = Path(__file__).parent
_TICKS = os.sysconf("SC_CLK_TCK")
#: Topic and payload of a message by its number, and the columns of a source.
Message = Callable[[int], tuple[str, bytes]]


def pump(number: int) -> tuple[str, bytes]:
    """Return a row of a model without windows."""
    return "plant/A/state", json.dumps({"torque": number % 7, "speed": 2.0, "wear": 3.0}).encode()


def press(number: int, groups: int) -> tuple[str, bytes]:
    """Return a raw row of one of some machines."""
    step = number // groups
    at = f"2024-01-01T{step // 3600:02d}:{step // 60 % 60:02d}:{step % 60:02d}Z"
    return f"plant/m{number % groups}/state", json.dumps({"at": at, "pressure": float(step)}).encode()


@contextmanager
def plain_loop(broker: int, server: int, model: str) -> Iterator[int]:
    """Run the peer, and yield its process id."""
    with subprocess.Popen(
        [sys.executable, str(HERE / "plain_loop.py"), str(broker), str(server), model], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@contextmanager
def feed(folder: Path, broker: int, server: int, model: str, is_synced: bool) -> Iterator[int]:
    """Run the sensor feed, and yield its process id."""
    has_windows = model == "press"
    source = {"topic": "plant/{group}/state", "columns": ["pressure"], "time_field": "at"}
    if not has_windows:
        source = {"topic": "plant/{group}/state", "columns": ["torque", "speed", "wear"]}
    content = {
        "model": {"name": model, "url": f"http://127.0.0.1:{server}"},
        "broker": {"host": "127.0.0.1", "port": broker, "client_id": f"feed-{folder.name}"},
        "sources": [source],
        "rows": {"time_column": "at", "group_column": "machine"} if has_windows else {},
        "predictions": {"topic": "predictions/{group}"},
        "buffer": {"folder": folder / "buffer", "sync": is_synced},
        "health": {"host": "127.0.0.1", "port": 0},
    }
    folder.mkdir()
    with running_feed(write_configuration(folder / "feed.toml", content)) as process:
        yield process.wait_until_ready().process.pid


def measure(pid: int, plant: MqttClient, message: Message, number: int, expected: int) -> str:
    """Publish messages as fast as the broker takes them; return rate, processor time for each, and peak memory."""
    plant.received.clear()
    before = _processor_seconds(pid)
    start = time.monotonic()
    plant.send_all([message(each) for each in range(number)])
    while len(plant.received) < expected:
        time.sleep(0.01)
    seconds = time.monotonic() - start
    spent = _processor_seconds(pid) - before
    status = Path(f"/proc/{pid}/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024
    return f"{number / seconds:,.0f} | {1e6 * spent / number:,.0f} | {peak:.0f}"


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def run(folder: Path, number: int) -> Iterator[str]:
    """Yield the lines of the table."""
    cases: list[tuple[str, str, Message, int]] = [
        ("no windows", "pump", pump, number),
        ("windows, 1 machine", "press", lambda each: press(each, 1), number - 2),
        ("windows, 50 machines", "press", lambda each: press(each, 50), number - 100),
    ]
    for case, (name, model, message, expected) in enumerate(cases):
        for label, is_synced in (("sensor feed", True), ("sensor feed, `sync = false`", False), ("plain loop", None)):
            broker = Mosquitto(folder / f"broker-{case}-{label[:12]}-{is_synced}", "set_tcp_nodelay true").start()
            models = folder / "models"
            with connected(broker.port, "predictions/#") as plant, running(models, "--max-wait", "60") as server:
                process = (
                    plain_loop(broker.port, server.port, model)
                    if is_synced is None
                    else feed(folder / f"feed-{case}-{is_synced}", broker.port, server.port, model, is_synced)
                )
                with process as pid:
                    yield f"| {name} | {label} | {measure(pid, plant, message, number, expected)} |"
            broker.kill()


def main() -> None:
    """Print the table."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    print("| model | client | messages/s | processor µs/message | MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        numeric_bundle(folder / "models")
        windowed_bundle(folder / "models")
        for line in run(folder, number):
            print(line, flush=True)


if __name__ == "__main__":
    main()
