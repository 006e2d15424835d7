"""Parameter values that a KFP API server and Argo Workflows pass on unchanged.

Sources: `checkValidWorkflowVariablePrefix` (workflow/validate/validate.go) of Argo Workflows 3.7 for what is replaced;
`MAX_ARG_STRLEN` (execve(2)) for the size, since the driver gets all values as one argument.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kfp_edge.client.submission.names import check_characters
from kfp_edge.errors import ParameterError

_ARGO_TEMPLATE = re.compile(
    r"\{\{\s*(?:=|(?:cronworkflow|inputs|item|lastRetry|node|outputs|pod|retries|steps|tasks|workflow)\b)[^}]*\}\}"
)
_LONGEST_ARGUMENT = 128 * 1024


def check_values(arguments: Mapping[str, Any]) -> None:
    """Check the arguments of a run on a cluster, which `CompiledPipeline.arguments` has returned.

    Raises:
        ParameterError: a text cannot be stored or would be replaced, or all together are too long.
    """
    for name, value in arguments.items():
        for text in _texts_in(value):
            check_characters(f"the parameter {name}", text)
            if template := _ARGO_TEMPLATE.search(text):
                raise ParameterError(
                    f"the parameter {name} contains {template[0]}, which Argo Workflows would replace or refuse; "
                    "write it without two braces in a row."
                )
    sizes = {name: len(json.dumps(value, ensure_ascii=False).encode()) for name, value in arguments.items()}
    if sum(sizes.values()) >= _LONGEST_ARGUMENT:
        longest = max(sizes, key=lambda name: sizes[name])
        raise ParameterError(
            f"the parameters have {sum(sizes.values())} bytes, {sizes[longest]} of them in {longest}, and a run takes "
            f"less than {_LONGEST_ARGUMENT} in all; put long values into a file that a stage reads."
        )


def _texts_in(value: object) -> Iterator[str]:
    """Yield all texts in a parameter value, the keys of mappings included."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts_in(item)
        case dict():
            yield from value
            for item in value.values():
                yield from _texts_in(item)
