"""The output of a run in a notebook, which follows the run until it has ended.

Jupyter replaces an output in place by its display id, from any thread and without an extension. So a thread asks for
the state of the run, and neither the notebook nor the cell that is executed waits for it. Where ipywidgets is
installed, the output has a button as long as the run can be canceled. The last output is plain HTML, which the saved
notebook keeps.
"""

import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from kfp_edge.client.runs.html import render
from kfp_edge.client.runs.results import RunResults
from kfp_edge.client.runs.snapshot import RunSnapshot
from kfp_edge.errors import KfpEdgeError

#: Seconds that a caller who waits for the run waits for its last output, too.
_LAST_UPDATE_SECONDS = 30.0
#: Data of an output by media type.
MimeBundle = dict[str, Any]


def with_results(snapshot: RunSnapshot, results: RunResults) -> RunSnapshot:
    """Return a snapshot with metrics and reports, or with a hint why they cannot be read."""
    try:
        return replace(snapshot, metrics=results.metrics(), reports=results.reports())
    except KfpEdgeError as error:
        return replace(snapshot, hint=f"Metrics and reports cannot be read: {error}")


def to_bundle(snapshot: RunSnapshot) -> MimeBundle:
    """Return a snapshot for every kind of notebook and terminal."""
    return {"text/plain": snapshot.text(), "text/html": render(snapshot)}


class RunDisplay:
    """The outputs of one run in a notebook, which all show the same.

    Args:
        follow: Polls the run until it has ended and returns the last snapshot; it calls its argument with each one
            before that.
        cancel: Cancels the run.
    """

    def __init__(
        self, follow: Callable[[Callable[[RunSnapshot], None]], RunSnapshot], cancel: Callable[[], object]
    ) -> None:
        self._follow = follow
        self._cancel = cancel
        self._id = f"kfp-edge-run-{uuid.uuid4()}"
        self._thread: threading.Thread | None = None
        self._widget: _RunWidget | None = None

    def show(self, snapshot: RunSnapshot) -> None:
        """Display a run that is active, and follow it from then on."""
        from IPython.display import display

        if self._widget is None and find_spec("ipywidgets") is not None:
            self._widget = _RunWidget(self._cancel)
        display(self._bundle(snapshot), raw=True, display_id=self._id)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._update_until_end, args=(snapshot,), daemon=True)
            self._thread.start()

    def wait_for_last_update(self) -> None:
        """Wait until the outputs show how the run ended, unless the server has become slow."""
        if self._thread is not None:
            self._thread.join(_LAST_UPDATE_SECONDS)

    def _update_until_end(self, snapshot: RunSnapshot) -> None:
        last = snapshot

        def update(current: RunSnapshot) -> None:
            nonlocal last
            last = current
            self._update(current)

        try:
            last = self._follow(update)
        except KfpEdgeError as error:
            last = replace(last, hint=f"This output is no longer updated: {error}")
        self._replace(to_bundle(last))
        if self._widget is not None:
            self._widget.close()
            self._widget = None

    def _update(self, snapshot: RunSnapshot) -> None:
        if self._widget is not None:
            self._widget.update(snapshot)
        else:
            self._replace(to_bundle(snapshot))

    def _bundle(self, snapshot: RunSnapshot) -> MimeBundle:
        """Return what is displayed first: a frontend without widgets shows the HTML beside it."""
        if self._widget is None:
            return to_bundle(snapshot)
        self._widget.update(snapshot)
        return {**self._widget.bundle(), **to_bundle(snapshot)}

    def _replace(self, bundle: MimeBundle) -> None:
        from IPython.display import update_display

        update_display(bundle, raw=True, display_id=self._id)


class _RunWidget:
    """The run and a button that cancels it, with ipywidgets."""

    def __init__(self, cancel: Callable[[], object]) -> None:
        from ipywidgets import HTML, Button, VBox

        self._cancel = cancel
        self._html = HTML()
        self._button = Button(description="Cancel the run", icon="stop")
        self._button.on_click(self._on_click)
        self._box: VBox = VBox([self._html, self._button])

    def update(self, snapshot: RunSnapshot) -> None:
        self._html.value = render(snapshot)

    def bundle(self) -> MimeBundle:
        bundle: MimeBundle = self._box._repr_mimebundle_()
        return bundle

    def close(self) -> None:
        for widget in (self._box, self._html, self._button):
            widget.close()

    def _on_click(self, _: object) -> None:
        self._button.disabled = True
        try:
            self._cancel()
            self._button.description = "Canceling"
        except KfpEdgeError as error:
            self._button.description, self._button.tooltip = "Cannot be canceled", str(error)
