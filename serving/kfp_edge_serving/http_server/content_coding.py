"""Compressed bodies of requests (RFC 9110, "Content-Encoding"), decompressed up to the limit of a body."""

import zlib

from kfp_edge_serving.errors import RequestError

#: What this server takes, as the header `Accept-Encoding` of an answer with 415 lists it.
ACCEPTED = b"gzip, deflate"

_GZIP = 16 + zlib.MAX_WBITS
#: The format of each coding, as zlib names it; "x-gzip" is what clients of old call gzip.
_FORMATS = {b"gzip": _GZIP, b"x-gzip": _GZIP, b"deflate": zlib.MAX_WBITS}
#: Bytes that are decompressed at a time, so that the many members of a hostile body are not copied again and again.
_STEP = 4096


def decompress_body(body: bytes, content_encoding: bytes, limit: int) -> bytes:
    """Return the body of a request as it was before it was compressed.

    Args:
        body: The body as it was sent.
        content_encoding: The value of the header.
        limit: The largest size of the body that is returned.

    Raises:
        RequestError: the coding is not supported, the data are not of this coding, or decompressed they are too large.
    """
    names = (coding.strip().lower() for coding in content_encoding.split(b","))
    codings = [name for name in names if name not in (b"", b"identity")]
    if not codings:
        return body
    if len(codings) > 1 or codings[0] not in _FORMATS:
        sent = b", ".join(codings).decode("latin-1")
        raise RequestError(f"this server does not take the content-encoding {sent}; send gzip or deflate alone.", 415)
    try:
        return _decompress(body, _FORMATS[codings[0]], limit)
    except (zlib.error, EOFError) as error:
        reason = str(error).partition(": ")[2] or "it ends too early"
        raise RequestError(f"the body is not {codings[0].decode()}: {reason}.") from error


def _decompress(body: bytes, window: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = position = 0
    while position < len(body) or not pieces:
        # gzip data may be several members, one behind the other (RFC 1952)
        if pieces and window != _GZIP:
            raise zlib.error(f"trailing data: {len(body) - position} bytes follow the data")
        member = zlib.decompressobj(window)
        while not member.eof:
            if position >= len(body):
                raise EOFError
            piece = member.decompress(body[position : position + _STEP], limit - size + 1)
            position += min(_STEP, len(body) - position) - len(member.unused_data) - len(member.unconsumed_tail)
            size += len(piece)
            if size > limit:
                raise RequestError(f"decompressed, the body is larger than {limit} bytes; send fewer rows.", 413)
            pieces.append(piece)
    return b"".join(pieces)
