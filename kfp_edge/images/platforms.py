"""The processors that an image is built for."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from kfp_edge.errors import ImageError


@dataclass(frozen=True)
class Platform:
    """A processor under Linux, by its several names."""

    #: As Go, OCI and Debian call it.
    architecture: str
    #: As the kernel and Python wheels call it.
    machine: str
    #: OCI Image Specification, "Platform Variants".
    variant: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """The fields of a platform in an OCI image index, which a configuration has too."""
        fields = {"architecture": self.architecture, "os": "linux"}
        return fields | ({"variant": self.variant} if self.variant else {})


PLATFORMS = (Platform("amd64", "x86_64"), Platform("arm64", "aarch64", "v8"))


def native() -> Platform:
    """Return the platform of this host.

    Raises:
        ImageError: the server's dependencies have no wheels for it.
    """
    for known in PLATFORMS:
        if known.machine == platform.machine():
            return known
    raise ImageError(f"the serving image is for amd64 and arm64; this host is neither ({platform.machine()}).")


def chosen(architectures: Sequence[str]) -> list[Platform]:
    """Return the platforms of those names, each once and always in the same order; this host's when there are none.

    Raises:
        ImageError: the server's dependencies have no wheels for one.
    """
    if not architectures:
        return [native()]
    known = {platform.architecture for platform in PLATFORMS}
    for architecture in architectures:
        if architecture not in known:
            raise ImageError(f"the serving image is for {' and '.join(sorted(known))}, not for {architecture!r}.")
    return [platform for platform in PLATFORMS if platform.architecture in architectures]


def with_native(platforms: Sequence[Platform]) -> list[Platform]:
    """Return this host's platform and after it the others, as modules are compiled by this host's own Python."""
    return [native(), *(platform for platform in platforms if platform != native())]
