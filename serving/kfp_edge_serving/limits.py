"""Every limit of the server with its default: how much clients may send, how many may connect, how long it may take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds. The command line sets those that have an option of the same name."""

    #: Largest body of a REST request and largest gRPC message.
    max_body: int = 4 << 20
    #: Largest request target and header lines of a REST request together.
    max_head: int = 16 << 10
    #: Largest batch.
    max_rows: int = 10_000
    #: Groups whose last rows are kept for the windows of one model; of more, the one used least recently is forgotten.
    max_groups: int = 1000
    #: Memory for those rows, which may lower the number of groups.
    max_history: int = 64 << 20
    #: Longest time that a request waits for its turn before it is refused.
    max_wait: float = 0.25
    #: REST requests that may wait for a thread.
    max_queued: int = 64
    #: Open REST connections.
    max_connections: int = 1024
    #: Connections beyond `max_connections` whose health probes are still answered.
    max_probe_connections: int = 32
    #: Time for a whole request from its first byte, and for a client that reads nothing of its response.
    read_timeout: float = 30.0
    #: Time that a REST connection may stay open between requests.
    idle_timeout: float = 75.0
    #: Time that a refused client has to read why, and that a connection beyond `max_connections` has in all.
    linger_timeout: float = 2.0
    #: Time for which a server that is to stop still answers new connections, as long as others do not know it yet.
    shutdown_delay: float = 5.0
    #: Time after that for requests in flight.
    drain_timeout: float = 20.0
    #: gRPC calls without an answer, waiting ones included.
    grpc_max_calls: int = 1024
    #: Open gRPC connections.
    grpc_max_connections: int = 256
    #: Time that a gRPC connection may stay open without a call.
    grpc_idle_timeout: float = 300.0

    @property
    def max_buffered(self) -> int:
        """Largest sum of the bytes that clients make the server keep.

        It holds for all REST bodies that are being received or wait for their response, for gRPC messages that wait for
        a thread, and for gRPC answers that clients have not taken.
        """
        return 16 * self.max_body
