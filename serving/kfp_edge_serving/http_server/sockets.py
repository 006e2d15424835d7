"""The listening sockets of REST: one for each address that the name of a host stands for."""

import ctypes
import errno
import os
import socket
import struct
from contextlib import suppress
from typing import Any

from kfp_edge_serving.errors import StartError

#: Name and port; of IPv6 also flow and scope.
_Address = tuple[Any, ...]

_BACKLOG = 2048
#: Attempts to find a port that is free at all addresses, where any free port will do.
_PORT_ATTEMPTS = 8
#: Errors of an address that this host does not have, such as ::1 without IPv6; of several addresses it is left out.
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

#: `SO_ATTACH_FILTER` of Linux, which the module `socket` does not name.
_SO_ATTACH_FILTER = 26
#: A program for the packet filter of Linux (code, jump if true, jump if false, operand), which sees TCP headers: the
#: flags, of them SYN and ACK; a packet with SYN alone begins a connection, and is dropped.
_DROP_NEW_CONNECTIONS = (
    (0x30, 0, 0, 13),
    (0x54, 0, 0, 0x12),
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFF),
)


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen at every address of a host, at the same port, which is any free one if `port` is 0.

    `::` is every address of this host, IPv4 included.

    Raises:
        StartError: the name has no address, none of them is one of this host, or the port is in use.
    """
    try:
        for attempt in range(_PORT_ATTEMPTS):
            try:
                return _listen_at_all(host, port)
            except OSError as error:
                # the port that was free at the first address is in use at another one
                if port or error.errno != errno.EADDRINUSE or attempt == _PORT_ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")
    except socket.gaierror as error:
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}.") from error
    except OSError as error:
        # for an address in use, the message of Python's error has more than the reason
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StartError(f"cannot listen on {host} port {port}: {reason}.") from error
    except UnicodeError as error:
        raise StartError(f"cannot listen on {host} port {port}: this is not the name of a host.") from error


def refuse_new_connections(listening: socket.socket) -> None:
    """Let no further connection begin, while those that have begun are still accepted.

    Closing the socket would reset the connections that the system has accepted since the last one was taken, with the
    requests that clients have sent over them: 2 of 38,000 in 30 terminations, with six clients that always connect.
    """
    instructions = b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_NEW_CONNECTIONS)
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("HP", len(_DROP_NEW_CONNECTIONS), ctypes.addressof(buffer))
    with suppress(OSError):  # another kernel, or a sandbox that knows no filters
        listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _listen_at_all(host: str, port: int) -> list[socket.socket]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in infos))
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in addresses:
            # where any port will do, the first one decides
            wanted = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(_listen_at(family, (address[0], wanted, *address[2:])))
            except OSError as error:
                if error.errno not in _NO_SUCH_ADDRESS:
                    raise
                missing = error
        if missing is not None and not sockets:
            raise missing
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    return sockets


def _listen_at(family: int, address: _Address) -> socket.socket:
    takes_both_versions = address[0] == "::" and socket.has_dualstack_ipv6()
    listening = socket.create_server(address, family=family, backlog=_BACKLOG, dualstack_ipv6=takes_both_versions)
    listening.setblocking(False)
    return listening
