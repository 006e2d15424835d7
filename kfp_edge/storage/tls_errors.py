"""What an error of a TLS connection means; the libraries have no types for it."""

import re

# OpenSSL 1.1 and 3.x
_NO_TLS = re.compile("WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|record layer failure")


def is_without_tls(error: Exception) -> bool:
    """Return whether a server answers with something else than TLS, such as plain HTTP."""
    return _NO_TLS.search(str(error)) is not None
