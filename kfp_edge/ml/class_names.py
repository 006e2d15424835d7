"""Classes as people name them in parameters and gates."""

from kfp_edge.ml.arrays import ClassLabel

_BOOLEANS = {"true": "1", "false": "0"}


def is_name_of(text: str, label: ClassLabel) -> bool:
    """Return whether a parameter's text means a class: text as it is; 1 also as `true` or `1.0`."""
    if isinstance(label, str):
        return text == label
    try:
        return float(_BOOLEANS.get(text.lower(), text)) == label
    except ValueError:
        return False
