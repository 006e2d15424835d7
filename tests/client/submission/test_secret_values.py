"""A pipeline with a secret in it is not uploaded."""

from pathlib import Path

import pytest
from kfp import dsl

from kfp_edge.errors import PipelineError
from kfp_edge.spec import compile_to_yaml
from support.clients import client_of, learn
from support.fake_kfp import FakeKfp

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")

PASSWORD = "hunter2!x"


@dsl.pipeline(name="leaking")
def leaking():
    """Hold a password."""
    learn(rows=1).set_env_variable("DB_PASSWORD", PASSWORD)


@dsl.pipeline(name="clean")
def clean():
    """Hold a value that is no secret."""
    learn(rows=1).set_env_variable("GREETING", PASSWORD).set_env_variable("DB_PASSWORD_FILE", "/run/password")


def write_leaking(folder: Path, comment: str = "") -> Path:
    file = folder / "leaking.yaml"
    file.write_text(comment + compile_to_yaml(leaking))
    return file


def test_a_secret_is_refused_and_not_told(server: FakeKfp, work_folder: Path) -> None:
    for pipeline in (leaking, write_leaking(work_folder)):
        with pytest.raises(PipelineError, match="would see a secret: .*'DB_PASSWORD' has a value; .*KE006") as refused:
            client_of(server).submit(pipeline)
        assert PASSWORD not in str(refused.value)
        with pytest.raises(PipelineError, match="would see a secret"):
            client_of(server).schedule("nightly", pipeline, every=3600)
    assert server.sent == []


def test_a_comment_in_the_file_allows_it(server: FakeKfp, work_folder: Path) -> None:
    comment = "# kfp-edge: ignore KE006 because it is the password of a demo\n"
    client_of(server).submit(write_leaking(work_folder, comment))
    assert len(server.store.runs) == 1


def test_a_comment_for_another_rule_does_not(server: FakeKfp, work_folder: Path) -> None:
    with pytest.raises(PipelineError, match="would see a secret"):
        client_of(server).submit(write_leaking(work_folder, "# kfp-edge: ignore KE002 because it is small\n"))


def test_what_is_no_secret_is_taken(server: FakeKfp) -> None:
    client_of(server).submit(clean)
    assert len(server.store.runs) == 1
