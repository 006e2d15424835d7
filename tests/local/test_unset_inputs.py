"""An optional parameter that a pipeline does not pass is unset in a local run, of any type, as on a cluster."""

import json
from typing import Optional

import pytest
from kfp import dsl

from kfp_edge import local
from kfp_edge.pipelines.delivery import delivery


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def list_values(
    path: str,
    count: Optional[int] = None,  # noqa: UP045
    share: Optional[float] = None,  # noqa: UP045
    is_set: Optional[bool] = None,  # noqa: UP045
    names: Optional[list] = None,  # noqa: UP045
    rounds: int = 3,
):
    import json
    from pathlib import Path

    Path(path).write_text(json.dumps([count, share, is_set, names, rounds]))


@dsl.pipeline(name="nothing-passed")
def nothing_passed(path: str):
    list_values(path=path)


@dsl.pipeline(name="one-passed")
def one_passed(path: str, count: int = 7):
    list_values(path=path, count=count)


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [(nothing_passed, [None, None, None, None, 3]), (one_passed, [7, None, None, None, 3])],
    ids=["none", "one"],
)
def test_what_a_pipeline_does_not_pass_is_unset(tmp_path, pipeline, expected) -> None:
    local.run(pipeline, {"path": str(tmp_path / "values.json")}, out=str(tmp_path / "run"))
    assert json.loads((tmp_path / "values.json").read_text()) == expected


def test_delivery_starts_with_its_checks(tmp_path) -> None:
    with pytest.raises(local.RunFailedError, match=r"preflight: .*missing\.onnx"):
        local.run(delivery, {"model": str(tmp_path / "missing.onnx")}, out=str(tmp_path / "run"))
