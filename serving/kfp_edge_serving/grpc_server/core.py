"""The C core of grpcio: the completion queue, calls and operations that grpc's own servers are made of.

grpcio has no public Python API for them. `grpc._cython.cygrpc` is private, so only this module imports it, and the
range of grpcio in `pyproject.toml` ends before the first version that was not tested.
"""

import os
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

# grpc reads these when it is imported. What it writes to stderr is not JSON as our log is, and of no help to operators
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# sockets are read and written by the thread that polls; by default it is woken by another thread (45 us a call, not 26)
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
import grpc
from grpc._cython import cygrpc

from kfp_edge_serving.errors import StartError

StatusCode = grpc.StatusCode
ServerCertificates: TypeAlias = grpc.ServerCertificateConfiguration

#: A metadata field of a call: its name, and its value, which is bytes if the name ends with `-bin`.
Metadatum: TypeAlias = tuple[str, str | bytes]


class Operation(Protocol):
    """One operation of a batch, such as to send a message."""

    def message(self) -> bytes | None:
        """Return the message that was received, None if there was none; of `receive_message` only."""

    def cancelled(self) -> bool:
        """Return whether the call was cancelled; of `receive_close` only."""


class CoreCall(Protocol):
    """One call; its methods may be called in any thread."""

    def start_server_batch(self, operations: Sequence[Operation], tag: "Tag") -> int:
        """Start operations; the event of `tag` comes once all of them are done."""

    def cancel(self) -> int:
        """End the call with the status CANCELLED."""


class CallDetails(Protocol):
    """What a call asks for."""

    @property
    def method(self) -> bytes:
        """The path, such as `/inference.GRPCInferenceService/ModelInfer`."""


class Event(Protocol):
    """What a poll of the completion queue returns: a new call, a batch that is done, or nothing in time (no tag)."""

    success: bool
    tag: "Tag | None"
    # of a batch
    batch_operations: Sequence[Operation]
    # of a new call
    call: CoreCall
    call_details: CallDetails
    invocation_metadata: Sequence[Metadatum]


#: What the completion queue returns with an event: here, the function that takes the event.
Tag: TypeAlias = Callable[[Event], None]


class CompletionQueue(Protocol):
    """The events of a server."""

    def poll(self, deadline: float | None = None) -> Event:
        """Return the next event; wait for it until `deadline` (of `time.time`), which may have passed."""


class CoreServer(Protocol):
    """A server; every call has to be requested."""

    def register_completion_queue(self, queue: CompletionQueue) -> None:
        """Let new calls be announced by this queue; before `start`."""

    def add_http2_port(self, address: bytes, credentials: object = None) -> int:
        """Listen, and return the port, 0 if that failed."""

    def start(self) -> None:
        """Accept connections."""

    def request_call(self, call_queue: CompletionQueue, server_queue: CompletionQueue, tag: Tag) -> int:
        """Announce the next call by an event; raises ValueError while the server shuts down."""

    def shutdown(self, queue: CompletionQueue, tag: Tag) -> None:
        """Close the port and send GOAWAY; calls that are announced go on, and new ones are cancelled."""

    def cancel_all_calls(self) -> None:
        """Close all connections; only while the server shuts down."""

    def destroy(self) -> None:
        """Free it, after the event of `shutdown`."""


#: What of the private API is used here, with the attributes of each class.
_USED = {
    "Call": ("cancel", "start_server_batch"),
    "CallDetails": ("method",),
    "CompletionQueue": ("poll",),
    "ReceiveCloseOnServerOperation": ("cancelled",),
    "ReceiveMessageOperation": ("message",),
    "SendInitialMetadataOperation": (),
    "SendMessageOperation": (),
    "SendStatusFromServerOperation": (),
    "Server": (
        "add_http2_port",
        "cancel_all_calls",
        "destroy",
        "register_completion_queue",
        "request_call",
        "shutdown",
        "start",
    ),
}


def create_server(options: Sequence[tuple[str, int]]) -> tuple[CoreServer, CompletionQueue]:
    """Return a server with its completion queue.

    Raises:
        StartError: this version of grpcio lacks what is used here.
    """
    if missing := missing_names():
        raise StartError(
            f"grpcio {grpc.__version__} has no cygrpc.{missing[0]}, of which the gRPC server is made; "
            "install a version that kfp-edge-serving takes."
        )
    queue: CompletionQueue = cygrpc.CompletionQueue()
    server: CoreServer = cygrpc.Server(tuple(options), False)
    server.register_completion_queue(queue)
    return server, queue


def missing_names() -> list[str]:
    """Return what this version of grpcio lacks of the private API that is used here."""
    names = [name for owner, members in _USED.items() for name in (owner, *(f"{owner}.{member}" for member in members))]
    return [name for name in names if not _has(name)]


def _has(name: str) -> bool:
    owner, _, member = name.partition(".")
    kind = vars(cygrpc).get(owner)
    return kind is not None and (not member or hasattr(kind, member))


def receive_message() -> Operation:
    """Receive the next message of a call."""
    operation: Operation = cygrpc.ReceiveMessageOperation(0)
    return operation


def receive_close() -> Operation:
    """Wait until the call is over, or cancelled."""
    operation: Operation = cygrpc.ReceiveCloseOnServerOperation(0)
    return operation


def send_initial_metadata() -> Operation:
    """Send the headers, which have to come first."""
    operation: Operation = cygrpc.SendInitialMetadataOperation((), 0)
    return operation


def send_message(message: bytes) -> Operation:
    """Send one message."""
    operation: Operation = cygrpc.SendMessageOperation(message, 0)
    return operation


def send_status(code: int, details: bytes) -> Operation:
    """End the call with a status code and its text."""
    operation: Operation = cygrpc.SendStatusFromServerOperation((), code, details, 0)
    return operation


def server_certificates(key: bytes, certificate: bytes, client_ca: bytes | None) -> ServerCertificates:
    """Return what TLS shows to clients, and the CA of theirs."""
    return grpc.ssl_server_certificate_configuration([(key, certificate)], client_ca)


def tls_credentials(
    certificates: ServerCertificates, renewed: Callable[[], ServerCertificates | None], needs_certificate: bool
) -> object:
    """Return what `CoreServer.add_http2_port` takes for TLS.

    Args:
        certificates: Those to begin with.
        renewed: Returns others for a new connection, None if they are the same.
        needs_certificate: Whether a client without a certificate is refused.
    """
    credentials = grpc.dynamic_ssl_server_credentials(certificates, renewed, needs_certificate)
    return credentials._credentials
