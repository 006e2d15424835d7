"""Names that a server cannot store are refused before anything is sent; names of ours are shortened."""

from pathlib import Path

import pytest
from kfp import dsl

from kfp_edge.errors import KfpApiError, ParameterError, PipelineError
from support.clients import client_of, learn, make_checkout, only, small, submit_small, write_small
from support.fake_kfp import FakeKfp

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


@dsl.pipeline(name="x" * 128)
def long_name() -> None:
    """Run one stage."""
    learn(rows=1)


def create(server: FakeKfp, schedule: str | None = None, **names: str) -> None:
    if schedule is None:
        submit_small(server, **names)
    else:
        client_of(server).schedule(schedule, small, {"rows": 1}, cron="0 0 2 * * *", **names)


def refusal(server: FakeKfp, **names: str) -> str:
    with pytest.raises(ParameterError) as caught:
        create(server, **names)
    assert server.sent == []
    return str(caught.value)


@pytest.mark.parametrize("length", [128, 129])
def test_an_experiment_has_at_most_128_bytes(server: FakeKfp, length: int) -> None:
    if length == 128:
        submit_small(server, experiment="x" * length)
        assert only(server.store.experiments)["display_name"] == "x" * length
    else:
        message = "the name of the experiment has 129 bytes, and a server takes at most 128; shorten it."
        assert refusal(server, experiment="x" * length) == message


def test_bytes_of_an_experiment_are_counted_and_not_characters(server: FakeKfp) -> None:
    assert "has 130 bytes" in refusal(server, experiment="ü" * 65)


@pytest.mark.parametrize("kind", ["name", "schedule"])
def test_the_name_of_a_run_or_a_schedule_has_at_most_255_characters(server: FakeKfp, kind: str) -> None:
    assert "has 256 characters, and a server takes at most 255; shorten it." in refusal(server, **{kind: "ü" * 256})


def test_a_run_with_the_longest_name_is_started(server: FakeKfp) -> None:
    assert submit_small(server, name="ü" * 255).name == "ü" * 255


@pytest.mark.parametrize("kind", ["name", "schedule", "experiment"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "press 😀",
            "contains '😀' (U+1F600), and the database of a server stores no character beyond U+FFFF; leave it out.",
        ),
        ("press \udcff", "is not valid UTF-8; write it again."),
    ],
)
def test_a_character_that_the_database_cannot_store_is_refused(
    server: FakeKfp, kind: str, name: str, message: str
) -> None:
    assert message in refusal(server, **{kind: name})


@pytest.mark.parametrize("kind", ["schedule", "experiment"])
def test_an_empty_name_is_refused(server: FakeKfp, kind: str) -> None:
    assert refusal(server, **{kind: ""}).endswith("is empty; give one.")


@pytest.mark.parametrize("name", ["ü-nightly", "--x"])
def test_a_schedule_whose_kubernetes_object_would_begin_with_a_dash_is_refused(server: FakeKfp, name: str) -> None:
    assert "must have a letter a to z or a digit before its first dash" in refusal(server, schedule=name)


@pytest.mark.parametrize("name", ["Nightly - press 7", "夜", "ünightly"])
def test_any_other_name_of_a_schedule_is_taken(server: FakeKfp, name: str) -> None:
    create(server, schedule=name)
    assert only(server.store.recurring_runs)["display_name"] == name


def test_the_version_of_a_pipeline_with_a_long_name_gets_a_shorter_name(server: FakeKfp, work_folder: Path) -> None:
    commit = make_checkout(work_folder)
    client_of(server).submit(long_name)
    version = only(server.store.versions)
    assert version["display_name"] == commit[:12]
    assert len(version["name"]) <= 127


def test_a_pipeline_whose_name_a_server_refuses_is_not_sent(server: FakeKfp, work_folder: Path) -> None:
    file = write_small(work_folder)
    file.write_text(file.read_text().replace("  name: small\n", "  name: T_Bad.Name\n", 1))
    with pytest.raises(PipelineError, match=r"pipelineInfo\.name must be .* it is 'T_Bad.Name'; write t-bad-name\.$"):
        client_of(server).submit(file)
    assert server.sent == []


def test_a_pipeline_with_a_character_that_the_server_cannot_store_is_refused_with_that_reason(
    server: FakeKfp, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dsl.pipeline(name="launch", description="Go 🚀")
    def launch() -> None:
        learn(rows=1)

    with pytest.raises(KfpApiError, match=r"the pipeline contains '🚀', and most servers' databases store no"):
        client_of(server).submit(launch)
