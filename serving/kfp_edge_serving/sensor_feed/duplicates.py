"""Messages that arrive twice, because somebody on their way did not know that they had arrived."""

from collections import OrderedDict

from kfp_edge_serving.sensor_feed.events import MessageEvent

#: Messages that are remembered. What is repeated was in flight, of which brokers allow some hundreds at most.
MAX_REMEMBERED = 10_000


class RecentMessages:
    """The last messages.

    A message with a time of its own is the same one again if topic and content are: also if a bridge or a device
    repeats it as a new one. Without a time, equal messages are usual; there it is the same one if the broker says that
    it repeats it (DUP), under the same packet identifier.
    """

    def __init__(self) -> None:
        self._keys: OrderedDict[int, None] = OrderedDict()

    def remember(self, event: MessageEvent, has_time: bool) -> None:
        """Remember a message."""
        self._keys[_key(event, has_time)] = None
        if len(self._keys) > MAX_REMEMBERED:
            self._keys.popitem(last=False)

    def has(self, event: MessageEvent, has_time: bool, is_repeated: bool) -> bool:
        """Return whether a message has been here.

        Args:
            event: The message.
            has_time: Whether its content has a time.
            is_repeated: Whether the broker says that it repeats the message.
        """
        return (has_time or is_repeated) and _key(event, has_time) in self._keys


def _key(event: MessageEvent, has_time: bool) -> int:
    """Return 64 bits, so that messages are not mistaken for each other."""
    return hash((event.topic, event.payload, 0 if has_time else event.packet, has_time))
