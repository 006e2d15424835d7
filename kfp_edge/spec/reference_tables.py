"""Tables of parameters and metrics in the documentation, generated from the code that declares and describes them.

`make docs` writes them between two comments, of which the first names what is described:

    <!-- make docs: parameters kfp_edge.pipelines._parameters -->    all groups of pipeline parameters in a module
    <!-- make docs: parameters kfp_edge.pipelines._parameters Fleet Delivery -->    only these groups
    <!-- make docs: component kfp_edge.components.ingest -->         inputs and outputs of a component
    <!-- make docs: options kfp_edge.components.ingest.columns.schema ColumnExpectation --> fields of a pydantic model
    <!-- make docs: metrics kfp_edge.metrics.catalog -->      the metrics that a module defines
    <!-- make docs: estimators kfp_edge.estimators.registry classification -->    the estimators of a task
    <!-- make docs: backends kfp_edge.spec.backends.profiles -->      the backends that pipelines can be compiled for
    <!-- make docs: fields kfp_edge.spec.backends.profiles -->      the fields that only some of them know
    <!-- end -->
"""

import argparse
import importlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from kfp_edge.spec.compiling import compiler
from kfp_edge.spec.parameters.groups import ParameterGroup

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent
    from kfp.dsl.structures import InputSpec, OutputSpec

#: The documents that may hold such tables, as patterns below the root of the repository.
DOCUMENTS = ("docs/*.md", "components/*/README.md")

_BLOCK = re.compile(r"(<!-- make docs: (\w+) ([^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
#: How a KFP type is written in Python.
_TYPES = {"String": "str", "Integer": "int", "Float": "float", "Boolean": "bool", "Dict": "dict", "List": "list"}


def update_tables(text: str) -> str:
    """Return a document with its generated tables as the code has them now."""
    return _BLOCK.sub(lambda match: f"{match[1]}{_TABLES[match[2]](*match[3].split())}{match[4]}", text)


def documents(root: Path) -> list[Path]:
    """Return the documents of the repository that may hold generated tables, sorted."""
    return sorted(path for pattern in DOCUMENTS for path in root.glob(pattern))


def parameters_table(module: str, *names: str) -> str:
    """Return the table of the pipeline parameters of a module's groups: of those that are named, else of all."""
    pipelines = {name: set(compiler.load_pipeline(name).component_spec.inputs) for name in compiler.pipeline_names()}
    rows = [
        (f"`{field.name}`", _pipelines_of(field.name, pipelines), _code(_default(field)), description)
        for group in _select_groups(importlib.import_module(module), names)
        for field, description in zip(fields(group), group.descriptions().values(), strict=True)
        if field.name in vars(group).get("__annotations__", {})  # those of a base class are in the table of its group
    ]
    return _table(("parameter", "pipelines", "default", "description"), rows)


def component_tables(package: str) -> str:
    """Return the tables of a component's inputs and outputs; the component is `package.component.NAME`."""
    name = package.rpartition(".")[2]
    spec = _load_component(package, name).component_spec
    inputs = [
        (f"`{key}`", _type(item), _code(item.default) if item.optional else "required", item.description)
        for key, item in (spec.inputs or {}).items()
    ]
    outputs = [(f"`{key}`", _type(item), item.description) for key, item in (spec.outputs or {}).items()]
    tables = [_table(("input", "type", "default", "description"), inputs)]
    if outputs:
        tables.append(_table(("output", "type", "description"), outputs))
    return "\n".join(tables)


def options_table(module: str, name: str) -> str:
    """Return the table of a pydantic model's fields."""
    model: type[BaseModel] = getattr(importlib.import_module(module), name)
    rows = [
        (f"`{key}`", _code(info.get_default(call_default_factory=True)), info.description or "")
        for key, info in model.model_fields.items()
    ]
    return _table(("option", "default", "description"), rows)


def metrics_table(module: str) -> str:
    """Return the table of the metrics in `METRICS` of a module: name, task, which values are better, range, meaning."""
    metrics = importlib.import_module(module).METRICS.values()
    rows = [
        (
            f"`{metric.name}`" + (f", `{metric.name}(CLASS)`" if metric.has_classes else ""),
            ", ".join(metric.tasks),
            metric.direction,
            metric.range,
            metric.description,
        )
        for metric in metrics
    ]
    return _table(("metric", "task", "direction", "range", "meaning"), rows)


def estimators_table(module: str, task: str) -> str:
    """Return the table of the estimators of a task: name, what it is, class, numbers, hyperparameters to search."""
    rows = [
        (
            f"`{estimator.name}`",
            estimator.title,
            f"`{estimator.model.__name__}`",
            estimator.numbers,
            "" if estimator.max_rows is None else f"{estimator.max_rows:,}",
            "; ".join(dimension.describe() for dimension in estimator.search_space),
        )
        for estimator in importlib.import_module(module).list_estimators(task)
    ]
    return _table(
        ("`estimator`", "what it is", "class", "numbers", "most rows", "hyperparameters, with the range for tuning"),
        rows,
    )


def backends_table(module: str) -> str:
    """Return the table of `BACKENDS` of a module: name, what it is, the KFP in it, and where its facts were read."""
    rows = [
        (f"`{backend.name}`", backend.title, backend.kfp, backend.source)
        for backend in importlib.import_module(module).BACKENDS.values()
    ]
    return _table(("`--backend`", "what it is", "KFP in it", "read in"), rows)


def fields_table(module: str) -> str:
    """Return the table of the fields in `FIELD_FACTS` of a module: message, fields, effect, and who knows them."""
    rows = [
        (
            f"`{fact.message}`",
            ", ".join(f"`{field}`" for field in fact.fields),
            fact.effect or "nothing",
            ", ".join(f"`{name}`" for name in fact.known_to),
        )
        for fact in importlib.import_module(module).FIELD_FACTS
    ]
    return _table(("message", "field", "what it does", "known to"), rows)


#: The tables by the first word of the comment that asks for them.
_TABLES: Mapping[str, Callable[..., str]] = {
    "parameters": parameters_table,
    "component": component_tables,
    "options": options_table,
    "metrics": metrics_table,
    "estimators": estimators_table,
    "backends": backends_table,
    "fields": fields_table,
}


def _select_groups(module: ModuleType, names: Sequence[str]) -> list[type[ParameterGroup]]:
    return [getattr(module, name) for name in names] or _find_groups(module)


def _find_groups(module: ModuleType) -> list[type[ParameterGroup]]:
    return [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, ParameterGroup) and member.__module__ == module.__name__
    ]


def _load_component(package: str, name: str) -> "BaseComponent":
    return getattr(importlib.import_module(f"{package}.component"), name)


def _pipelines_of(parameter: str, pipelines: Mapping[str, Iterable[str]]) -> str:
    names = [name for name, inputs in pipelines.items() if parameter in inputs]
    return "all" if len(names) == len(pipelines) else ", ".join(names)


def _default(field: Field[Any]) -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _type(spec: "InputSpec | OutputSpec") -> str:
    kind = str(spec.type)
    if kind.startswith("system."):
        kind = kind.removeprefix("system.").partition("@")[0]
    else:
        kind = re.sub(r"\w+", lambda match: _TYPES[match[0]], kind)
    return f"`list[{kind}]`" if spec.is_artifact_list else f"`{kind}`"


def _code(default: object) -> str:
    """Return a default as a cell: nothing for what is empty."""
    if default is MISSING:
        return "required"
    if default in ("", None, (), [], {}):
        return ""
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [" | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in row) for row in rows]
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}", *(f"| {line} |" for line in body)]
    return "".join(f"{line.replace('  ', ' ')}\n" for line in lines)


def main() -> None:
    """Write the generated tables into the documents of the repository whose root is the current folder."""
    argparse.ArgumentParser(prog="make docs", description=main.__doc__).parse_args()
    for path in documents(Path.cwd()):
        text = path.read_text(encoding="utf-8")
        if (updated := update_tables(text)) != text:
            path.write_text(updated, encoding="utf-8")
            print(f"wrote {path.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
