"""Topics of MQTT: patterns that messages match, and templates of the topics that are published to."""

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
#: What brokers may refuse in a topic, and with it the connection: control characters and what is no character at all
#: (MQTT 5.0, 1.5.4).
_NO_CHARACTERS = "\0-\x1f\x7f-\x9f\ufdd0-\ufdef" + "".join(
    chr(plane + last) for plane in range(0, 0x110000, 0x10000) for last in (0xFFFE, 0xFFFF)
)
#: What a topic may not have, or what would add a level to it: a value has it escaped as in URLs.
_ESCAPED = re.compile(f"[%/+#{_NO_CHARACTERS}]")
_UNPRINTABLE = re.compile(f"[{_NO_CHARACTERS}]")
#: Bytes of the longest topic (MQTT 5.0, 1.5.4).
_MAX_BYTES = 65_535


@dataclass(frozen=True)
class TopicPattern:
    """The topics of a source; a level may be `{group}`, `{column}` or `+`, and the last one `#`."""

    text: str

    def __post_init__(self) -> None:
        """Refuse what is no pattern.

        Raises:
            ValueError: the message completes "the topic ...".
        """
        levels = self.text.split("/")
        names = [name for level in levels for name in _PLACEHOLDER.findall(level)]
        if unknown := set(names) - {"group", "column"}:
            raise ValueError(f"has {{{min(unknown)}}}; it may have {{group}} and {{column}}")
        if len(set(names)) < len(names):
            raise ValueError("has a placeholder twice")
        for level in levels:
            if level not in ("+", "#", "{group}", "{column}") and re.search(r"[+#{}]", level):
                raise ValueError(f"has the level '{level}'; a placeholder or a wildcard is a whole level")
        _check_printable(self.text)
        if levels[0] == "$share":
            raise ValueError("is a shared subscription, of which one feed gets a part only")
        if "#" in levels[:-1]:
            raise ValueError("has # before its last level")
        if len(self.text.encode()) > _MAX_BYTES:
            raise ValueError("is too long")

    @property
    def filter(self) -> str:
        """The topic filter to subscribe to."""
        return _PLACEHOLDER.sub("+", self.text)

    def overlaps(self, other: "TopicPattern") -> bool:
        """Return whether a topic may match both."""
        return _overlap(self.filter.split("/"), other.filter.split("/"))

    def has(self, name: str) -> bool:
        """Return whether a level is this placeholder."""
        return f"{{{name}}}" in self.text

    def match(self, topic: str) -> dict[str, str] | None:
        """Return the levels of a topic that are placeholders, by their names; None if the topic is another one."""
        match = self._expression.fullmatch(topic)
        return None if match is None else match.groupdict()

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        text = self.text
        # a filter that begins with a wildcard does not match topics such as $SYS (MQTT 5.0, 4.7.2)
        start = r"(?!\$)" if text[0] in "+#{" else ""
        # `a/#` is `a` too (4.7.1.2)
        end = ""
        if text.endswith("#"):
            end = r"(?:/.*)?" if text.endswith("/#") else ".*"
            text = text.removesuffix("#").removesuffix("/")
        return re.compile(start + "/".join(map(_level_expression, text.split("/"))) + end, re.DOTALL)


def _check_printable(text: str) -> None:
    if _UNPRINTABLE.search(text):
        raise ValueError("has a control character, with which brokers close the connection")


def _overlap(first: list[str], second: list[str]) -> bool:
    if first[:1] == ["#"] or second[:1] == ["#"]:
        return True
    if not first or not second:
        # `a/#` is `a` too
        return (first or second) in ([], ["#"])
    return ("+" in (first[0], second[0]) or first[0] == second[0]) and _overlap(first[1:], second[1:])


def _level_expression(level: str) -> str:
    if level == "+":
        return "[^/]*"
    placeholder = _PLACEHOLDER.fullmatch(level)
    return f"(?P<{placeholder[1]}>[^/]*)" if placeholder else re.escape(level)


@dataclass(frozen=True)
class TopicTemplate:
    """A topic to publish to, with placeholders such as `{group}`; they may be parts of a level."""

    text: str

    def check(self, known: Set[str]) -> None:
        """Refuse a template that gives no topic.

        Raises:
            ValueError: the message completes "the topic ...".
        """
        names = _PLACEHOLDER.findall(self.text)
        if unknown := set(names) - known:
            may_have = " and ".join(f"{{{name}}}" for name in sorted(known))
            raise ValueError(f"has {{{min(unknown)}}}; it may have {may_have}")
        _check_printable(self.text)
        if re.search(r"[+#{}]", _PLACEHOLDER.sub("", self.text)):
            raise ValueError("has a wildcard or a brace, which no topic to publish to may have")

    def format(self, **values: str) -> str:
        """Return the topic; what would change its levels, or is refused by brokers, is escaped as in URLs."""
        topic = _PLACEHOLDER.sub(lambda match: _ESCAPED.sub(_escape, values[match[1]]), self.text)
        # topics that begin with $ are the broker's own
        return f"%24{topic[1:]}" if topic.startswith("$") and not self.text.startswith("$") else topic


def _escape(match: re.Match[str]) -> str:
    return quote(match[0], safe="")
