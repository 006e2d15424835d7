"""Names from a user's data in figures: literal, on one line, and bounded without losing what tells them apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.cbook import is_math_text

from kfp_edge.reports.labels import display_width, to_label, to_labels, to_wrapped_label

LONG = "temperature of the lower bearing of the main spindle, measuring point 17b [K]"


@given(text=st.text(max_size=300))
def test_a_label_is_no_formula_and_stays_within_its_width(text: str) -> None:
    label = to_label(text, 20)
    assert not is_math_text(label)
    assert len(label.splitlines()) <= 1
    assert display_width(label.replace(r"\$", "$")) <= 20


@pytest.mark.parametrize("name", ["a_b^c", "price [$]", r"\alpha", "Prüfung", "温度"])
def test_a_short_name_is_kept(name: str) -> None:
    assert to_label(name).replace(r"\$", "$") == name


def test_a_long_name_keeps_both_ends() -> None:
    label = to_label(LONG, 30)
    assert label.startswith("temperature")
    assert label.endswith("17b [K]")
    assert len(label) <= 30


def test_a_name_of_eighty_letters_is_complete_in_two_lines() -> None:
    wrapped = to_wrapped_label(LONG, 42)
    assert wrapped.replace("\n", " ") == LONG
    assert len(wrapped.splitlines()) == 2


def test_a_word_of_eighty_letters_is_broken() -> None:
    assert to_wrapped_label("x" * 80, 40).splitlines() == ["x" * 40] * 2


def test_long_names_that_begin_alike_are_told_apart() -> None:
    names = [f"failure of the main drive by overload, kind {kind} (report {kind})" for kind in range(20)]
    labels = to_labels(names, 24)
    assert len(set(labels)) == 20


def test_short_names_that_begin_alike_are_kept() -> None:
    assert to_labels(["tool wear", "tool break"]) == ["tool wear", "tool break"]


@pytest.mark.parametrize("values", [[], [0, 1], ["same " * 20] * 2])
def test_any_list_of_names_has_labels(values: list[object]) -> None:
    assert len(to_labels(values)) == len(values)
