"""Versions of a release and of what a ring runs, by Semantic Versioning."""

import pytest

from kfp_edge.fleet.promotion.versions import compare_versions, describe_order


class TestVersions:
    @pytest.mark.parametrize(
        ("one", "other", "order"),
        [
            ("1.4.0-1", "1.4.0", -1),
            ("1.4.1", "1.4.0", 1),
            ("1.10.0", "1.9.0", 1),
            ("1.0.0-rc.2", "1.0.0-rc.10", -1),
            ("1.0.0-alpha", "1.0.0-1", 1),
            ("1.0.0+a", "1.0.0+b", 0),
            ("v1.0.0", "1.0.0", 0),
            ("2026-11-29", "1.0.0", None),
        ],
    )
    def test_compare_by_semantic_versioning(self, one: str, other: str, order: int | None) -> None:
        assert compare_versions(one, other) == order

    def test_a_hotfix_is_called_a_pre_release(self) -> None:
        assert "1.4.0-1 is a pre-release and lower than 1.4.0" in describe_order("1.4.0-1", "1.4.0")

    def test_a_higher_version_needs_no_word(self) -> None:
        assert describe_order("1.4.1", "1.4.0") == ""
        assert describe_order("1.4.0", "1.4.0-1") == ""

    def test_an_older_version_is_called_so(self) -> None:
        assert "takes the ring back to an older version" in describe_order("1.3.0", "1.4.0")
