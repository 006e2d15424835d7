"""Package lists for another processor than this machine's."""

import pytest

from kfp_edge.errors import ImageError
from kfp_edge.images.tools.apt import format_sources

_DEBIAN = "Debian http://mirror.example/debian/ bookworm main\n"
_UBUNTU = "Ubuntu http://mirror.example/ubuntu/ noble main\nUbuntu http://mirror.example/ubuntu/ noble universe\n"


def test_packages_for_another_processor_come_from_the_same_mirror_under_debian() -> None:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert format_sources(_DEBIAN) == f"deb [signed-by={keyring}] http://mirror.example/debian/ bookworm main\n"


def test_another_distribution_than_debian_is_refused_with_the_advice_to_build_on_such_a_processor() -> None:
    with pytest.raises(ImageError, match="only Debian's apt has packages for another processor"):
        format_sources(_UBUNTU)


def test_sources_that_are_not_the_distributions_own_are_left_out() -> None:
    assert "third" not in format_sources(_DEBIAN + "Third http://third.example/ stable main\n")
