"""Parameters that ask for what this server does not support: refused by name, over REST and over gRPC."""

from collections.abc import Mapping

from kfp_edge_serving.errors import RequestError

#: Parameters that ask for a response of another kind, or name where the data are. Without them a client would read
#: what no server has written. Any other unknown parameter is ignored, as the protocol allows.
UNSUPPORTED_PARAMETERS = frozenset(
    {"classification", "shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"}
)
#: The parameter by which MLServer's clients name an encoding, and the one whose texts are not what the client means.
_CONTENT_TYPE, _BASE64 = "content_type", "base64"


def check_parameters(parameters: Mapping[str, object], where: str) -> None:
    """Check that the parameters of a request, an input or an output ask for nothing that is not supported.

    Args:
        parameters: Values by name.
        where: The owner of the parameters, for the error.

    Raises:
        RequestError: one of them asks for more.
    """
    if unsupported := UNSUPPORTED_PARAMETERS & parameters.keys():
        # that of the region names the extension
        name = "shared_memory_region" if "shared_memory_region" in unsupported else min(unsupported)
        raise RequestError(f"{where} asks for '{name}', an extension that this server does not support.")
    if parameters.get(_CONTENT_TYPE) == _BASE64:
        raise RequestError(f"{where} has the content_type 'base64', which this server does not decode; send text.")
