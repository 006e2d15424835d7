"""What the log holds: messages as they arrived, and how the clock of the feed went on between them."""

import struct
from dataclasses import dataclass

_MESSAGE, _CLOCK = b"\1", b"\2"
#: Clock of the feed, time of the arrival, packet identifier, length of the topic.
_MESSAGE_HEAD = struct.Struct("<QqHH")
_CLOCK_CONTENT = struct.Struct("<Q")


@dataclass(frozen=True)
class MessageEvent:
    """A message that arrived.

    Attributes:
        topic: Its topic.
        payload: Its content.
        arrival: When it arrived, in nanoseconds since 1970.
        clock: The clock of the feed then: nanoseconds for which the feed was connected, over all its starts.
        packet: Its packet identifier, 0 with QoS 0.
    """

    topic: str
    payload: bytes
    arrival: int
    clock: int
    packet: int

    def encode(self) -> bytes:
        """Return the record."""
        topic = self.topic.encode()
        return b"".join(
            (_MESSAGE, _MESSAGE_HEAD.pack(self.clock, self.arrival, self.packet, len(topic)), topic, self.payload)
        )


@dataclass(frozen=True)
class ClockEvent:
    """The clock of the feed went on to the time of a row without a message."""

    clock: int

    def encode(self) -> bytes:
        """Return the record."""
        return _CLOCK + _CLOCK_CONTENT.pack(self.clock)


Event = MessageEvent | ClockEvent


def decode_event(record: bytes) -> Event:
    """Return what a record says.

    Raises:
        ValueError: it is none of this version.
    """
    kind = record[:1]
    try:
        if kind == _CLOCK:
            return ClockEvent(_CLOCK_CONTENT.unpack(record[1:])[0])
        if kind == _MESSAGE:
            clock, arrival, packet, length = _MESSAGE_HEAD.unpack_from(record, 1)
            begin = 1 + _MESSAGE_HEAD.size
            topic = record[begin : begin + length].decode()
            return MessageEvent(topic, record[begin + length :], arrival, clock, packet)
    except struct.error as error:
        raise ValueError(f"a record of {len(record)} bytes is too short") from error
    raise ValueError(f"a record begins with {kind!r}")
