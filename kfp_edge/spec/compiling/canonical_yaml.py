"""Pipelines as JSON, which is YAML that every reader takes alike.

KFP's SDK and this package read YAML 1.1 with PyYAML, a backend reads most of YAML 1.2 with Go's yaml.v3: `no`, `1e3`,
`0o17` and `12:30` are not the same to both. And KFP 2.16 reads a file that yaml.v3 cannot parse again and again
(`isV2Spec` in backend/src/apiserver/template/template.go), until the server is restarted.
"""

import re

from kfp_edge.errors import PipelineError
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.storage.files import canonical_json

#: What JSON may hold as it is, and YAML may not or reads as a line break.
_ESCAPED = re.compile("[\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff]")
#: A text, or a number with an exponent, which YAML 1.1 reads as a text unless it has a point.
_TEXT_OR_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|([0-9]+)(\.[0-9]+)?(e[-+][0-9]+)')


def canonical_text(pipeline: PipelineDocument) -> str:
    """Return the pipeline spec and, if there is one, the platform spec, each as one document.

    Raises:
        PipelineError: a value is no JSON.
    """
    try:
        documents = [canonical_json(each).decode() for each in (pipeline.spec, pipeline.platform) if each is not None]
    except (TypeError, ValueError) as error:
        raise PipelineError(f"the pipeline has a value that no backend takes: {error}.") from error
    text = _TEXT_OR_NUMBER.sub(_with_point, "---\n".join(documents))
    return _ESCAPED.sub(lambda character: f"\\u{ord(character[0]):04x}", text)


def _with_point(token: re.Match[str]) -> str:
    return f"{token[1]}{token[2] or '.0'}{token[3]}" if token[3] else token[0]
