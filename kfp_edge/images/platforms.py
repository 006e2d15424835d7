"""The processors that an image is built for."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass

from kfp_edge.errors import ImageError
from kfp_edge.images.oci.documents import PlatformFields


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
    def fields(self) -> PlatformFields:
        """The fields of a platform in an OCI image index, which a configuration has too."""
        fields: PlatformFields = {"architecture": self.architecture, "os": "linux"}
        return {**fields, "variant": self.variant} if self.variant else fields


PLATFORMS = (Platform("amd64", "x86_64"), Platform("arm64", "aarch64", "v8"))


def architecture_of(machine: str) -> str:
    """Return what OCI calls a processor that the kernel calls `machine`; `machine` itself when we do not know it."""
    return next((known.architecture for known in PLATFORMS if known.machine == machine), machine)


def native_platform() -> Platform:
    """Return the platform of this host.

    Raises:
        ImageError: the server's dependencies have no wheels for it.
    """
    for known in PLATFORMS:
        if known.machine == platform.machine():
            return known
    raise ImageError(f"the serving image is for amd64 and arm64; this host is neither ({platform.machine()}).")


def parse_platforms(architectures: Sequence[str]) -> list[Platform]:
    """Return the platforms of those names, each once and always in the same order; this host's when there are none.

    Raises:
        ImageError: the server's dependencies have no wheels for one.
    """
    if not architectures:
        return [native_platform()]
    known = {platform.architecture for platform in PLATFORMS}
    for architecture in architectures:
        if architecture not in known:
            raise ImageError(f"the serving image is for {' and '.join(sorted(known))}, not for {architecture!r}.")
    return [platform for platform in PLATFORMS if platform.architecture in architectures]


def native_first(platforms: Sequence[Platform]) -> list[Platform]:
    """Return this host's platform and after it the others, as modules are compiled by this host's own Python."""
    return [native_platform(), *(platform for platform in platforms if platform != native_platform())]
