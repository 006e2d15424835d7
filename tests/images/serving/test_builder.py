"""What is in the image: always the same bytes, without a shell, in layers that change one by one."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest

from kfp_edge.errors import ImageError
from kfp_edge.images.cache import cache_folder
from kfp_edge.images.oci.compression import FAST
from kfp_edge.images.platforms import Platform
from kfp_edge.images.serving import build_serving_image, builder, ensure_serving_image, input_key
from kfp_edge.images.serving.dependencies import REQUIREMENTS
from kfp_edge_serving import __version__
from support.paths import ROOT
from support.serving_images import config, content, entries, layers, manifest, serving_image


@pytest.mark.containers
def test_an_image_that_is_known_is_not_built_again() -> None:
    image = serving_image()
    steps: list[str] = []
    assert ensure_serving_image(cache_folder(), progress=steps.append) == image
    assert steps == []
    assert image[0].name == f"serving-{input_key(cache_folder())[:16]}"


@pytest.mark.containers
def test_it_holds_no_shell_no_package_manager_and_nothing_set_uid() -> None:
    files = entries(serving_image()[0])
    paths = [PurePosixPath(entry.name) for entry in files if entry.isfile()]
    programs = {path.name for path in paths if {"bin", "sbin"} & {*path.parts}}
    assert {name.rstrip("0123456789.") for name in programs} == {"python"}
    assert not [entry.name for entry in files if entry.mode & 0o6000]
    unwanted = {"pip", "ensurepip", "apt", "bash", "dash", "sh", "busybox"}
    assert not [entry.name for entry in files if PurePosixPath(entry.name).name in unwanted]


@pytest.mark.containers
def test_it_holds_the_server_but_not_its_builder() -> None:
    names = {entry.name for entry in entries(serving_image()[0])}
    assert "opt/kfp-edge/server/kfp_edge_serving/server.py" in names
    assert not [name for name in names if "images/serving" in name or "precompile" in name or "Containerfile" in name]


@pytest.mark.containers
def test_it_stays_under_45_mb_compressed() -> None:
    assert sum(layer["size"] for layer in manifest(serving_image()[0])["layers"]) < 45_000_000


@pytest.mark.containers
def test_a_new_server_changes_the_last_layer_only_and_new_dependencies_not_the_first() -> None:
    base, dependencies, modules, server = (
        [entry.name for entry in layer if not entry.isdir()] for layer in layers(serving_image()[0])
    )
    assert not [name for name in base if name.startswith("opt/")]
    assert all(name.startswith("opt/kfp-edge/lib/") for name in dependencies)
    assert all(name.startswith(("opt/kfp-edge/pyc/usr/", "opt/kfp-edge/pyc/opt/kfp-edge/lib/")) for name in modules)
    assert all("opt/kfp-edge/server/kfp_edge_serving/" in name for name in server)


@pytest.mark.containers
def test_it_carries_the_licence_of_everything_in_it() -> None:
    names = [entry.name for entry in entries(serving_image()[0])]
    packages = {name.split("/")[-1] for name in names if name.startswith("var/lib/dpkg/status.d/")} - {""}
    documented = {name.split("/")[3] for name in names if re.fullmatch(r"usr/share/doc/[^/]+(/copyright)?", name)}
    assert packages <= documented
    pinned = re.findall(r"^([a-z0-9-]+)==", REQUIREMENTS.read_text(), re.MULTILINE)
    licensed = {name.split("/")[3].partition("-")[0] for name in names if re.search(r"dist-info/.*LICEN[CS]E", name)}
    assert {name.replace("-", "_") for name in pinned} <= licensed | {"onnxruntime"}
    assert "opt/kfp-edge/lib/onnxruntime/LICENSE" in names


@pytest.mark.containers
def test_its_configuration_starts_the_server() -> None:
    settings = config(serving_image()[0])["config"]
    assert settings["Entrypoint"] == ["python3", "-m", "kfp_edge_serving"]
    assert settings["ExposedPorts"].keys() == {"8080/tcp", "8081/tcp"}
    assert (settings["User"], settings["StopSignal"]) == ("1001:0", "SIGTERM")
    assert "Cmd" not in settings


@pytest.mark.containers
def test_the_health_check_is_in_dockers_field_and_in_a_label() -> None:
    settings = config(serving_image()[0])["config"]
    command = ["python3", "-m", "kfp_edge_serving", "health"]
    assert settings["Healthcheck"]["Test"] == ["CMD", *command]
    assert settings["Labels"]["io.kfp-edge.healthcheck"].split() == command


@pytest.mark.containers
def test_the_labels_say_what_it_is() -> None:
    labels = config(serving_image()[0])["config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "kfp-edge-serving"
    assert labels["org.opencontainers.image.version"] == importlib.metadata.version("kfp-edge-serving") == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


@pytest.mark.containers
def test_a_relative_folder_as_output_gives_buildah_absolute_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buildah 1.28 refuses the volumes of others: "host directory must be an absolute path"."""
    folders: list[Path] = []

    def record_folder(name: str | None, platform: Platform, scratch: Path, *_: object) -> None:
        folders.append(scratch)
        raise ImageError("that is enough")

    monkeypatch.setattr(builder, "_make_base", record_folder)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match="that is enough"):
        build_serving_image(Path("build/images/serving"))
    assert [folder.parent for folder in folders] == [tmp_path / "build/images"]


@pytest.mark.containers
def test_both_platforms_give_an_index_and_each_image_is_that_which_is_built_alone(tmp_path: Path) -> None:
    build_serving_image(tmp_path / "both", architectures=["arm64", "amd64"], level=FAST, cache=cache_folder())
    tagged = json.loads((tmp_path / "both/index.json").read_bytes())["manifests"]
    assert [entry["mediaType"] for entry in tagged] == ["application/vnd.oci.image.index.v1+json"]
    index = json.loads((tmp_path / "both/blobs" / tagged[0]["digest"].replace(":", "/")).read_bytes())
    platforms = {entry["platform"]["architecture"]: entry for entry in index["manifests"]}
    assert platforms["amd64"]["platform"] == {"os": "linux", "architecture": "amd64"}
    assert platforms["arm64"]["platform"] == {"os": "linux", "architecture": "arm64", "variant": "v8"}
    for architecture, entry in platforms.items():
        assert entry["digest"] == serving_image(architecture)[1]


@pytest.mark.containers
@pytest.mark.parametrize(("architecture", "variant", "machine"), [("amd64", None, 62), ("arm64", "v8", 183)])
def test_an_image_for_a_processor_is_for_that_alone(architecture: str, variant: str | None, machine: int) -> None:
    layout = serving_image(architecture)[0]
    settings = config(layout)
    assert (settings["architecture"], settings.get("variant")) == (architecture, variant)
    libraries = [entry.name for entry in entries(layout) if entry.isfile() and ".so" in entry.name]
    wheels = [name for name in libraries if name.startswith("opt/") and name.count(".") < 4][:3]
    for name in [*wheels, next(name for name in libraries if "libc.so" in name)]:
        assert int.from_bytes(content(layout, name)[18:20], "little") == machine  # elf(5), e_machine


def test_it_gets_the_versions_that_the_project_is_tested_with_and_no_other_package() -> None:
    pinned = re.findall(r"^([a-z0-9-]+)==(\S+)", REQUIREMENTS.read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "serving/pyproject.toml").read_text())["project"]
    packages = [*project["dependencies"], *project["optional-dependencies"]["mqtt"]]
    declared = {re.split(r"[^a-z0-9-]", line)[0] for line in packages}
    assert dict(pinned).keys() == declared | {"typing-extensions"}  # which grpcio imports
    lock = (ROOT / "requirements.lock").read_text()
    assert [pin for pin in pinned if f"{pin[0]}=={pin[1]} " not in lock] == []


def test_a_host_without_apt_has_to_name_a_base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="no apt .* name an image with Python as the base"):
        input_key(tmp_path)


def test_a_processor_that_nothing_is_built_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="for amd64 and arm64, not for 's390x'"):
        build_serving_image(tmp_path / "layout", architectures=["s390x"])
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_reports_an_error_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kfp_edge.images", "serving", "--output", str(tmp_path)]
    done = subprocess.run(
        [*command, "--base", f"oci:{tmp_path}/nothing:here"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("error: `skopeo copy` failed: ")
