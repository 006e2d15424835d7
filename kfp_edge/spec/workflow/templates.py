"""Text that Argo Workflows takes for a template of its own, wherever it stands in a Workflow.

Seen with KFP 2.16.1 and Argo 3.7.8; the sources of Argo 3.5.14 to 3.7.14 agree: `resolveAllVariables` in
workflow/validate/validate.go, util/template, `GlobalVarValidWorkflowVariablePrefix` in workflow/common/common.go. Other
text in braces stays as it is, such as KFP's `{{$.inputs}}` and a lone `{{ name }}`.
"""

import re

_TAG = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
#: A variable that begins so must be known, or the server refuses to start the run.
_CHECKED = ("item.", "steps.", "inputs.", "pod.", "workflow.", "tasks.")
_KNOWN = re.compile(
    r"node\.name|tasks\.name|steps\.name|retries|lastRetry\.\w+|workflow\.(?:name|namespace|uid|serviceAccountName|"
    r"mainEntrypoint|status|(?:scheduledTime|duration|creationTimestamp|parameters|labels|annotations)(?:\..+)?)"
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
#: What an expression may refer to; Argo leaves others as they are.
_NAME_IN_EXPRESSION = re.compile(
    "all|and|any|asFloat|asInt|count|false|filter|in|inputs|item|jsonpath|lastRetry|len|map|matches|node|none|not|nil|"
    "one|or|outputs|pod|retries|sprig|steps|string|tasks|toJson|true|workflow"
)


def find_refused(text: str) -> str:
    """Return the first template in a text that keeps a run from starting; empty if there is none."""
    return next((f"{{{{{tag}}}}}" for tag in _TAG.findall(text) if _is_refused(tag)), "")


def find_replaced(text: str) -> str:
    """Return the first template in a text that Argo replaces by something else; empty if there is none."""
    return next((f"{{{{{tag}}}}}" for tag in _TAG.findall(text) if _is_replaced(tag)), "")


def _is_refused(tag: str) -> bool:
    name = tag.strip()
    return name.startswith(_CHECKED) and not _KNOWN.fullmatch(name)


def _is_replaced(tag: str) -> bool:
    if tag.startswith("="):
        names = _NAME.findall(_QUOTED.sub("", tag))
        is_known = all(_NAME_IN_EXPRESSION.fullmatch(name) for name in names)
        return is_known and any(character.isalnum() for character in tag)
    # of nested braces, Argo replaces the inner ones
    return _KNOWN.fullmatch(tag.rpartition("{{")[2].strip()) is not None
