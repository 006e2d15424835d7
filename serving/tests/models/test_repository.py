"""Model updates while the server runs: good ones take over, bad ones are refused, no request fails."""

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serving_support.bundles import numeric_bundle, sign
from serving_support.server_process import Server, running, start

ROW = {"inputs": [{"name": "X", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}]}
WATCH = ("--watch", "0.05")


def version(server: Server) -> Any:
    return server.infer("pump", ROW)[1].get("model_version")


def put(models: Path, staging: Path, name: str, card: str = "# Another card\n") -> None:
    """Put a bundle into the folder as a careful person does: written elsewhere, then renamed."""
    folder = numeric_bundle(staging, version=name)
    (folder / "model_card.md").write_text(card)
    sign(folder)
    place = models / "pump" / name
    place.parent.mkdir(exist_ok=True)
    if place.exists():
        place.rename(staging / f"old-{time.monotonic_ns()}")
    folder.rename(place)


@contextmanager
def load(server: Server) -> Iterator[list[tuple[int, Any]]]:
    """Ask one row after another while the block runs; yields what was answered otherwise than with 200."""
    failed: list[tuple[int, Any]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            answer = server.infer("pump", ROW)
            if answer[0] != 200:
                failed.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_new_version_takes_over_and_the_old_one_stays_reachable(models: Path, tmp_path: Path) -> None:
    with running(models, *WATCH) as server:
        put(models, tmp_path, "2")
        server.event("loaded")
        assert version(server) == "2"
        assert server.infer("pump/versions/1", ROW)[1]["model_version"] == "1"
        assert server.get("/v2/models/pump")[1]["versions"] == ["1", "2"]


def test_versions_come_and_go_under_load_and_no_request_fails(models: Path, tmp_path: Path) -> None:
    with running(models, *WATCH) as server, load(server) as failed:
        for number in range(2, 12):
            put(models, tmp_path, str(number))
            assert server.event("loaded")["version"] == str(number)
            if number > 3:
                shutil.rmtree(models / "pump" / str(number - 2))
        assert server.event("unloaded")
    assert failed == []


def test_a_bundle_replaced_in_place_is_served_without_a_failed_request(models: Path, tmp_path: Path) -> None:
    with running(models, *WATCH) as server, load(server) as failed:
        for number in range(5):
            put(models, tmp_path, "1", card=f"# Card {number}\n")
            assert server.event("loaded")["replaced_sha256"]
    assert failed == []


def test_a_bad_version_is_refused_and_the_one_before_keeps_serving(models: Path, tmp_path: Path) -> None:
    with running(models, *WATCH) as server:
        bad = numeric_bundle(tmp_path, version="2")
        (bad / "model.onnx").write_bytes(b"not a model")
        sign(bad)
        bad.rename(models / "pump" / "2")
        assert "cannot be loaded by onnxruntime" in server.event("refused")["error"]
        assert version(server) == "1"
        assert "kfp_edge_refused_bundles 1" in server.get("/metrics")[1]


def test_a_version_that_is_repaired_is_served(models: Path, tmp_path: Path) -> None:
    with running(models, *WATCH) as server:
        good = numeric_bundle(tmp_path, version="2")
        content = (good / "model.onnx").read_bytes()
        (good / "model.onnx").write_bytes(b"not a model")
        good.rename(models / "pump" / "2")
        server.event("refused")
        (models / "pump" / "2" / "model.onnx").write_bytes(content)
        server.event("loaded")
        assert version(server) == "2"


def test_a_refused_bundle_that_is_removed_counts_no_more(models: Path) -> None:
    with running(models, *WATCH) as server:
        copy = shutil.copytree(models / "pump" / "1", models / "pump" / "latest")
        refused = server.event("refused")["error"]
        assert "kfp_edge_refused_bundles 1" in server.get("/metrics")[1]
        shutil.rmtree(copy)
        removed = server.event("removed")
        assert (removed["folder"], removed["was_refused"]) == (str(copy), refused)
        assert "kfp_edge_refused_bundles 0" in server.get("/metrics")[1]


def test_a_model_altered_on_disk_is_refused_and_the_loaded_one_keeps_serving(models: Path) -> None:
    with running(models, *WATCH) as server:
        model = models / "pump" / "1" / "model.onnx"
        model.write_bytes(model.read_bytes() + b"\0")
        assert server.event("refused")["error"] == f"{model} was altered: its sha256 is not the one in the manifest."
        assert version(server) == "1"


def test_a_bundle_that_is_still_being_copied_is_not_touched(models: Path, tmp_path: Path) -> None:
    whole = numeric_bundle(tmp_path, version="2")
    with running(models, *WATCH) as server:
        part = models / "pump" / "2"
        part.mkdir()
        for name in (
            "manifest.json",
            "model_card.md",
            "model.onnx",
            "reference.json",
            "samples.json",
            "signature.json",
        ):
            shutil.copyfile(whole / name, part / name)
            time.sleep(0.01)
        assert server.event("loaded")["version"] == "2"


def test_a_folder_that_is_suddenly_empty_leaves_the_last_models_in_service(models: Path, tmp_path: Path) -> None:
    with running(models, *WATCH) as server:
        (models / "pump").rename(tmp_path / "away")
        assert "the last ones stay in service" in server.event("empty")["error"]
        assert version(server) == "1"
        (tmp_path / "away").rename(models / "pump")
        server.event("loaded")
        assert version(server) == "1"


def test_one_bad_version_of_two_does_not_prevent_the_start(models: Path) -> None:
    bad = numeric_bundle(models, version="2")
    (bad / "samples.json").unlink()
    with running(models, *WATCH) as server:
        assert version(server) == "1"
        assert "kfp_edge_refused_bundles 1" in server.get("/metrics")[1]


def test_why_no_model_can_be_served_is_logged_once_for_each(models: Path) -> None:
    numeric_bundle(models, version="2")
    for version in ("1", "2"):
        (models / "pump" / version / "model.onnx").write_bytes(b"altered")
    with start(models) as process:
        stdout, _ = process.communicate(timeout=60)
    first, second, last = map(json.loads, stdout.splitlines()[-3:])
    assert process.returncode == 1
    assert [(event["event"], event["folder"]) for event in (first, second)] == [
        ("refused", f"{models}/pump/1"),
        ("refused", f"{models}/pump/2"),
    ]
    assert (last["event"], last["error"]) == (
        "failed",
        f"no model in {models} can be served; see `refused` above for the reason of each (2).",
    )


def test_a_bundle_that_the_server_was_not_written_for_does_not_keep_others_from_service(models: Path) -> None:
    folder = numeric_bundle(models, name="odd")
    signature = json.loads((folder / "signature.json").read_text())
    signature["inputs"][0]["shape"] = {"rows": 1}
    (folder / "signature.json").write_text(json.dumps(signature))
    sign(folder)
    with running(models, until="listening") as server:
        refused = server.event("refused")
        server.event("ready")
        assert version(server) == "1"
    assert refused["folder"] == str(folder)
    assert f"{folder / 'signature.json'} does not follow the bundle contract" in refused["error"]


def test_a_single_bundle_can_be_served_from_a_folder_of_any_name(models: Path, tmp_path: Path) -> None:
    (models / "pump" / "1").rename(tmp_path / "bundle")
    with running(tmp_path / "bundle") as server:
        assert version(server) == "1"


def test_it_is_live_but_not_ready_while_it_loads(models: Path) -> None:
    model = models / "pump" / "1" / "model.onnx"
    content = model.read_bytes()
    model.unlink()
    os.mkfifo(model)  # so the server reads for as long as the test wants
    with running(models, until="listening") as server:
        assert server.get("/v2/health/live") == (200, {"live": True})
        status, body = server.get("/v2/health/ready")
        assert (status, "still loading" in body["error"]) == (503, True)
        model.write_bytes(content)
        server.event("ready")
        assert server.get("/v2/health/ready") == (200, {"ready": True})
