"""Addresses of data: their scheme, what of them may be shown, and the name of the file that they lead to."""

import re
from pathlib import PurePosixPath

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")


def url_scheme(uri: str) -> str:
    """Return the scheme in lower case, empty for a path."""
    match = _SCHEME.match(uri)
    return match[1].lower() if match else ""


def redacted_url(uri: str) -> str:
    """Return `uri` without user, password, query and fragment, which may hold secrets."""
    if not _SCHEME.match(uri):
        return uri
    scheme, _, rest = uri.partition("://")
    location = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = location.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def download_name(path: str) -> str:
    """Return the last part of a URL's path as a file name, `download` where it cannot be one."""
    name = PurePosixPath(path).name
    return "download" if name in ("", "..") or "\0" in name else name
