"""The parameters of `fetch_model`: checked before a run starts, and by the stage itself."""

import re
from pathlib import Path

from kfp_edge.errors import ParameterError

#: The folder of the models that `example:` names.
EXAMPLES = Path(__file__).with_name("example")

_EXAMPLE_SCHEME = "example:"
_SHA256 = re.compile("[0-9a-f]{64}")


def check_parameters(model: str, sha256: str) -> None:
    """Refuse a hash that is none, and an example that does not exist.

    Raises:
        ParameterError: with what to write instead.
    """
    parse_sha256(sha256)
    find_example(model, EXAMPLES)


def parse_sha256(text: str) -> str:
    """Return a SHA-256 in lower case, empty if none is given.

    Raises:
        ParameterError: the text is no SHA-256.
    """
    expected = text.strip().lower()
    if expected and not _SHA256.fullmatch(expected):
        raise ParameterError(
            f"model_sha256 is {expected!r}; it must be the 64 hex digits that `sha256sum FILE` prints."
        )
    return expected


def find_example(model: str, examples: Path) -> Path | None:
    """Return the file of an example model, None for any other address.

    Raises:
        ParameterError: there is no such example.
    """
    if not model.startswith(_EXAMPLE_SCHEME):
        return None
    name = model.removeprefix(_EXAMPLE_SCHEME)
    available = {file.stem: file for file in sorted(examples.glob("*.onnx"))}
    if name not in available:
        raise ParameterError(f"there is no example model {name!r}; the examples are: {', '.join(available) or 'none'}.")
    return available[name]
