"""The program of the image, on its own and after the program of a base such as Red Hat's."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from kfp_edge.images.managed_pipelines import builder
from support.fake_managed_pipelines import FakeApiServer, ServerEndedError

_VOLUME = "/config/managed-pipelines"
_BASE_LIST = [{"name": "theirs-a", "path": "a/pipeline.py", "description": 'Says "ours-1" twice'}, {"name": "theirs-b"}]
#: Red Hat's program copies the list of the image, in which ours are as well, or makes one of its own pipelines.
_BASE_PROGRAMS = {
    "that copies what is in the image": ("list.json", "theirs-a theirs-b ours-1 ours-2"),
    "that makes its pipelines anew": ("base.json", "theirs-a theirs-b"),
}
_BASE_SCRIPT = """
cp $IMAGE/{source} {volume}/managed-pipelines.json
for name in {names}; do echo theirs > {volume}/$name.yaml; done
echo "${{PIPELINE_NAMES:-all}}" > $IMAGE/asked
"""


@dataclass(frozen=True)
class Image:
    """The files of an image, and what stands for the volume."""

    folder: Path
    volume: Path
    shell: str

    def run(self, *base: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "IMAGE": str(self.folder), **variables}
        command = [*self.shell.split(), str(self.folder / "write-pipelines.sh"), *base]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def write(self, *base: str, **variables: str) -> list[str]:
        """Run the program and return the names that it has listed, each of which it has written."""
        done = self.run(*base, **variables)
        assert done.returncode == 0, done.stderr
        names = [entry["name"] for entry in json.loads((self.volume / "managed-pipelines.json").read_text())]
        written = {path.stem for path in self.volume.glob("*.yaml")}
        assert set(names) <= written
        return names


@pytest.fixture(params=["dash", "bash --posix"])
def image(tmp_path: Path, request: pytest.FixtureRequest) -> Image:
    """An image of two pipelines; UBI's /bin/sh is Bash, Debian's is Dash."""
    folder, volume = tmp_path / "image", tmp_path / "volume"
    (folder / "pipelines").mkdir(parents=True)
    volume.mkdir()
    ours = [{"name": name, "description": 'With "quotes", a \\ and ], of course'} for name in ("ours-1", "ours-2")]
    for entry in ours:
        (folder / f"pipelines/{entry['name']}.json").write_text(json.dumps(entry) + "\n")
        (folder / f"pipelines/{entry['name']}.yaml").write_text(f"of {entry['name']}\n")
    write_list(folder / "base.json", _BASE_LIST)
    write_list(folder / "list.json", [*_BASE_LIST, *ours])
    program = builder._PROGRAM.read_text()
    assert program.count(_VOLUME) == 1
    (folder / "write-pipelines.sh").write_text(program.replace(_VOLUME, str(volume)))
    return Image(folder, volume, request.param)


def write_list(path: Path, entries: list[Mapping[str, str]]) -> None:
    path.write_text(json.dumps(entries, indent=2) + "\n")


@pytest.fixture(params=_BASE_PROGRAMS)
def base(image: Image, request: pytest.FixtureRequest) -> list[str]:
    """The command of a base, with an argument that has a space."""
    source, names = _BASE_PROGRAMS[request.param]
    script = _BASE_SCRIPT.format(source=source, names=names, volume=image.volume)
    return ["sh", "-ec", script, "an argument"]


def test_all_are_written_when_none_is_named(image: Image) -> None:
    assert image.write(ALL_PIPELINES="true") == ["ours-1", "ours-2"]
    assert (image.volume / "ours-1.yaml").read_text() == "of ours-1\n"


def test_those_that_are_named_are_written_and_no_others(image: Image) -> None:
    assert image.write(PIPELINE_NAMES="ours-2") == ["ours-2"]
    assert not (image.volume / "ours-1.yaml").exists()


def test_descriptions_are_written_as_they_are(image: Image) -> None:
    image.write()
    entries = json.loads((image.volume / "managed-pipelines.json").read_text())
    assert entries[0]["description"] == 'With "quotes", a \\ and ], of course'


def test_a_name_that_the_image_does_not_have_is_reported_before_the_server_ends_because_of_it(image: Image) -> None:
    done = image.run(PIPELINE_NAMES="ours-1,ours")
    assert done.returncode == 1
    assert done.stderr == "error: this image has no managed pipeline ours; its own are: ours-1 ours-2.\n"
    with pytest.raises(ServerEndedError, match="failed to load sample ours"):
        FakeApiServer("rhoai-3.5", "3.5.0").start(image.volume, ["ours"])


def test_what_an_earlier_try_has_written_is_removed(image: Image) -> None:
    image.write()
    assert image.write(PIPELINE_NAMES="ours-1") == ["ours-1"]
    assert not (image.volume / "ours-2.yaml").exists()


def test_a_volume_that_cannot_be_written_is_an_error(image: Image) -> None:
    image.volume.rmdir()
    done = image.run()
    assert done.returncode != 0
    assert "ours-1.yaml" in done.stderr


def test_the_pipelines_of_the_base_stay(image: Image, base: list[str]) -> None:
    assert image.write(*base, ALL_PIPELINES="true") == ["theirs-a", "theirs-b", "ours-1", "ours-2"]
    assert (image.volume / "ours-1.yaml").read_text() == "of ours-1\n"
    assert (image.folder / "asked").read_text() == "all\n"


def test_the_base_is_asked_for_its_pipelines_only(image: Image, base: list[str]) -> None:
    assert image.write(*base, PIPELINE_NAMES="theirs-b,ours-2,theirs-a") == ["theirs-a", "theirs-b", "ours-2"]
    assert (image.folder / "asked").read_text() == "theirs-b,theirs-a\n"


def test_the_base_is_not_asked_when_only_ours_are_named(image: Image, base: list[str]) -> None:
    assert image.write(*base, PIPELINE_NAMES="ours-2,ours-1") == ["ours-1", "ours-2"]
    assert not (image.folder / "asked").exists()


def test_pipelines_of_the_base_alone_can_be_named(image: Image, base: list[str]) -> None:
    # Red Hat's program writes all of its own, whatever is named
    assert image.write(*base, PIPELINE_NAMES="theirs-a") == ["theirs-a", "theirs-b"]


def test_an_empty_list_of_the_base_is_a_list(image: Image) -> None:
    assert image.write("sh", "-c", f"printf '[\\n]\\n' > {image.volume}/managed-pipelines.json") == ["ours-1", "ours-2"]


def test_a_base_that_fails_ends_the_program_with_its_exit_code(image: Image) -> None:
    done = image.run("sh", "-c", "echo it is broken >&2; exit 7")
    assert (done.returncode, done.stderr) == (7, "it is broken\n")


def test_a_base_that_writes_nothing_is_an_error(image: Image) -> None:
    done = image.run("true")
    assert done.returncode == 1
    assert done.stderr.startswith("error: the command of the base, true, has not written ")


def test_a_name_that_neither_has_is_reported(image: Image, base: list[str]) -> None:
    done = image.run(*base, PIPELINE_NAMES="ours-1,theirs-c")
    assert (done.returncode, done.stderr.partition(";")[0]) == (1, "error: this image has no managed pipeline theirs-c")
