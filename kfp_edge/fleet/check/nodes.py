"""Reads the nodes of a YAML file, whose positions findings need."""

import yaml


def get(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of a key of a mapping, None where there is none."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def items(node: yaml.Node | None) -> list[yaml.Node]:
    """Return the items of a sequence, none for any other node."""
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def text_of(node: yaml.Node | None) -> str | None:
    """Return the text of a scalar, None for any other node."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


def line_of(node: yaml.Node | None) -> int:
    """Return the line of a node, counted from 1; 0 where there is none."""
    return 0 if node is None else node.start_mark.line + 1
