"""Counts in sentences agree with their nouns."""

import pytest

from kfp_edge.wording import count_of


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 classes"), (1, "1 class"), (2, "2 classes"), (1275, "1,275 classes")]
)
def test_a_count_has_the_singular_or_the_plural(number: int, text: str) -> None:
    assert count_of(number, "class", "classes") == text


def test_the_plural_ends_in_s_if_none_is_given() -> None:
    assert (count_of(1, "row"), count_of(1275, "row")) == ("1 row", "1,275 rows")
