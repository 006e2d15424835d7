"""Whether a condition is one that a backend can evaluate: an expression in CEL with a truth value.

Source: the grammar in github.com/google/cel-spec, and `Condition` in backend/src/v2/expression (KFP 2.16.1), which
gives an expression the inputs and outputs of the task.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>[rRbB]{0,2}(?:'{3}(?s:.*?)'{3}|"{3}(?s:.*?)"{3}|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign>&&|\|\||[=!<>]=|[<>+\-*/%!?:.,()\[\]{}])
    )""",
    re.VERBOSE | re.ASCII,
)
_CLOSING = {")": "(", "]": "[", "}": "{"}
_PREFIXES = ("!", "-")
_BINARY = ("&&", "||", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%")
#: What an expression may start with: the inputs and outputs of the task, constants and functions of CEL and of KFP.
_NAMES = frozenset(
    [
        "inputs",
        "outputs",
        "true",
        "false",
        "null",
        "int",
        "uint",
        "double",
        "bool",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "size",
        "has",
        "dyn",
        "matches",
        "duration",
        "timestamp",
        "parseJson",
        "contains",
        "startsWith",
        "endsWith",
    ]
)
#: Macros of CEL that declare a name of their own.
_MACROS = ("all", "exists", "exists_one", "filter", "map")


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int


def find_syntax_fault(condition: str) -> str:
    """Return what a backend cannot evaluate in a condition, from where on; empty if it can be evaluated."""
    tokens = list(_tokens(condition))
    fault = _find_misplaced(tokens)
    if fault is None:
        fault = _find_unknown_name(tokens)
    if fault is not None:
        return condition[fault.start :].strip() or "the end"
    values = [token.kind for token in tokens if token.text.strip(" ()")]
    return condition if values in (["number"], ["text"]) else ""


def _tokens(condition: str) -> Iterator[_Token]:
    """Yield the tokens; the last one is the end, or what is no token."""
    position = 0
    while match := _TOKEN.match(condition, position):
        kind = match.lastgroup or ""
        yield _Token(kind, match[kind], match.start(kind))
        position = match.end()
    rest = condition[position:]
    yield _Token("fault" if rest.strip() else "end", rest, position)


def _find_misplaced(tokens: list[_Token]) -> _Token | None:
    """Return the first token that cannot stand where it does."""
    open_brackets: list[str] = []
    has_value = False
    for before, token in zip([_Token("sign", "", 0), *tokens], tokens, strict=False):
        match token.kind, token.text:
            case "end", _:
                return None if has_value and not open_brackets else token
            case "sign", "(" | "[" | "{" if not has_value or before.kind == "name" or before.text in _CLOSING:
                open_brackets.append(token.text)
                has_value = False
            case "sign", ")" | "]" | "}" if open_brackets[-1:] == [_CLOSING[token.text]]:
                if not has_value and before.text not in ("(", "[", "{"):
                    return token
                open_brackets.pop()
                has_value = True
            case "sign", text if not has_value and text in _PREFIXES:
                pass
            case "sign", "." | "?" | ":" if has_value:
                has_value = False
            case "sign", "," if has_value and open_brackets:
                has_value = False
            case ("sign", text) | ("name", "in" as text) if has_value and (text in _BINARY or text == "in"):
                has_value = False
            case "name" | "number" | "text", text if not has_value and text != "in":
                has_value = True
            case _:
                return token
    return None


def _find_unknown_name(tokens: list[_Token]) -> _Token | None:
    """Return the first name that stands for nothing; with a macro, any name may be its own."""
    if any(token.text in _MACROS for token in tokens):
        return None
    for before, token in zip([_Token("sign", "", 0), *tokens], tokens, strict=False):
        if token.kind == "name" and before.text != "." and token.text not in (*_NAMES, "in"):
            return token
    return None
