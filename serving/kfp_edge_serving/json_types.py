"""Types of parsed JSON, and the error for what is not JSON."""

from typing import Any

import orjson

from kfp_edge_serving.errors import RequestError

#: An object as orjson parses or writes it.
JsonObject = dict[str, Any]


def not_json_error(what: str, text: bytes, error: orjson.JSONDecodeError) -> RequestError:
    """Return the error for `text`, called `what` in the message, that orjson cannot parse."""
    # Python and others write these literals, which are not JSON
    if b"NaN" in text or b"Infinity" in text:
        message = f"{what} is not valid JSON, which has no NaN and no Infinity: {error}; null means missing."
    else:
        message = f"{what} is not valid JSON: {error}."
    return RequestError(message)
