"""The schema of a skops file, `schema.json`: a tree of nodes, each with the type of one object.

It is read and changed before anything is loaded: classes that moved between versions of scikit-learn get their present
names, and a search is replaced by the best estimator that it found. No name is imported from it.
"""

import json
from collections.abc import Iterator
from typing import Any

#: A node: the type, how it is loaded, and the nodes inside.
Node = dict[str, Any]

#: Modules of earlier versions -> where the same classes are now.
_MOVED_MODULES = {"_loss": "sklearn._loss._loss"}
#: Classes that are gone -> those that compute the same.
_RENAMED = {("sklearn.linear_model._sgd_fast", "Log"): ("sklearn._loss._loss", "CyHalfBinomialLoss")}
#: A list of columns in a class of its own, in scikit-learn 1.5 and 1.6.
_REMAINDER = ("sklearn.compose._column_transformer", "_RemainderColsList")
_SEARCHES = {"GridSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV", "RandomizedSearchCV"}
_SEARCH_MODULES = {"sklearn.model_selection._search", "sklearn.model_selection._search_successive_halving"}


def find_sklearn_version(schema: Node) -> str:
    """Return the version of scikit-learn that saved a file, such as "1.5.2"; "" where none is stated."""
    for node in _iterate_nodes(schema):
        content = node.get("content")
        stated = content.get("_sklearn_version") if isinstance(content, dict) else None
        if isinstance(stated, dict) and isinstance(stated.get("content"), str):
            return str(json.loads(stated["content"]))
    return ""


def list_types(schema: Node) -> set[str]:
    """Return the types in a file by their full names."""
    return {f"{module}.{name}" for module, name in map(_find_type, _iterate_nodes(schema)) if name}


def rename_moved_types(schema: Node) -> None:
    """Give classes of earlier versions of scikit-learn their present names; the schema is changed."""
    for node in _iterate_nodes(schema):
        module, name = _find_type(node)
        if module in _MOVED_MODULES:
            node["__module__"] = _MOVED_MODULES[module]
        elif (module, name) in _RENAMED:
            node["__module__"], node["__class__"] = _RENAMED[module, name]
        elif (module, name) == _REMAINDER:
            _replace(node, node["content"]["content"]["data"])


def take_best_estimators(schema: Node) -> bool:
    """Replace every search that was fitted by its best estimator, which is all that predicts; the schema is changed.

    Returns:
        Whether the model itself is no search, or one with a best estimator.
    """
    for node in _iterate_nodes(schema):
        while _is_search(node) and "best_estimator_" in (attributes := _get_attributes(node)):
            _replace(node, attributes["best_estimator_"])
    return not _is_search(schema)


def _is_search(node: Node) -> bool:
    module, name = _find_type(node)
    return name in _SEARCHES and module in _SEARCH_MODULES


def _get_attributes(node: Node) -> Node:
    """Return the attributes of a saved object by name."""
    content = node.get("content")
    attributes = content.get("content") if isinstance(content, dict) else None
    return attributes if isinstance(attributes, dict) else {}


def _replace(node: Node, other: Node) -> None:
    # both are in the first node only
    replacement: Node = {**other, **{name: node[name] for name in ("protocol", "_skops_version") if name in node}}
    node.clear()
    node.update(replacement)


def _find_type(node: Node) -> tuple[str, str]:
    return str(node.get("__module__", "")), str(node.get("__class__", ""))


def _iterate_nodes(value: object) -> Iterator[Node]:
    """Yield all JSON objects inside a value, in the order in which skops reads them; they may be changed meanwhile."""
    if isinstance(value, dict):
        yield value
        for child in list(value.values()):
            yield from _iterate_nodes(child)
    elif isinstance(value, list):
        for child in value:
            yield from _iterate_nodes(child)
