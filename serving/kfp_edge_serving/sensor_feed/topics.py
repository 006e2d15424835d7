"""Topics of MQTT: patterns that messages match, and templates of the topics that are published to."""

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import cached_property

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
#: What no topic name may have, or what would add a level to it, as in URLs.
_ESCAPES = {ord(character): f"%{ord(character):02X}" for character in "%/+#\0"}
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
            if level not in ("+", "#", "{group}", "{column}") and re.search(r"[+#{}\0]", level):
                raise ValueError(f"has the level '{level}'; a placeholder or a wildcard is a whole level")
        if "#" in levels[:-1]:
            raise ValueError("has # before its last level")
        if len(self.text.encode()) > _MAX_BYTES:
            raise ValueError("is too long")

    @property
    def filter(self) -> str:
        """The topic filter to subscribe to."""
        return _PLACEHOLDER.sub("+", self.text)

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
        if re.search(r"[+#{}\0]", _PLACEHOLDER.sub("", self.text)):
            raise ValueError("has a wildcard or a brace, which no topic to publish to may have")

    def format(self, **values: str) -> str:
        """Return the topic; what would change its levels is escaped as in URLs."""
        return _PLACEHOLDER.sub(lambda match: values[match[1]].translate(_ESCAPES), self.text)
