"""What a run's values make too large, or reuse from earlier content, is found before anything is sent."""

import warnings
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfp_edge.errors import KfpEdgeWarning, ParameterError
from support.clients import client_of, only, small, submit_small
from support.fake_kfp import FakeKfp
from support.workflows import dump_pipeline, make_loop, make_pipeline

pytestmark = pytest.mark.usefixtures("no_pauses", "work_folder")


@dsl.component(base_image="example.com/a:1", install_kfp_package=False)
def read(source: str, token: str = "") -> None:
    """Read a table."""


@dsl.pipeline(name="reading")
def reading(table: str = "", token: str = "") -> None:
    """Read one table."""
    read(source=table, token=token)


def submit(server: FakeKfp, pipeline: Any, values: dict[str, Any], *, cache: bool = True) -> list[str]:
    """Return the warnings of a run that is started."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client_of(server).submit(pipeline, values, cache=cache)
    return [str(each.message) for each in caught if each.category is KfpEdgeWarning]


def test_an_address_for_a_cached_task_is_reported(server: FakeKfp) -> None:
    assert submit(server, reading, {"table": "s3://me:hidden@plant/press?sig=hidden"}) == [
        "caching is on for read, and its input source is the address s3://plant/press: while the address stays, a "
        "result from earlier content is reused; --no-cache prevents it."
    ]


def test_the_same_holds_for_a_schedule(server: FakeKfp) -> None:
    with pytest.warns(KfpEdgeWarning, match="is the address s3://plant/press"):
        client_of(server).schedule("nightly", reading, {"table": "s3://plant/press"}, cron="0 0 2 * * *")


@pytest.mark.parametrize(("value", "cache"), [("s3://plant/press", False), ("press", True), ("", True)])
def test_without_caching_or_without_an_address_nothing_is_reported(server: FakeKfp, value: str, cache: bool) -> None:
    assert submit(server, reading, {"table": value}, cache=cache) == []


def test_a_value_that_is_a_secret_by_its_name_is_reported_without_it(server: FakeKfp) -> None:
    (warning,) = submit(server, reading, {"table": "x", "token": "hunter2"})
    assert warning.startswith("token in the parameter token is a secret by its name")
    assert "hunter2" not in warning


def test_the_token_of_a_choice_is_not_reported(server: FakeKfp) -> None:
    assert submit(server, reading, {"table": "x", "token": "default"}) == []


def write_loop(folder: Path, source: int) -> Path:
    """Return a file with a pipeline that loops over its parameter `items`."""
    pipeline = make_loop(1, source)
    root = pipeline.spec["root"]
    root["inputDefinitions"]["parameters"]["items"] = {"parameterType": "LIST", "defaultValue": [1]}
    task = root["dag"]["tasks"]["loop"]
    task["parameterIterator"]["items"] = {"inputParameter": "items"}
    task["inputs"] = {"parameters": {"items": {"componentInputParameter": "items"}}}
    file = folder / "loop.yaml"
    file.write_text(dump_pipeline(pipeline))
    return file


def test_a_loop_over_too_many_items_is_refused_before_anything_is_sent(server: FakeKfp, work_folder: Path) -> None:
    file = write_loop(work_folder, 2_000)
    with pytest.raises(ParameterError, match="with the 3000 iterations of loop, and Argo Workflows takes at most"):
        client_of(server).submit(file, {"items": list(range(3000))})
    assert server.sent == []
    assert submit(server, file, {"items": list(range(10))}) == []


def test_a_loop_that_keeps_a_run_from_being_retried_is_reported(server: FakeKfp, work_folder: Path) -> None:
    (warning,) = submit(server, write_loop(work_folder, 2_000), {"items": list(range(100))})
    assert "with the 100 iterations of loop, and a server retries none with more than 1536 KiB" in warning


def test_what_a_task_gets_has_to_fit_into_one_argument(server: FakeKfp, work_folder: Path) -> None:
    file = work_folder / "long.yaml"
    file.write_text(dump_pipeline(make_pipeline(1, 100)))
    with pytest.raises(
        ParameterError, match=r"the run is not started: what work-0 gets has \d+ bytes of JSON, and its"
    ):
        client_of(server).submit(file, {"text": "x" * 130_900})
    assert server.sent == []
    assert submit(server, file, {"text": "x" * 100_000}) == []


def test_the_name_of_a_run_is_no_template_of_argo(server: FakeKfp) -> None:
    with pytest.raises(ParameterError, match=r"the name of the run contains '\{\{ item.x \}\}', which Argo Workflows"):
        submit_small(server, name="run {{ item.x }}")
    assert server.sent == []
    submit_small(server, name="run {{ x }}")
    assert only(server.store.runs)["display_name"] == "run {{ x }}"


def test_usual_values_are_sent_without_a_warning(server: FakeKfp) -> None:
    assert submit(server, small, {"rows": 1, "note": "x" * 1000}) == []
