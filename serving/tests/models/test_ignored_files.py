"""Nothing in the folder of models is ignored in silence."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kfp_edge_serving.models.bundle import load_bundle
from kfp_edge_serving.models.model_folders import find_models, list_files
from serving_support.bundles import numeric_bundle, sign
from serving_support.plain_models import WEIGHTS, linear_model, put, with_external_weights
from serving_support.server_process import Server, running


def ignored(server: Server) -> list[tuple[str, str, str]]:
    """Return folder, names and reason of what the server ignores until it is ready."""
    events = []
    while (event := next_event(server))["event"] != "ready":
        if event["event"] == "ignored":
            events.append((event["folder"], event["names"], event["reason"]))
    return events


def next_event(server: Server) -> Any:
    assert server.process.stdout is not None
    return json.loads(server.process.stdout.readline())


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


STRAY: dict[str, tuple[str, str, str, str]] = {
    "a file beside models": ("notes.txt", ".", "notes.txt", "a file beside the folders of models"),
    "a manifest of no model": ("manifest.json", ".", "manifest.json", "a file beside the folders of models"),
    "a hidden file": (".DS_Store", ".", ".DS_Store", "hidden"),
    "a hidden folder": (".staging/2/manifest.json", ".", ".staging", "hidden"),
    "a hidden version": ("pump/.2/manifest.json", "pump", ".2", "hidden"),
    "Triton's configuration": (
        "pump/config.pbtxt",
        "pump",
        "config.pbtxt",
        "the configuration of Triton, which this server does not read",
    ),
    "a file beside versions": ("pump/labels.txt", "pump", "labels.txt", "a file beside the folders of versions"),
    "a folder without versions": (
        "lost+found/7",
        ".",
        "lost+found",
        "holds neither a model nor a folder for a version of one",
    ),
    "a file in a bundle": ("pump/1/plot.png", "pump/1", "plot.png", "the model does not use them"),
    "a folder in a bundle": ("pump/1/more/deep/x", "pump/1", "more/deep/x", "the model does not use them"),
}


@pytest.mark.parametrize(("path", "folder", "name", "reason"), STRAY.values(), ids=STRAY)
def test_what_is_not_served_is_logged_with_the_reason(
    models: Path, path: str, folder: str, name: str, reason: str
) -> None:
    touch(models / path)
    with running(models, until="listening") as server:
        events = ignored(server)
    if name == "lost+found":
        assert (str(models / "lost+found"), "7", "a file beside the folders of versions") in events
    assert (str((models / folder).resolve()), name, reason) in events


def test_other_files_beside_a_plain_model_are_named_but_not_its_weights(tmp_path: Path) -> None:
    put(with_external_weights("weights.bin"), tmp_path / "linear" / "1" / "model.onnx")
    put(linear_model(), tmp_path / "linear" / "1" / "older.onnx")
    (tmp_path / "linear" / "1" / "weights.bin").write_bytes(WEIGHTS.tobytes())
    with running(tmp_path, until="listening") as server:
        assert [names for _, names, _ in ignored(server)] == ["older.onnx"]


@pytest.mark.parametrize("place", [".", "pump"])
def test_an_onnx_file_beside_versions_does_not_hide_them(models: Path, place: str) -> None:
    put(linear_model(), models / place / "stray.onnx")
    with running(models, until="listening") as server:
        assert [names for _, names, _ in ignored(server)] == ["stray.onnx"]
        assert server.get("/v2/models/pump")[1]["versions"] == ["1"]


def test_a_folder_that_cannot_be_read_does_not_hide_the_model_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(linear_model(), tmp_path / "model.onnx")
    (tmp_path / "lost+found").mkdir()
    monkeypatch.setattr("os.access", lambda path, _: Path(path).name != "lost+found")
    assert list_files(tmp_path) == ["lost+found", "model.onnx"]


def test_other_onnx_files_below_a_model_do_not_hide_it(tmp_path: Path) -> None:
    put(linear_model(), tmp_path / "model.onnx")
    put(linear_model(), tmp_path / "onnx" / "model_quantized.onnx")
    assert [folder.path for folder in find_models(tmp_path).models] == [tmp_path]


@pytest.mark.parametrize("place", ["", "pump/", "pump/1/"])
def test_a_name_that_is_not_utf8_is_logged_readably(models: Path, place: str) -> None:
    Path(os.fsdecode(os.fsencode(models / place) + b"/press-\xe9")).mkdir()
    put(linear_model(), Path(os.fsdecode(os.fsencode(models / place) + b"/press-\xe9/model.onnx")))
    with running(models, until="listening") as server:
        assert next(names for _, names, _ in ignored(server)).startswith("press-\\udce9")


def test_many_files_are_one_line(models: Path) -> None:
    for number in range(100):
        touch(models / f"part-{number:03}.tmp")
    with running(models, until="listening") as server:
        ((_, names, _),) = ignored(server)
    assert names.endswith("part-019.tmp and 80 more")


def test_what_comes_later_is_logged_once(models: Path) -> None:
    with running(models, "--watch", "0.05") as server:
        touch(models / "notes.txt")
        assert server.event("ignored")["names"] == "notes.txt"
        numeric_bundle(models, version="2")
        assert next_event(server)["event"] == "loaded"


@pytest.mark.parametrize("break_version", [lambda path: path.mkdir(), lambda path: path.symlink_to("nowhere")])
def test_a_broken_version_is_named(models: Path, break_version: Callable[[Path], None]) -> None:
    break_version(models / "pump" / "2")
    with running(models, until="listening") as server:
        events = []
        while not events or events[-1]["event"] != "ready":
            events.append(next_event(server))
    named = [event.get("error", event.get("names")) for event in events if event["event"] in ("refused", "ignored")]
    assert [name for name in named if "2" in name] == named != []


def test_a_linked_folder_with_weights_is_used(models: Path) -> None:
    bundle, elsewhere = models / "pump" / "1", models.parent / "weights"
    (bundle / "parts").mkdir()
    touch(bundle / "parts" / "weights.bin")
    sign(bundle)
    (bundle / "parts").rename(elsewhere)
    (bundle / "parts").symlink_to(elsewhere)
    assert load_bundle(bundle).unused_files == ()


def test_a_link_to_nothing_in_a_bundle_does_not_hide_it(models: Path) -> None:
    (models / "pump" / "1" / "old.onnx").symlink_to("nowhere")
    with running(models, until="listening") as server:
        assert ignored(server)[0][1] == "old.onnx"
