"""Loops run on this machine as on a cluster: with their items, wherever they are, and tasks may follow them."""

from pathlib import Path

import pytest
from kfp import dsl
from kfp.dsl import Artifact, Input, Output

from kfp_edge import local


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def note(trace: str, item: str, more: str = ""):
    """Leave a file that is named by what this task got."""
    from pathlib import Path

    Path(trace, f"{item}{more}").touch()


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def note_all(trace: str, items: list[str]):
    from pathlib import Path

    Path(trace, "+".join(items)).touch()


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def letters() -> list[str]:
    return ["a", "b"]


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def backwards(items: list[str]) -> list[str]:
    return items[::-1]


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def double(item: str) -> str:
    return item * 2


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def write(item: str, page: Output[Artifact]):
    from pathlib import Path

    Path(page.path).write_text(item)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def note_pages(trace: str, pages: Input[list[Artifact]]):
    from pathlib import Path

    Path(trace, "+".join(Path(page.path).read_text() for page in pages)).touch()


@dsl.pipeline(name="items")
def of_items(trace: str):
    with dsl.ParallelFor(["a", "b"]) as item:
        note(trace=trace, item=item)


@dsl.pipeline(name="parameter")
def of_a_parameter(trace: str, items: list[str] = ["a", "b"]):  # noqa: B006 - KFP takes the default from here
    with dsl.ParallelFor(items) as item:
        note(trace=trace, item=item)


@dsl.pipeline(name="output")
def of_an_output(trace: str):
    with dsl.ParallelFor(letters().output) as item:
        note(trace=trace, item=item)


@dsl.pipeline(name="fields")
def of_fields(trace: str):
    with dsl.ParallelFor([{"label": "a", "unit": "K"}, {"label": "b", "unit": "Nm"}]) as item:
        note(trace=trace, item=item.label, more=item.unit)


@dsl.pipeline(name="nothing")
def of_nothing(trace: str, items: list[str] = []):  # noqa: B006 - KFP takes the default from here
    with dsl.ParallelFor(items) as item:
        note(trace=trace, item=item)


@dsl.pipeline(name="in-a-loop")
def in_a_loop(trace: str):
    with dsl.ParallelFor(["a", "b"]) as first, dsl.ParallelFor(["c", "d"]) as second:
        note(trace=trace, item=first, more=second)


@dsl.pipeline(name="in-an-exit-handler")
def in_an_exit_handler(trace: str):
    with dsl.ExitHandler(note(trace=trace, item="end")), dsl.ParallelFor(["a", "b"]) as item:
        note(trace=trace, item=item)


@dsl.pipeline(name="in-a-nested-pipeline")
def in_a_nested_pipeline(trace: str):
    of_items(trace=trace)


@dsl.pipeline(name="beside-another-output")
def beside_another_output(trace: str):
    doubled = double(item="x")
    with dsl.ParallelFor(["a", "b"]) as item:
        note(trace=trace, item=item, more=doubled.output)


@dsl.pipeline(name="followed")
def followed(trace: str):
    with dsl.ParallelFor(["a", "b", "c"]) as item:
        doubled = double(item=item)
    note_all(trace=trace, items=dsl.Collected(doubled.output))


@dsl.pipeline(name="followed-by-artifacts")
def followed_by_artifacts(trace: str):
    with dsl.ParallelFor(["a", "b", "c"]) as item:
        written = write(item=item)
    note_pages(trace=trace, pages=dsl.Collected(written.outputs["page"]))


@dsl.pipeline(name="nested-collection")
def nested_collection(trace: str):
    with dsl.ParallelFor(["a", "b"]) as item:
        with dsl.ParallelFor([1, 2]):
            written = write(item=item)
        note_pages(trace=trace, pages=dsl.Collected(written.outputs["page"]))


@dsl.pipeline(name="one-after-another")
def one_after_another(trace: str):
    with dsl.ParallelFor(["a", "b"]) as item:
        doubled = double(item=item)
    with dsl.ParallelFor(backwards(items=dsl.Collected(doubled.output)).output) as item:
        note(trace=trace, item=item)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def note_page(trace: str, page: Input[Artifact]):
    from pathlib import Path

    Path(trace, Path(page.path).read_text()).touch()


@dsl.pipeline(name="pages")
def pages() -> list[Artifact]:
    with dsl.ParallelFor(["a", "b"]) as item:
        written = write(item=item)
    return dsl.Collected(written.outputs["page"])


@dsl.pipeline(name="of-artifacts")
def of_artifacts(trace: str):
    with dsl.ParallelFor(pages().output) as page:
        note_page(trace=trace, page=page)


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        (of_items, ["a", "b"]),
        (of_a_parameter, ["a", "b"]),
        (of_an_output, ["a", "b"]),
        (of_fields, ["aK", "bNm"]),
        (of_nothing, []),
        (in_a_loop, ["ac", "ad", "bc", "bd"]),
        (in_an_exit_handler, ["a", "b", "end"]),
        (in_a_nested_pipeline, ["a", "b"]),
        (beside_another_output, ["axx", "bxx"]),
        (followed, ["aa+bb+cc"]),
        (followed_by_artifacts, ["a+b+c"]),
        (nested_collection, ["a+a", "b+b"]),
        (of_artifacts, ["a", "b"]),
        (one_after_another, ["aa", "bb"]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_loop_runs_with_its_items(tmp_path: Path, pipeline, expected):
    (tmp_path / "trace").mkdir()
    run = local.run(pipeline, {"trace": str(tmp_path / "trace")}, out=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "trace").iterdir()) == expected
    assert {stage.status for stage in run.stages()} <= {"succeeded"}
