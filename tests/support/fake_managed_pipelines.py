"""A fake of what OpenShift AI does with managed pipelines: its operator reads the image, its API server the volume.

Each rule was read in the sources, and the fake compared with what they do when they are run:

- the operator: controllers/managed_pipelines_fetcher.go and managed_pipelines_validation.go of
  red-hat-data-services/data-science-pipelines-operator, branches rhoai-3.4 (9e676e13) and rhoai-3.5 (06effd47)
- the API server: `LoadSamples` in backend/src/apiserver/config/config.go of
  red-hat-data-services/data-science-pipelines, branches rhoai-3.4 (6a348e659) and rhoai-3.5 (17c01fccd)
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kfp_edge.images.oci.documents import Descriptor
from kfp_edge.spec.backends.profiles import find_backend
from kfp_edge.spec.validation.validate import validate_text
from support.images import layer_entries

MANIFEST = "managed-pipelines.json"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")
_LARGEST_MANIFEST = 1 << 20
_LARGEST_PIPELINE = 32 << 20


class ServerEndedError(Exception):
    """The API server logs this and ends, and is started again and again."""


class OperatorRefusedError(Exception):
    """The operator does not deploy the API server."""


def names_for_operator(layout: Path, layers: Sequence[Descriptor]) -> set[str]:
    """The names that the operator allows in `managedPipelines.pipelines`."""
    for layer in reversed(layers):
        entries = layer_entries(layout, layer)
        if data := entries.get(f"app/{MANIFEST}"):
            if len(data) > _LARGEST_MANIFEST:
                raise OperatorRefusedError("exceeds limit of 1048576 bytes")
            return {str(entry["name"]).strip() for entry in json.loads(data)}
        if entries.keys() & {f"app/.wh.{MANIFEST}", "app/.wh..wh..opq"}:
            break
    raise OperatorRefusedError(f"{MANIFEST} not found in image")


@dataclass
class StoredPipeline:
    """A pipeline in the database: its versions are pipeline specs by name."""

    description: str
    tags: dict[str, str]
    versions: dict[str, str] = field(default_factory=dict)


class FakeApiServer:
    """An API server with an empty database, which every start of it fills.

    Args:
        backend: `rhoai-3.4` or `rhoai-3.5`.
        platform: The version of OpenShift AI that the operator knows.
    """

    def __init__(self, backend: str, platform: str) -> None:
        self._backend = find_backend(backend)
        self._platform = platform
        self.pipelines: dict[str, StoredPipeline] = {}

    def start(self, volume: Path, listed: Sequence[str] = ()) -> None:
        """Load what an init container has written; `listed` is `managedPipelines.pipelines`."""
        named_after_platform = self._backend.name == "rhoai-3.5"
        for name in listed:
            version = self._platform if named_after_platform else f"{name} - {self._platform}"
            self._load(name, "", volume / f"{name}.yaml", version)
        for entry in self._read_manifest(volume):
            if entry["name"] not in listed:
                version = self._platform if named_after_platform else entry["name"]
                self._load(entry["name"], entry.get("description", ""), volume / f"{entry['name']}.yaml", version)

    def _read_manifest(self, volume: Path) -> list[dict[str, str]]:
        if not (volume / MANIFEST).exists():
            return []
        try:
            entries: list[dict[str, str]] = json.loads((volume / MANIFEST).read_bytes())
        except ValueError as error:
            raise ServerEndedError("failed to parse managed pipelines manifest") from error
        if not isinstance(entries, list):
            raise ServerEndedError("failed to parse managed pipelines manifest")
        names = [entry.get("name", "") for entry in entries]
        for name in names:
            if not name:
                raise ServerEndedError("contains entry with empty name")
            if names.count(name) > 1:
                raise ServerEndedError(f'contains duplicate name "{name}"')
            if not _NAME.fullmatch(name):
                raise ServerEndedError(f'managed pipeline name "{name}" is invalid')
        return entries

    def _load(self, name: str, description: str, path: Path, version: str) -> None:
        if not path.is_file():
            raise ServerEndedError(f"failed to load sample {name}")
        text = path.read_text()
        if len(text) > _LARGEST_PIPELINE:
            raise ServerEndedError("File size too large")
        tags = {"managed": "true", "rhoai-version": self._platform}
        stored = self.pipelines.setdefault(name, StoredPipeline(description, tags))
        versions = stored.versions if self._backend.name == "rhoai-3.5" else self._all_versions()
        # a pipeline spec that it refuses is only logged
        if version not in versions and validate_text(text, self._backend).ok:
            stored.versions[version] = text

    def _all_versions(self) -> set[str]:
        """The names of the versions of all pipelines: 3.4 looks a version up by its name only."""
        return {version for pipeline in self.pipelines.values() for version in pipeline.versions}
