"""The connection to the MQTT broker: a session that outlives outages, and publications until they are acknowledged."""

import os
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from typing import Any, NamedTuple

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from kfp_edge_serving.sensor_feed import metrics as names
from kfp_edge_serving.sensor_feed.feed_clock import FeedClock
from kfp_edge_serving.sensor_feed.metrics import FeedMetrics
from kfp_edge_serving.sensor_feed.settings import BrokerSettings
from kfp_edge_serving.sensor_feed.state import BROKER, PUBLICATION, SUBSCRIPTION, FeedState
from kfp_edge_serving.telemetry.log import log

_QOS = 1
#: Seconds between attempts to connect: the first ones, and the last ones.
_RECONNECT = (1, 30)
#: Seconds before a refused publication is repeated.
_REPUBLISH = 5.0
#: Reason codes from here on are failures (MQTT 5.0, 2.4).
_FAILURE = 0x80
#: Bad user name or password, not authorized.
_LOGIN_REASONS = (0x86, 0x87)
_LOGIN_HINT = (
    "; the login is in KFP_EDGE_FEED_USERNAME and KFP_EDGE_FEED_PASSWORD, or in the files of username_file and "
    "password_file."
)
_POLL_SECONDS = 0.5


class Publication(NamedTuple):
    """What is published: a topic, its content, and whether the broker keeps it for later subscribers."""

    topic: str
    payload: bytes
    is_retained: bool


class _SecretError(OSError):
    """A file with a secret cannot be read; paho tries again after errors of the system only."""


class Broker:
    """A client of the broker, whose callbacks run in the thread of paho."""

    def __init__(
        self,
        settings: BrokerSettings,
        filters: Sequence[str],
        receive: Callable[[MQTTMessage], None],
        clock: FeedClock,
        state: FeedState,
        metrics: FeedMetrics,
        *,
        has_session: bool,
    ) -> None:
        """Prepare the client; `has_session` says that the feed was connected before it was started.

        Raises:
            OSError: a file for TLS cannot be used.
        """
        self._settings = settings
        self._filters = filters
        self._clock = clock
        self._state = state
        self._metrics = metrics
        self._is_stopping = False
        self._has_session = has_session
        #: Reason codes by packet identifier: plain dictionaries, which threads may share, and no lock, because paho
        #: calls back while it has one of its own that `publish` needs.
        self._acknowledged: dict[int, int] = {}
        self._arrived = threading.Event()
        #: Packet identifiers that nobody waits for; only the thread of paho uses them.
        self._status_packets: set[int] = set()
        self._client = self._create_client(receive)

    def _create_client(self, receive: Callable[[MQTTMessage], None]) -> Client:
        settings = self._settings
        is_version_5 = settings.protocol == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=None if is_version_5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if is_version_5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.reconnect_delay_set(*_RECONNECT)
        if settings.is_tls:
            client.tls_set_context(_create_tls_context(settings))
        if settings.status_topic is not None:
            client.will_set(settings.status_topic, "offline", _QOS, retain=True)
        client.on_socket_open = _send_at_once
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = lambda _client, _data, message: receive(message)
        return client

    def start(self) -> None:
        """Connect in the background, and again after every disconnection."""
        settings = self._settings
        if settings.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = settings.session_expiry
            properties.ReceiveMaximum = settings.receive_maximum
            self._client.connect_async(
                settings.host, settings.port, settings.keepalive, clean_start=False, properties=properties
            )
        else:
            self._client.connect_async(settings.host, settings.port, settings.keepalive)
        self._client.loop_start()

    def acknowledge(self, packet: int, qos: int) -> None:
        """Acknowledge a message that is safe; without a connection the broker sends it again.

        What paho is given while it connects would be sent before CONNECT, and the broker would close the connection.
        """
        if self._clock.is_running:
            self._client.ack(packet, qos)

    def publish(self, publications: Sequence[Publication], stop: threading.Event) -> bool:
        """Publish, and wait until the broker has acknowledged everything; return False if `stop` is set before.

        Without a connection, paho keeps what it is given for later and says rc 4 (MQTT_ERR_NO_CONN) all the same.
        """
        waiting = {self._send(publication): publication for publication in publications}
        while waiting:
            for packet in [packet for packet in waiting if packet in self._acknowledged]:
                publication = waiting.pop(packet)
                reason = self._acknowledged.pop(packet)
                if reason >= _FAILURE:
                    self._metrics.failed_publications += 1
                    self._state.set_problem(
                        PUBLICATION, f"the broker refuses to publish to '{publication.topic}' (reason code {reason})."
                    )
                    if stop.wait(_REPUBLISH):
                        return False
                    waiting[self._send(publication)] = publication
            if not waiting:
                break
            self._arrived.wait(_POLL_SECONDS)
            self._arrived.clear()
            if stop.is_set():
                return False
        self._state.clear_problem(PUBLICATION)
        return True

    def stop(self) -> None:
        """Say good-bye; the session stays."""
        self._is_stopping = True
        if self._settings.status_topic is not None and self._clock.is_running:
            self._client.publish(self._settings.status_topic, "offline", _QOS, retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def _send(self, publication: Publication) -> int:
        info = self._client.publish(publication.topic, publication.payload, _QOS, publication.is_retained)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise RuntimeError("paho has no room for a publication, although its queue has no limit")
        return info.mid

    # --- callbacks ---

    def _on_pre_connect(self, client: Client, _data: Any) -> None:
        # read each time, because a mounted secret is replaced while the feed runs
        username = _read_secret(self._settings.username_file, "USERNAME")
        if username is not None:
            client.username_pw_set(username, _read_secret(self._settings.password_file, "PASSWORD"))

    def _on_connect(
        self, client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            hint = _LOGIN_HINT if reason.value in _LOGIN_REASONS else "."
            self._state.set_problem(BROKER, f"the broker at {self._address} refuses the connection: {reason}{hint}")
            return
        self._state.clear_problem(BROKER)
        if not flags.session_present and self._has_session:
            self._metrics.lost_sessions += 1
            log("session lost", "warning", error="the broker had lost the session, and with it what waited there.")
        self._has_session = True
        self._metrics.connections[names.BROKER] += 1
        self._clock.start()
        log("connected", broker=self._address, session_present=flags.session_present)
        client.subscribe([(topic, _QOS) for topic in self._filters])
        if self._settings.status_topic is not None:
            self._status_packets.add(client.publish(self._settings.status_topic, "online", _QOS, retain=True).mid)

    def _on_connect_fail(self, _client: Client, _data: Any) -> None:
        reason = sys.exc_info()[1]  # paho calls back while it handles it, and does not pass it on
        if isinstance(reason, _SecretError):
            self._state.set_problem(BROKER, str(reason))
        else:
            self._state.set_problem(BROKER, f"the broker at {self._address} cannot be reached: {reason}.")

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._clock.stop()
        if not self._is_stopping and not self._state.has_problem(BROKER):
            self._state.set_problem(BROKER, f"the connection to the broker at {self._address} ended: {reason}.")

    def _on_subscribe(
        self, _client: Client, _data: Any, packet: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        for topic, reason in zip(self._filters, reasons, strict=False):
            if reason.is_failure:
                self._state.set_problem(SUBSCRIPTION, f"the broker refuses to subscribe to '{topic}': {reason}.")
                return
            if reason.value < _QOS:
                log(
                    "QoS 0", "warning", topic=topic, error="the broker grants QoS 0 only, with which messages get lost."
                )
        self._state.clear_problem(SUBSCRIPTION)

    def _on_publish(
        self, _client: Client, _data: Any, packet: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if packet in self._status_packets:
            self._status_packets.discard(packet)
            return
        self._acknowledged[packet] = reason.value
        self._arrived.set()

    @property
    def _address(self) -> str:
        return f"{self._settings.host}:{self._settings.port}"


def _send_at_once(_client: Client, _data: Any, opened: Any) -> None:
    """Keep the system from holding back small packets until others have been acknowledged."""
    opened.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)


def _create_tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.certificate_file is not None:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    return context


def _read_secret(file: Path | None, name: str) -> str | None:
    """Return a secret from its file or from the environment, None if it is in neither."""
    if file is None:
        return os.environ.get(f"KFP_EDGE_FEED_{name}") or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise _SecretError(f"the {name.lower()} for the broker in {file} cannot be read: {reason}.") from error
