"""Alarms: a state for each group, on or off, by what the model predicts."""

from collections import OrderedDict
from typing import Any

from kfp_edge_serving.sensor_feed.messages import find_field
from kfp_edge_serving.sensor_feed.settings import AlarmSettings

#: Groups whose state is known; of more, the one that was silent for the longest is forgotten.
_MAX_GROUPS = 10_000


class Alarms:
    """The state of each group."""

    def __init__(self, settings: AlarmSettings) -> None:
        self._settings = settings
        self._states: OrderedDict[str, bool] = OrderedDict()

    def find_value(self, prediction: dict[str, Any]) -> Any:
        """Return the output that decides; None if the prediction has none, as where a score is NaN."""
        return find_field(prediction, self._settings.output)

    def update(self, group: str, prediction: dict[str, Any]) -> bool | None:
        """Return the state of a group if it is another than before, or the first; None otherwise."""
        state = self._is_on(self.find_value(prediction))
        if state is None or self._states.get(group) == state:
            return None
        self._states[group] = state
        self._states.move_to_end(group)
        if len(self._states) > _MAX_GROUPS:
            self._states.popitem(last=False)
        return state

    def _is_on(self, value: Any) -> bool | None:
        settings = self._settings
        if value is None:
            return None
        if settings.equals is not None:
            return bool(value == settings.equals)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if settings.above is not None:
            return value > settings.above
        return settings.below is not None and value < settings.below
