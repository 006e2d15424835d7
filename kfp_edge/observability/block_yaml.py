"""YAML in which texts of several lines are blocks of lines, as a person would write them."""

import yaml


class _Dumper(yaml.SafeDumper):
    """Writes long expressions and whole documents as blocks."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def dump_blocks(document: object) -> str:
    """Return a document as YAML, its keys in their order."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return text
