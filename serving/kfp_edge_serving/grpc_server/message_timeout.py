"""The time that the message of a gRPC call may take to arrive."""

import threading
import time
from collections.abc import Iterator

import grpc

from kfp_edge_serving.errors import RequestError


class MessageTimeout:
    """Receives the message of each call, and cancels calls whose message does not arrive in time.

    A call takes a thread as soon as it is announced, so a client that then sends nothing would keep that thread.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[grpc.ServicerContext, float] = {}
        self._closed = threading.Event()
        threading.Thread(target=self._cancel_late_calls, name="grpc-message-timeout", daemon=True).start()

    def receive(self, messages: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        """Return the first message of a call.

        Raises:
            RequestError: there is none.
            grpc.RpcError: the call is over.
        """
        self._waiting[context] = time.monotonic()
        try:
            return next(messages)
        except StopIteration as error:
            raise RequestError("the call has no message.") from error
        finally:
            del self._waiting[context]

    def close(self) -> None:
        """Cancel no more calls."""
        self._closed.set()

    def _cancel_late_calls(self) -> None:
        while not self._closed.wait(self._seconds / 4):
            latest = time.monotonic() - self._seconds
            for context, since in list(self._waiting.items()):
                if since < latest:
                    context.cancel()
