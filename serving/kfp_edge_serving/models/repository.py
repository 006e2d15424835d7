"""The models that are served, and how they are exchanged while the server runs."""

import re
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kfp_edge_serving.cpu_limit import usable_cpus
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.models import self_test
from kfp_edge_serving.models.bundle import find_bundles, load_bundle, state
from kfp_edge_serving.models.model import Model, ModelOptions
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.metrics import ModelMetrics

#: Seconds of one inference from which on it runs beside the event loop; handing it over costs some 30 us.
_SLOW_SECONDS = 0.001


@dataclass(frozen=True)
class ServedModel:
    """A model that answers, with its counters."""

    model: Model
    metrics: ModelMetrics

    @property
    def name(self) -> str:
        return self.model.bundle.name

    @property
    def version(self) -> str:
        return self.model.bundle.version


class ModelCatalog:
    """What is served at one moment; never changed, only replaced as a whole."""

    def __init__(self, served: Mapping[Path, ServedModel]) -> None:
        self.served = tuple(served.values())
        self._versions: dict[str, dict[str, ServedModel]] = {}
        for one in sorted(self.served, key=lambda one: _natural(one.version)):
            self._versions.setdefault(one.name, {})[one.version] = one

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return sorted(self._versions)

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, the latest last."""
        return list(self._versions[name])

    def find(self, name: str, version: str = "") -> ServedModel:
        """Return a version of a model, the latest when none is given.

        Raises:
            RequestError: there is no such model, or not in this version.
        """
        versions = self._versions.get(name)
        if versions is None:
            there = ", ".join(self.names()) or "none yet"
            raise RequestError(f"there is no model '{name}' here; there is {there}.", 404)
        if not version:
            return versions[self.versions(name)[-1]]
        if version not in versions:
            there = ", ".join(versions)
            raise RequestError(f"there is no version '{version}' of model '{name}'; there is {there}.", 404)
        return versions[version]


class ModelRepository:
    """The bundles under a folder. `catalog` may be read from any thread."""

    def __init__(self, folder: Path, options: ModelOptions, self_test: bool = True) -> None:
        self.catalog = ModelCatalog({})
        #: Called with each new catalog, in the thread that loaded it.
        self.changed: Callable[[ModelCatalog], None] = lambda _: None
        self._folder = folder
        self._options = options
        self._self_test = self_test
        self._served: dict[Path, ServedModel] = {}
        self._states: dict[Path, Any] = {}
        self._looked: dict[Path, Any] = {}
        self._refused: dict[Path, str] = {}
        self._metrics: dict[tuple[str, str], ModelMetrics] = {}

    def refused(self) -> int:
        """Return how many bundles lie in the folder that are not served as they are."""
        return len(self._refused)

    def load(self) -> None:
        """Load all bundles for the first time; one that is refused does not keep the others from being served.

        Raises:
            StartError: there is none to serve.
        """
        self._looked = self._look()
        self._act(self._looked)
        if not self._served:
            if self._refused:
                raise StartError(next(iter(self._refused.values())))
            raise StartError(
                f"there is no model in {self._folder}; a bundle belongs into {self._folder}/<name>/<version>/."
            )

    def refresh(self) -> None:
        """Look at the folder once more: load what is new or was replaced, drop what was removed.

        What differs from the last look may still be being written, and waits for the next one. A bundle that is
        refused leaves the one before it in service.
        """
        before, self._looked = self._looked, self._look()
        folders = before.keys() | self._looked.keys() | self._served.keys()
        settled = {folder for folder in folders if before.get(folder) == self._looked.get(folder)}
        # A folder that is altogether empty is more likely a lost mount than a wish to serve nothing.
        if self._looked or not self._served:
            self._act({folder: self._looked.get(folder) for folder in sorted(settled)})
        elif self._states:
            self._states = {}
            log("empty", "error", error=f"{self._folder} holds no bundle any more; the last ones stay in service.")

    def watch(self, seconds: float, stop: threading.Event) -> None:
        """Refresh every so many seconds until `stop` is set."""
        while not stop.wait(seconds):
            try:
                self.refresh()
            except Exception:  # noqa: BLE001 - a bug of ours must not end the exchange of models, and must be seen
                log("bug", "error", traceback=traceback.format_exc())

    def _look(self) -> dict[Path, Any]:
        found = {}
        for folder in find_bundles(self._folder):
            try:
                found[folder] = state(folder)
            except OSError:  # it went away while we looked; the next look will tell
                continue
        return found

    def _act(self, states: dict[Path, Any]) -> None:
        """Bring what is served in line with the state of each folder, None for one that is gone."""
        served = dict(self._served)
        told = []
        for folder, found in states.items():
            if found is None:
                told.append(self._drop(folder))
            elif self._states.get(folder) != found:
                self._states[folder] = found
                told.append(self._load(folder))
        if self._served != served:
            self.catalog = ModelCatalog(self._served)
            self.changed(self.catalog)
        # only now is what they say true
        for tell in told:
            tell()

    def _load(self, folder: Path) -> Callable[[], None]:
        start = time.perf_counter()
        try:
            model = self._ready(folder)
        except StartError as error:
            self._refused[folder] = str(error)
            return partial(log, "refused", "error", error=str(error), folder=str(folder))
        self._refused.pop(folder, None)
        bundle = model.bundle
        key = bundle.name, bundle.version
        metrics = self._metrics.setdefault(key, ModelMetrics())
        replaced = self._served.get(folder)
        self._served[folder] = ServedModel(model, metrics)
        return partial(
            log,
            "loaded",
            model=bundle.name,
            version=bundle.version,
            bundle_sha256=bundle.digest,
            replaced_sha256=None if replaced is None else replaced.model.bundle.digest,
            seconds=round(time.perf_counter() - start, 3),
        )

    def _ready(self, folder: Path) -> Model:
        bundle = load_bundle(folder, named=folder != self._folder)
        model = Model(bundle, self._options, self._options.threads or 1)
        slow = self._tested(model) > _SLOW_SECONDS
        if slow and not self._options.threads and usable_cpus() > 1:
            # for what takes long, more threads are worth the time that it takes to wake them
            model = Model(bundle, self._options, usable_cpus())
            self._tested(model)
        model.open(slow)
        return model

    def _tested(self, model: Model) -> float:
        """Return the seconds that a model which answers as it should takes for its first recorded request."""
        if self._self_test:
            self_test.replay(model)
        return self_test.warm_up(model)

    def _drop(self, folder: Path) -> Callable[[], None]:
        self._states.pop(folder, None)
        self._refused.pop(folder, None)
        served = self._served.pop(folder, None)
        return _nothing if served is None else partial(log, "unloaded", model=served.name, version=served.version)


def _nothing() -> None:
    """Tell nothing: what went away was not served."""


def _natural(version: str) -> list[tuple[int, str]]:
    """Return what sorts versions so that the latest is last: the numbers in them compare as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", version)]
