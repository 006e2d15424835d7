"""The fake API server loads managed pipelines as the real one did with the same files.

The answers are those of `LoadSamples` of red-hat-data-services/data-science-pipelines, branch rhoai-3.5 (17c01fccd),
which was compiled and called with these files, its database in memory.
"""

import json
from pathlib import Path

import pytest

from kfp_edge.spec import compile_to_yaml, load_pipeline
from support.fake_managed_pipelines import MANIFEST, FakeApiServer, ServerEndedError


@pytest.fixture(scope="module")
def text() -> str:
    return compile_to_yaml(load_pipeline("training"))


def volume_of(folder: Path, manifest: str, text: str) -> Path:
    """A volume with that list, and a file of the pipeline for each name in it that can be one."""
    (folder / MANIFEST).write_text(manifest)
    for name in ("training-0.1.0", "A.B_c", "a..b", "-a", "a b", ".a"):
        (folder / f"{name}.yaml").write_text(text)
    (folder / "junk.yaml").write_text("unheard: of\n")
    return folder


@pytest.mark.parametrize("name", ["training-0.1.0", "A.B_c", "a..b"])
def test_it_takes_the_names_that_the_real_one_takes(tmp_path: Path, text: str, name: str) -> None:
    server = FakeApiServer("rhoai-3.5", "3.5.1")
    server.start(volume_of(tmp_path, json.dumps([{"name": name}]), text))
    assert server.pipelines[name].versions == {"3.5.1": text}
    assert server.pipelines[name].tags == {"managed": "true", "rhoai-version": "3.5.1"}


@pytest.mark.parametrize(
    ("manifest", "answer"),
    [
        ('[{"name":"-a"}]', 'managed pipeline name "-a" is invalid'),
        ('[{"name":"a b"}]', 'managed pipeline name "a b" is invalid'),
        ('[{"name":".a"}]', 'managed pipeline name ".a" is invalid'),
        ('[{"name":""}]', "contains entry with empty name"),
        ('[{"name":"training-0.1.0"},{"name":"training-0.1.0"}]', 'contains duplicate name "training-0.1.0"'),
        ('[{"name":"nofile"}]', "failed to load sample nofile"),
        ("{}", "failed to parse managed pipelines manifest"),
        ("", "failed to parse managed pipelines manifest"),
    ],
)
def test_it_ends_where_the_real_one_ended(tmp_path: Path, text: str, manifest: str, answer: str) -> None:
    with pytest.raises(ServerEndedError, match=answer):
        FakeApiServer("rhoai-3.5", "3.5.1").start(volume_of(tmp_path, manifest, text))


def test_a_name_that_the_operator_lists_needs_its_file(tmp_path: Path, text: str) -> None:
    volume = volume_of(tmp_path, '[{"name":"training-0.1.0"}]', text)
    with pytest.raises(ServerEndedError, match="failed to load sample nofile"):
        FakeApiServer("rhoai-3.5", "3.5.1").start(volume, ["nofile"])


def test_a_pipeline_that_it_refuses_has_no_version(tmp_path: Path, text: str) -> None:
    server = FakeApiServer("rhoai-3.5", "3.5.1")
    server.start(volume_of(tmp_path, '[{"name":"junk"}]', text))
    assert server.pipelines["junk"].versions == {}


def test_without_a_volume_there_are_no_managed_pipelines(tmp_path: Path) -> None:
    server = FakeApiServer("rhoai-3.5", "3.5.1")
    server.start(tmp_path)
    assert server.pipelines == {}


def test_openshift_ai_3_4_looks_versions_up_among_those_of_all_pipelines(tmp_path: Path, text: str) -> None:
    """Read in the sources of branch rhoai-3.4 (6a348e659), not run."""
    server = FakeApiServer("rhoai-3.4", "3.4.2")
    server.start(volume_of(tmp_path, '[{"name":"training-0.1.0"}]', text), ["training-0.1.0"])
    assert server.pipelines["training-0.1.0"].versions.keys() == {"training-0.1.0 - 3.4.2"}
