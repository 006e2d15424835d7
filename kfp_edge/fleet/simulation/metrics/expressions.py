"""The syntax tree of a query, and its parser: https://prometheus.io/docs/prometheus/latest/querying/basics/."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

_TOKEN = re.compile(
    r"\s*(?:(?P<duration>\d+[smhd]\b)|(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(?P<name>[a-zA-Z_]\w*)"
    r"|(?P<text>\"[^\"\\]*\"|'[^'\\]*')|(?P<sign>!=|=~|!~|[-+*/=(){}\[\],:]))"
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGGREGATIONS = ("sum", "max", "count")
_FUNCTIONS = ("timestamp", "increase", "max_over_time", "sum_over_time", "count_over_time")


class QueryError(ValueError):
    """A query is not one that can be answered here."""


@dataclass(frozen=True)
class Matcher:
    """A condition on a label; regular expressions match whole values."""

    label: str
    operator: str
    value: str

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether a series has such a label; one that it lacks is empty."""
        value = labels.get(self.label, "")
        if self.operator in ("=", "!="):
            return (value == self.value) == (self.operator == "=")
        return (re.fullmatch(self.value, value) is not None) == (self.operator == "=~")


@dataclass(frozen=True)
class Number:
    """A scalar."""

    value: float


@dataclass(frozen=True)
class Selector:
    """The series of a name; with a `window` in seconds, their samples of that time."""

    name: str
    matchers: tuple[Matcher, ...]
    window: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Subquery:
    """An expression at each step of a time; both in seconds."""

    expression: "Expression"
    window: int
    step: int


@dataclass(frozen=True)
class Call:
    """A function of one argument."""

    function: str
    argument: "Expression"


@dataclass(frozen=True)
class Aggregation:
    """Series put together by those labels that stay."""

    operation: str
    by: tuple[str, ...]
    argument: "Expression"


@dataclass(frozen=True)
class Binary:
    """An operation on two vectors, matched by the labels `on`, or on a vector and a scalar."""

    operator: Literal["and", "*"]
    left: "Expression"
    right: "Expression"
    on: tuple[str, ...] | None = None


Expression: TypeAlias = Number | Selector | Subquery | Call | Aggregation | Binary


def parse_query(text: str) -> Expression:
    """Return the syntax tree of a query.

    Raises:
        QueryError: it is none, or one of a kind that is not known here.
    """
    parser = _Parser(_split(text))
    expression = parser.parse_and()
    parser.expect("")
    return expression


def _split(text: str) -> list[str]:
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise QueryError(f"cannot read the query at {text[position : position + 20]!r}")
        tokens.append(match[0].strip())
        position = match.end()
    return tokens


class _Parser:
    """Reads tokens from left to right; each method reads one rule of the grammar."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def next(self) -> str:
        """The token that is read next; empty at the end."""
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def take(self) -> str:
        token = self.next
        self._position += 1
        return token

    def expect(self, token: str) -> None:
        if (read := self.take()) != token:
            raise QueryError(f"the query has {read or 'its end'!r} in place of {token or 'its end'!r}")

    def accept(self, token: str) -> bool:
        is_next = self.next == token
        if is_next:
            self._position += 1
        return is_next

    def parse_and(self) -> Expression:
        return self._parse_binary("and", self.parse_product)

    def parse_product(self) -> Expression:
        return self._parse_binary("*", self.parse_postfix)

    def _parse_binary(self, operator: Literal["and", "*"], parse_operand: Callable[[], Expression]) -> Expression:
        left = parse_operand()
        while self.accept(operator):
            on = self._parse_labels() if self.accept("on") else None
            if self.accept("group_left"):
                self._parse_labels()
            left = Binary(operator, left, parse_operand(), on)
        return left

    def parse_postfix(self) -> Expression:
        expression = self._parse_primary()
        while self.next in ("[", "offset"):
            if self.accept("offset"):
                if not isinstance(expression, Selector):
                    raise QueryError("only a selector can have an offset here")
                expression = Selector(expression.name, expression.matchers, expression.window, self._parse_duration())
                continue
            self.expect("[")
            window = self._parse_duration()
            if self.accept(":"):
                expression = Subquery(expression, window, self._parse_duration())
            elif isinstance(expression, Selector):
                expression = Selector(expression.name, expression.matchers, window, expression.offset)
            else:
                raise QueryError("only a selector can have a window without a step")
            self.expect("]")
        return expression

    def _parse_primary(self) -> Expression:
        token = self.take()
        if token == "(":
            inner = self.parse_and()
            self.expect(")")
            return inner
        if token in _AGGREGATIONS:
            self.expect("by")
            labels = self._parse_labels()
            return Aggregation(token, labels, self._parse_argument())
        if token in _FUNCTIONS:
            return Call(token, self._parse_argument())
        if re.fullmatch(r"\d.*", token):
            return Number(float(token))
        if not re.fullmatch(r"[a-zA-Z_]\w*", token) or self.next == "(":
            raise QueryError(f"the simulation has no {token or 'empty query'!r}")
        return Selector(token, self._parse_matchers())

    def _parse_argument(self) -> Expression:
        self.expect("(")
        argument = self.parse_and()
        self.expect(")")
        return argument

    def _parse_labels(self) -> tuple[str, ...]:
        self.expect("(")
        labels = []
        while not self.accept(")"):
            labels.append(self.take())
            if self.next != ")":
                self.expect(",")
        return tuple(labels)

    def _parse_matchers(self) -> tuple[Matcher, ...]:
        matchers = []
        if self.accept("{"):
            while not self.accept("}"):
                matchers.append(Matcher(self.take(), self.take(), self.take()[1:-1]))
                if self.next != "}":
                    self.expect(",")
        return tuple(matchers)

    def _parse_duration(self) -> int:
        token = self.take()
        if not re.fullmatch(r"\d+[smhd]", token):
            raise QueryError(f"{token!r} is no duration")
        return int(token[:-1]) * _SECONDS[token[-1]]
