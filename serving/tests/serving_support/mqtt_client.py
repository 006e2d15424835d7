"""A client of the broker for tests: it publishes as sensors do, and collects what the feed publishes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from serving_support.waiting import until


class Received(NamedTuple):
    """A message that arrived, its content parsed."""

    topic: str
    content: Any
    is_retained: bool


class MqttClient:
    """A connected client that has subscribed to some topics with QoS 1."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.received: list[Received] = []
        client.on_message = self._receive

    def send(self, topic: str, content: Any, *, qos: int = 1, is_retained: bool = False) -> None:
        """Publish, and wait until the broker has it; what is no text or bytes becomes JSON."""
        self.send_all([(topic, content)], qos=qos, is_retained=is_retained)

    def send_all(self, messages: list[tuple[str, Any]], *, qos: int = 1, is_retained: bool = False) -> None:
        """Publish messages in their order, and wait until the broker has all of them."""
        sent = [
            self._client.publish(
                topic, content if isinstance(content, str | bytes) else json.dumps(content), qos, is_retained
            )
            for topic, content in messages
        ]
        for message in sent:
            message.wait_for_publish(60)
            assert message.is_published()

    def contents(self, topic: str) -> list[Any]:
        """Return what arrived at a topic so far."""
        return [message.content for message in self.received if message.topic == topic]

    def wait_for(self, topic: str, number: int) -> list[Any]:
        """Wait until so many messages have arrived at a topic, and return their contents."""
        until(lambda: len(self.contents(topic)) >= number)
        return self.contents(topic)

    def _receive(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        text = message.payload.decode()
        content = json.loads(text) if text.startswith("{") else text
        self.received.append(Received(message.topic, content, message.retain))


@contextmanager
def connected(port: int, *topics: str, client_id: str = "", **tls: Any) -> Iterator[MqttClient]:
    """Connect to the broker on this host; with `client_id`, the session and what waits in it stay."""
    raw = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=not client_id,
        protocol=MQTTProtocolVersion.MQTTv311,
    )
    if tls:
        raw.tls_set(**tls)
    subscribed = Event()
    client = MqttClient(raw)
    raw.on_subscribe = lambda *_: subscribed.set()
    raw.on_connect = lambda *_: raw.subscribe([(topic, 1) for topic in topics]) if topics else subscribed.set()
    raw.reconnect_delay_set(1, 1)
    raw.connect("127.0.0.1", port)
    raw.loop_start()
    try:
        assert subscribed.wait(30)
        yield client
    finally:
        raw.disconnect()
        raw.loop_stop()
