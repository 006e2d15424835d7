"""The model repository: the models that are served, and their replacement while the server runs."""

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from kfp_edge_serving.cpu_limit import usable_cpus
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.features.row_history import RowHistory
from kfp_edge_serving.models import self_test
from kfp_edge_serving.models.bundle import FolderState, find_bundles, folder_state, load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from kfp_edge_serving.models.version_order import version_key
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.metrics import ModelMetrics

#: An inference that takes longer runs in a thread, not on the event loop; handing it over costs some 30 us.
_SLOW_SECONDS = 0.001


@dataclass(frozen=True)
class ServedModel:
    """A model that is served, with its request counters."""

    model: Model
    metrics: ModelMetrics

    @property
    def name(self) -> str:
        return self.model.bundle.name

    @property
    def version(self) -> str:
        return self.model.bundle.version


class ModelCatalog:
    """The models that are served at one moment; never changed, only replaced as a whole."""

    def __init__(self, served: Mapping[Path, ServedModel]) -> None:
        self.served = tuple(served.values())
        self._versions: dict[str, dict[str, ServedModel]] = {}
        for model in sorted(self.served, key=lambda model: version_key(model.version)):
            self._versions.setdefault(model.name, {})[model.version] = model

    def names(self) -> list[str]:
        """Return the names of all models, sorted."""
        return sorted(self._versions)

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, the latest one last."""
        return list(self._versions[name])

    def find(self, name: str, version: str = "") -> ServedModel:
        """Return a version of a model, the latest one if none is given.

        Raises:
            RequestError: there is no such model or version.
        """
        versions = self._versions.get(name)
        if versions is None:
            known = ", ".join(self.names()) or "none yet"
            raise RequestError(f"there is no model '{name}' here; there is {known}.", 404)
        if not version:
            return versions[self.versions(name)[-1]]
        if version not in versions:
            known = ", ".join(versions)
            raise RequestError(f"there is no version '{version}' of model '{name}'; there is {known}.", 404)
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
        #: State of each bundle when it was loaded or refused, and as it was last seen.
        self._states: dict[Path, FolderState] = {}
        self._last_scan: dict[Path, FolderState] = {}
        self._refused: dict[Path, str] = {}
        self._metrics: dict[tuple[str, str], ModelMetrics] = {}
        #: The rows of clients, shared by versions of a model that need the same columns: an update loses none.
        self._histories: WeakValueDictionary[tuple[object, ...], RowHistory] = WeakValueDictionary()

    def refused(self) -> int:
        """Return the number of bundles in the folder that are not served as they are."""
        return len(self._refused)

    def load(self) -> None:
        """Load all bundles for the first time; one that is refused does not keep the others from being served.

        Raises:
            StartError: there is none to serve.
        """
        self._last_scan = self._scan()
        self._apply(self._last_scan)
        if not self._served:
            if self._refused:
                raise StartError(next(iter(self._refused.values())))
            raise StartError(
                f"there is no model in {self._folder}; put a bundle into {self._folder}/<name>/<version>/."
            )

    def refresh(self) -> None:
        """Scan the folder again: load bundles that are new or replaced, unload those that were removed.

        A bundle that differs from the last scan may still be being written, and waits for the next one. If a bundle is
        refused, the one before it stays in service.
        """
        before, self._last_scan = self._last_scan, self._scan()
        folders = before.keys() | self._last_scan.keys() | self._served.keys()
        unchanged = {folder for folder in folders if before.get(folder) == self._last_scan.get(folder)}
        # an empty folder is more likely a lost mount than a wish to serve nothing
        if self._last_scan or not self._served:
            self._apply({folder: self._last_scan.get(folder) for folder in sorted(unchanged)})
        elif self._states:
            self._states = {}
            log("empty", "error", error=f"{self._folder} holds no bundle any more; the last ones stay in service.")

    def watch(self, seconds: float, stop: threading.Event) -> None:
        """Refresh every so many seconds until `stop` is set."""
        while not stop.wait(seconds):
            try:
                self.refresh()
            except Exception:  # noqa: BLE001 - a bug must not end the watching, and operators must see it
                log("internal error", "error", traceback=traceback.format_exc())

    def _scan(self) -> dict[Path, FolderState]:
        states = {}
        for folder in find_bundles(self._folder):
            try:
                states[folder] = folder_state(folder)
            except OSError:  # it was removed during the scan; the next scan decides
                continue
        return states

    def _apply(self, states: Mapping[Path, FolderState | None]) -> None:
        """Load and unload so that the served models match the state of each folder, None for a folder that is gone."""
        before = dict(self._served)
        events: list[Callable[[], None]] = []
        for folder, state in states.items():
            if state is None:
                events.append(self._unload(folder))
            elif self._states.get(folder) != state:
                self._states[folder] = state
                events.append(self._load(folder))
        if self._served != before:
            self.catalog = ModelCatalog(self._served)
            self.changed(self.catalog)
        # logged only now that it is in effect
        for log_event in events:
            log_event()

    def _load(self, folder: Path) -> Callable[[], None]:
        """Load or refuse a bundle, and return what logs that."""
        start = time.perf_counter()
        try:
            model = self._load_model(folder)
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

    def _load_model(self, folder: Path) -> Model:
        bundle = load_bundle(folder, check_name=folder != self._folder)
        model = Model(bundle, self._options, self._options.threads or 1)
        is_slow = self._test(model) > _SLOW_SECONDS
        if is_slow and not self._options.threads and usable_cpus() > 1:
            # for a slow model, more threads are worth the time that it takes to wake them
            model = Model(bundle, self._options, usable_cpus())
            self._test(model)
        model.start_serving(is_slow, self._find_history(model))
        return model

    def _find_history(self, model: Model) -> RowHistory | None:
        """Return the history of other versions of a model, or else a new one; None if the model needs none."""
        definition = model.bundle.features
        if definition is None:
            return None
        key = model.bundle.name, definition.time_column, definition.group_column, definition.sources
        history = self._histories.get(key) or model.new_history()
        if history is not None:
            self._histories[key] = history
        return history

    def _test(self, model: Model) -> float:
        """Run the self-test, and return the seconds of one inference once the model is warm."""
        if self._self_test:
            self_test.replay(model)
        return self_test.warm_up(model)

    def _unload(self, folder: Path) -> Callable[[], None]:
        """Unload the bundle of a folder that is gone, and return what logs that."""
        self._states.pop(folder, None)
        self._refused.pop(folder, None)
        served = self._served.pop(folder, None)
        return _log_nothing if served is None else partial(log, "unloaded", model=served.name, version=served.version)


def _log_nothing() -> None:
    """Log nothing: the bundle was not served."""
