"""The model repository: the models that are served, and their replacement while the server runs."""

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

from kfp_edge_serving.cpu_limit import usable_cpus
from kfp_edge_serving.errors import RequestError, StartError
from kfp_edge_serving.features.row_history import RowHistory
from kfp_edge_serving.models import self_test
from kfp_edge_serving.models.bundle import LoadedBundle, load_bundle
from kfp_edge_serving.models.model import Model, ModelOptions
from kfp_edge_serving.models.model_folders import (
    MANIFEST,
    FolderState,
    ModelFolder,
    find_models,
    folder_state,
)
from kfp_edge_serving.models.plain_model import read_plain_model
from kfp_edge_serving.models.version_order import version_key
from kfp_edge_serving.telemetry.log import log
from kfp_edge_serving.telemetry.metrics import ModelMetrics

#: An inference that takes longer runs in a thread, not on the event loop; handing it over costs some 30 us.
_SLOW_SECONDS = 0.001


#: Names that one line of the log lists.
_MAX_NAMES = 20
_UNUSED = "the model does not use them"
_UNVERIFIED = "the model has no bundle: nobody has verified it, and it has no self-test and no ranges"


@dataclass(frozen=True)
class LoadOptions:
    """Which models are taken, and how they are tested.

    Attributes:
        self_test: Whether the recorded requests of a bundle are replayed before it is served.
        require_bundle: Whether a model without a bundle is refused.
        model_name: What the only model in the folder is called; None for its own name.
    """

    self_test: bool = True
    require_bundle: bool = False
    model_name: str | None = None


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

    def find_all(self, name: str, version: str = "") -> list[ServedModel]:
        """Return a version of a model, all of them if none is given, and all models if there is no name either.

        Raises:
            RequestError: there is no such model or version.
        """
        if not name:
            return list(self.served)
        latest = self.find(name, version)
        return [latest] if version else list(self._versions[name].values())


class ModelRepository:
    """The models under a folder. `catalog` may be read from any thread."""

    def __init__(self, folder: Path, options: ModelOptions, load_options: LoadOptions | None = None) -> None:
        self.catalog = ModelCatalog({})
        #: Called with each new catalog, in the thread that loaded it.
        self.changed: Callable[[ModelCatalog], None] = lambda _: None
        self._folder = folder
        self._options = options
        self._load_options = load_options or LoadOptions()
        self._served: dict[Path, ServedModel] = {}
        self._folders: dict[Path, ModelFolder] = {}
        #: State of each bundle when it was loaded or refused, and as it was last seen.
        self._states: dict[Path, FolderState] = {}
        self._last_scan: dict[Path, FolderState] = {}
        self._refused: dict[Path, str] = {}
        #: What is not served, as it was last seen and as it was logged.
        self._last_ignored: dict[tuple[Path, str], list[str]] = {}
        self._logged_ignored: dict[tuple[Path, str], list[str]] = {}
        self._metrics: dict[tuple[str, str], ModelMetrics] = {}
        #: The rows of clients, shared by versions of a model that need the same columns: an update loses none.
        self._histories: WeakValueDictionary[tuple[object, ...], RowHistory] = WeakValueDictionary()

    def refused(self) -> int:
        """Return the number of models in the folder that are not served as they are."""
        return len(self._refused)

    def load(self) -> None:
        """Load all models for the first time; one that is refused does not keep the others from being served.

        Raises:
            StartError: there is none to serve.
        """
        self._last_scan, self._last_ignored = self._scan()
        self._log_ignored(self._last_ignored)
        self._apply(self._last_scan)
        if not self._served:
            if self._refused:
                reasons = f"see `refused` above for the reason of each ({len(self._refused)})"
                raise StartError(f"no model in {self._folder} can be served; {reasons}.")
            kinds = "a bundle" if self._load_options.require_bundle else "a bundle or an ONNX file"
            raise StartError(
                f"there is no model in {self._folder} (--models); put {kinds} into {self._folder}/<name>/<version>/."
            )

    def refresh(self) -> None:
        """Scan the folder again: load models that are new or replaced, unload those that were removed.

        A model that differs from the last scan may still be being written, and waits for the next one. If a model is
        refused, the one before it stays in service.

        Raises:
            StartError: the folder cannot be read.
        """
        before, ignored_before = self._last_scan, self._last_ignored
        self._last_scan, self._last_ignored = self._scan()
        self._log_ignored({key: names for key, names in self._last_ignored.items() if ignored_before.get(key) == names})
        folders = before.keys() | self._last_scan.keys() | self._served.keys() | self._refused.keys()
        unchanged = {folder for folder in folders if before.get(folder) == self._last_scan.get(folder)}
        # an empty folder is more likely a lost mount than a wish to serve nothing
        if self._last_scan or not self._served:
            self._apply({folder: self._last_scan.get(folder) for folder in sorted(unchanged)})
        elif self._states:
            self._states = {}
            log("empty", "error", error=f"{self._folder} holds no bundle any more; the last ones stay in service.")

    def watch(self, seconds: float, stop: threading.Event) -> None:
        """Refresh every so many seconds until `stop` is set."""
        last_error = ""
        while not stop.wait(seconds):
            try:
                self.refresh()
                last_error = ""
            except StartError as error:
                if str(error) != last_error:
                    last_error = str(error)
                    log("not read", "error", error=f"{last_error.rstrip('.')}; the last models stay in service.")
            except Exception:  # noqa: BLE001 - a bug must not end the watching, and operators must see it
                log("internal error", "error", traceback=traceback.format_exc())

    def _scan(self) -> tuple[dict[Path, FolderState], dict[tuple[Path, str], list[str]]]:
        """Return the state of each model folder, and what is ignored."""
        models = find_models(self._folder)
        self._folders = {folder.path: folder for folder in models.models}
        states: dict[Path, FolderState] = {}
        for folder in models.models:
            try:
                states[folder.path] = folder_state(folder.path)
            except FileNotFoundError:  # it was removed during the scan; the next scan decides
                continue
            except OSError:  # loading it says why it cannot be read
                states[folder.path] = ()
        return states, models.ignored

    def _log_ignored(self, ignored: Mapping[tuple[Path, str], list[str]]) -> None:
        """Log what is not served, once as long as it stays the same."""
        for (folder, reason), names in ignored.items():
            if self._logged_ignored.get((folder, reason)) != names:
                self._logged_ignored[folder, reason] = names
                more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
                listed = ", ".join(names[:_MAX_NAMES]) + more
                # a name that is not UTF-8 cannot be written as JSON
                readable = listed.encode(errors="backslashreplace").decode()
                log("ignored", "warning", folder=str(folder), names=readable, reason=reason)

    def _apply(self, states: Mapping[Path, FolderState | None]) -> None:
        """Load and unload so that the served models match the state of each folder, None for a folder that is gone."""
        before = dict(self._served)
        gone = [folder for folder, state in states.items() if state is None]
        events: list[Callable[[], None]] = [self._unload(folder) for folder in gone]
        if before != self._served:
            # what was refused beside a model that is gone may be taken now
            self._states = {folder: state for folder, state in self._states.items() if folder not in self._refused}
        for folder, state in states.items():
            if state is not None and self._states.get(folder) != state:
                self._states[folder] = state
                events.append(self._load(folder))
        if self._served != before:
            self.catalog = ModelCatalog(self._served)
            self.changed(self.catalog)
        # logged only now that it is in effect
        for log_event in events:
            log_event()

    def _load(self, folder: Path) -> Callable[[], None]:
        """Load or refuse a model, and return what logs that."""
        start = time.perf_counter()
        try:
            model = self._load_model(folder)
        except StartError as error:
            self._refused[folder] = str(error)
            return partial(log, "refused", "error", error=str(error), folder=str(folder))
        except Exception as error:  # noqa: BLE001 - what no bundle should hold must not keep other models from service
            self._refused[folder] = f"{folder} cannot be loaded: {error!r}."
            reason, trace = self._refused[folder], traceback.format_exc()
            return partial(log, "refused", "error", error=reason, folder=str(folder), traceback=trace)
        self._refused.pop(folder, None)
        bundle = model.bundle
        key = bundle.name, bundle.version
        metrics = self._metrics.setdefault(key, ModelMetrics())
        replaced = self._served.get(folder)
        self._served[folder] = ServedModel(model, metrics)
        if bundle.unused_files:
            self._log_ignored({(folder, _UNUSED): list(bundle.unused_files)})
        return partial(
            log,
            "loaded",
            "info" if bundle.is_verified else "warning",
            model=bundle.name,
            version=bundle.version,
            verified=bundle.is_verified,
            **{bundle.digest_field: bundle.digest},
            replaced_sha256=None if replaced is None else replaced.model.bundle.digest,
            seconds=round(time.perf_counter() - start, 3),
            warning=None if bundle.is_verified else _UNVERIFIED,
        )

    def _load_model(self, folder: Path) -> Model:
        bundle = self._read(self._folders[folder])
        model = Model(bundle, self._options, self._options.threads or 1)
        is_slow = self._test(model) > _SLOW_SECONDS
        if is_slow and not self._options.threads and usable_cpus() > 1:
            # for a slow model, more threads are worth the time that it takes to wake them
            model = Model(bundle, self._options, usable_cpus())
            self._test(model)
        model.start_serving(is_slow, self._find_history(model))
        return model

    def _read(self, folder: ModelFolder) -> LoadedBundle:
        """Read the bundle, or else the ONNX file, in a folder."""
        options = self._load_options
        try:
            if (folder.path / MANIFEST).exists():
                bundle = load_bundle(folder.path, check_name=folder.is_named)
            else:
                bundle = read_plain_model(folder)
        except OSError as error:
            raise StartError(f"cannot read {error.filename or folder.path}: {error.strerror}.") from error
        if options.require_bundle and not bundle.is_verified:
            raise StartError(
                f"{folder.path} holds a model without a bundle, which this server refuses (--require-bundle on); "
                "make a bundle of it with `kfp-edge run delivery`, or start the server with --require-bundle off."
            )
        if options.model_name:
            self._check_only_model(folder)
            bundle = replace(bundle, name=options.model_name)
        self._check_place(folder, bundle)
        return bundle

    def _check_only_model(self, folder: ModelFolder) -> None:
        """Check that the folder has no other model, whose name would be the same too."""
        others = {other.name for other in self._folders.values()} - {folder.name}
        if others:
            names = ", ".join(sorted(others | {folder.name}))
            raise StartError(
                f"{self._folder} holds several models ({names}), which cannot all be called "
                f"{self._load_options.model_name} (--model-name); name the folder of one."
            )

    def _check_place(self, folder: ModelFolder, bundle: LoadedBundle) -> None:
        """Check that no other folder is served as this version of this model."""
        for path, served in self._served.items():
            if path != folder.path and (served.name, served.version) == (bundle.name, bundle.version):
                raise StartError(f"{folder.path} holds {bundle.name} {bundle.version}, which is served from {path}.")

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
        if self._load_options.self_test:
            self_test.replay(model)
        return self_test.warm_up(model)

    def _unload(self, folder: Path) -> Callable[[], None]:
        """Unload the bundle of a folder that is gone, and return what logs that."""
        self._states.pop(folder, None)
        self._logged_ignored.pop((folder, _UNUSED), None)
        refused = self._refused.pop(folder, None)
        served = self._served.pop(folder, None)
        if served is not None:
            return partial(log, "unloaded", model=served.name, version=served.version)
        return _log_nothing if refused is None else partial(log, "removed", folder=str(folder), was_refused=refused)


def _log_nothing() -> None:
    """Log nothing: the bundle was neither served nor refused."""
