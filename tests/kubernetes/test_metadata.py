"""Names, labels and expiry of the objects that a run creates."""

import re
from datetime import UTC, datetime

import pytest

from kfp_edge.kubernetes.metadata import (
    EXPIRES_ANNOTATION,
    expiry_time,
    is_expired,
    unique_name,
)


def test_names_are_valid_and_unique() -> None:
    names = {unique_name("Build of a_model" * 9, "4F2B8A10-aaaa") for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert re.fullmatch(r"build-of-a-model[a-z0-9-]*-4f2b8a10-[0-9a-f]{8}", name)
        assert len(name) <= 63


def test_a_name_without_a_run_is_valid() -> None:
    assert re.fullmatch(r"staging-[0-9a-f]{8}", unique_name("staging", ""))


def test_an_object_expires_at_its_time() -> None:
    assert is_expired({"metadata": {"annotations": {EXPIRES_ANNOTATION: expiry_time(-1)}}})
    assert not is_expired({"metadata": {"annotations": {EXPIRES_ANNOTATION: expiry_time(60)}}})
    assert datetime.fromisoformat(expiry_time(0)).tzinfo == UTC


@pytest.mark.parametrize(
    "annotations",
    [None, {}, {EXPIRES_ANNOTATION: "soon"}, {EXPIRES_ANNOTATION: "2020-01-01T00:00:00"}],
)
def test_an_object_without_a_valid_time_never_expires(annotations: dict[str, str] | None) -> None:
    assert not is_expired({"metadata": {"annotations": annotations}})
