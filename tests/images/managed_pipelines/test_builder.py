"""The image of managed pipelines: what the operator reads from it, how it starts, and on what it may be built."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kfp_edge.errors import ImageError
from kfp_edge.images.managed_pipelines import TAG, ManagedPipeline, build_managed_pipelines_image
from kfp_edge.images.oci.compression import FAST
from kfp_edge.images.oci.layout import blob_path, list_tagged_images, read_blob_json
from support.fake_managed_pipelines import MANIFEST, OperatorRefusedError, names_for_operator
from support.images import image_of_files, layer_entries
from support.serving_images import config, manifest

SHELL = {"bin/sh": b"a shell"}
RED_HATS = {
    "app/managed-pipelines.json": json.dumps(
        [{"name": "documents-rag-optimization-pipeline", "description": "RAG", "path": "rag/pipeline.py"}], indent=2
    ).encode(),
    "app/rag/pipeline.yaml": b"theirs",
}
RED_HATS_SETTINGS = {
    "User": "1001",
    "WorkingDir": "/app",
    "Env": ["PATH=/opt/app-root/bin:/usr/bin"],
    "Entrypoint": ["container-entrypoint"],
    "Cmd": ["python", "-m", "scripts.init_managed_pipelines.init_managed_pipelines"],
}
Make = Callable[..., ManagedPipeline]


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Path]:
    """Build an image of pipelines on a base of files, and return its layout."""

    def build(pipelines: list[ManagedPipeline], *layers: dict[str, bytes], **settings: Any) -> Path:
        base = image_of_files(tmp_path / f"base-{len(list(tmp_path.iterdir()))}", *(layers or (SHELL,)), **settings)
        output = tmp_path / f"image-{len(list(tmp_path.iterdir()))}"
        build_managed_pipelines_image(output, pipelines, base, level=FAST, progress=lambda _: None)
        return output

    return build


def entries_of_the_last_layer(layout: Path) -> dict[str, bytes]:
    return layer_entries(layout, manifest(layout)["layers"][-1])


def test_the_operator_reads_the_names_of_all_pipelines_from_the_image(build: Any, pipelines: Any) -> None:
    layout = build(pipelines)
    assert names_for_operator(layout, manifest(layout)["layers"]) == {pipeline.name for pipeline in pipelines}


def test_an_image_without_pipelines_is_not_what_the_operator_reads(tmp_path: Path) -> None:
    image_of_files(tmp_path / "base", SHELL, {"app/.wh..wh..opq": b""})
    with pytest.raises(OperatorRefusedError):
        names_for_operator(tmp_path / "base", manifest(tmp_path / "base")["layers"])


def test_it_starts_the_program_as_a_user_that_is_not_root(build: Any, pipeline: Make) -> None:
    layout = build([pipeline("a-1")])
    settings = config(layout)["config"]
    shell, program = settings["Entrypoint"]
    assert shell == "/bin/sh"
    assert program.lstrip("/") in entries_of_the_last_layer(layout)
    assert settings["User"] == "1001:0"
    assert "Cmd" not in settings


def test_the_same_pipelines_give_the_same_image(build: Any, pipelines: Any) -> None:
    first, second = (list_tagged_images(build(pipelines))[0]["digest"] for _ in range(2))
    assert first == second


def test_other_pipelines_give_another_image(build: Any, pipeline: Make) -> None:
    digests = {list_tagged_images(build([pipeline("a-1", description)]))[0]["digest"] for description in ("one", "two")}
    assert len(digests) == 2


def test_the_layers_of_the_base_stay_as_they_are(build: Any, pipeline: Make, tmp_path: Path) -> None:
    layout = build([pipeline("a-1")], SHELL, {"etc/file": b"x"})
    below = manifest(tmp_path / "base-0")["layers"]
    assert manifest(layout)["layers"][:-1] == below
    diff_ids = config(tmp_path / "base-0")["rootfs"]["diff_ids"]
    assert config(layout)["rootfs"]["diff_ids"][:-1] == diff_ids


def test_the_labels_say_what_it_is(build: Any, pipeline: Make) -> None:
    labels = config(build([pipeline("a-1")]))["config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "kfp-edge-managed-pipelines"


def test_managed_pipelines_of_the_base_are_in_the_list(build: Any, pipeline: Make) -> None:
    layout = build([pipeline("a-1")], SHELL, RED_HATS, settings=RED_HATS_SETTINGS)
    assert names_for_operator(layout, manifest(layout)["layers"]) == {"a-1", "documents-rag-optimization-pipeline"}


def test_the_program_of_the_base_is_started_as_the_base_would(build: Any, pipeline: Make) -> None:
    settings = config(build([pipeline("a-1")], SHELL, RED_HATS, settings=RED_HATS_SETTINGS))["config"]
    assert settings["Cmd"] == [*RED_HATS_SETTINGS["Entrypoint"], *RED_HATS_SETTINGS["Cmd"]]
    for key in ("User", "WorkingDir", "Env"):
        assert settings[key] == RED_HATS_SETTINGS[key]


def test_red_hats_program_finds_the_file_of_each_pipeline_in_the_list(build: Any, pipeline: Make) -> None:
    """It copies `path` of each, in which pipeline.py stands for pipeline.yaml."""
    layout = build([pipeline("a-1")], SHELL, RED_HATS, settings=RED_HATS_SETTINGS)
    entries = RED_HATS | entries_of_the_last_layer(layout)
    listed = json.loads(entries[f"app/{MANIFEST}"])
    assert [entries[f"app/{entry['path'].replace('pipeline.py', 'pipeline.yaml')}"] for entry in listed] == [
        b"theirs",
        b"name: a-1\n",
    ]


def test_a_base_with_a_pipeline_of_the_same_name_is_refused(build: Any, pipeline: Make, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="two managed pipelines are named documents-rag-optimization-pipeline"):
        build([pipeline("documents-rag-optimization-pipeline")], SHELL, RED_HATS)
    assert [path.name for path in tmp_path.iterdir()] == ["base-0"]


def test_a_base_without_a_shell_is_refused(build: Any, pipeline: Make) -> None:
    with pytest.raises(ImageError, match=r"the base oci:.* has no /bin/sh; name UBI 9 micro, or another image"):
        build([pipeline("a-1")], {"bin/python3": b""})


@pytest.mark.parametrize("text", [b"", b"{}", b'[{"description": "no name"}]', b"[1]"])
def test_a_base_whose_list_cannot_be_read_is_refused(build: Any, pipeline: Make, text: bytes) -> None:
    with pytest.raises(
        ImageError, match=r"^/app/managed-pipelines.json of the base .* is no list of managed pipelines"
    ):
        build([pipeline("a-1")], SHELL, {"app/managed-pipelines.json": text})


def test_an_image_of_ours_can_be_the_base_of_another_one(build: Any, pipeline: Make, tmp_path: Path) -> None:
    first = build([pipeline("a-1")])
    output = tmp_path / "second"
    build_managed_pipelines_image(output, [pipeline("b-1")], f"oci:{first}:{TAG}", level=FAST, progress=lambda _: None)
    assert names_for_operator(output, manifest(output)["layers"]) == {"a-1", "b-1"}
    below, above = (set(layer_entries(output, layer)) for layer in manifest(output)["layers"][-2:])
    assert {name.rstrip("/") for name in below} & {name.rstrip("/") for name in above} == {"app", f"app/{MANIFEST}"}


def test_both_processors_give_an_index_with_the_same_pipelines(tmp_path: Path, pipeline: Make) -> None:
    base = image_of_files(tmp_path / "base", SHELL)
    output = tmp_path / "image"
    digest = build_managed_pipelines_image(
        output, [pipeline("a-1")], base, architectures=["amd64", "arm64"], level=FAST, progress=lambda _: None
    )
    index = read_blob_json(output, digest)
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == ["amd64", "arm64"]
    assert len({read_blob_json(output, entry["digest"])["layers"][-1]["digest"] for entry in index["manifests"]}) == 1
    for entry in index["manifests"]:
        settings = read_blob_json(output, read_blob_json(output, entry["digest"])["config"]["digest"])
        assert settings["architecture"] == entry["platform"]["architecture"]


def test_an_image_that_was_there_is_replaced(tmp_path: Path, pipeline: Make) -> None:
    base = image_of_files(tmp_path / "base", SHELL)
    digests = [
        build_managed_pipelines_image(tmp_path / "image", [pipeline(name)], base, level=FAST, progress=lambda _: None)
        for name in ("a-1", "a-2")
    ]
    assert list_tagged_images(tmp_path / "image")[0]["digest"] == digests[1]
    assert not blob_path(tmp_path / "image", digests[0]).exists()


def run_command(*args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kfp_edge.images", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_builds_the_pipelines_that_are_named_and_prints_the_digest(tmp_path: Path) -> None:
    base = image_of_files(tmp_path / "base", SHELL)
    options = ["--pipeline=training", "--suffix=2.0", "--backend=3.4", "--level=1", f"--base={base}"]
    done = run_command("managed-pipelines", *options, f"--output={tmp_path / 'images'}")
    layout = tmp_path / "images/managed-pipelines"
    digest = list_tagged_images(layout)[0]["digest"]
    assert (done.returncode, done.stdout) == (0, f"managed-pipelines oci:{layout}:{TAG} {digest}\n")
    assert "training-2.0: OpenShift AI 3.4 takes it; its stages run in " in done.stderr
    assert names_for_operator(layout, manifest(layout)["layers"]) == {"training-2.0"}


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["managed-pipelines"], 2, "managed-pipelines is built by itself, and needs --output"),
        (["serving", "managed-pipelines", "--output=x"], 2, "managed-pipelines is built by itself"),
        (["serving", "--pipeline=training"], 2, "--pipeline is an option of managed-pipelines"),
        (["managed", "--output=x"], 2, "there is no image managed; name one of runtime, serving, managed-pipelines"),
        (["managed-pipelines", "--output=x", "--backend=3.3"], 1, "OpenShift AI 3.3 takes no image of managed"),
        (["managed-pipelines", "--output=x", "--pipeline=no.yaml"], 1, "cannot read the pipeline no.yaml"),
        (["managed-pipelines", "--output=x", "--pipeline=trainin"], 1, "there is no pipeline 'trainin'"),
    ],
)
def test_a_mistake_on_the_command_line_ends_with_one_sentence(args: list[str], code: int, message: str) -> None:
    done = run_command(*args)
    assert done.returncode == code
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not Path("x").exists()
