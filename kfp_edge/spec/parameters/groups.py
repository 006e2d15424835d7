"""Pipelines whose parameters come in groups: each parameter is declared, and described, in one place.

KFP reads a pipeline's parameters from the signature of its function, and their descriptions from the docstring. Where
several pipelines have parameters in common, those signatures and docstrings repeat each other. Here a pipeline's
function takes dataclasses, and `pipeline` hands KFP a function with the fields of all of them as parameters:

    @dataclass(frozen=True, kw_only=True)
    class Training(ParameterGroup):
        seed: Annotated[int, "Seed of the random split."] = 0

    @pipeline(name="training", description="Train a model.")
    def training(training: Training) -> None: ...
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args, get_origin

from kfp import dsl

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent


@dataclass(frozen=True, kw_only=True)
class ParameterGroup:
    """The base class of a group of pipeline parameters.

    While KFP calls the pipeline's function, the fields hold pipeline channels. The description of a field is in its
    type, `Annotated[TYPE, "description"]`. A field without one is an input of a component in `described_by`, whose
    description it takes.
    """

    described_by: ClassVar[tuple["BaseComponent", ...]] = ()

    @classmethod
    def descriptions(cls) -> dict[str, str]:
        """Return the description of every field by its name.

        Raises:
            TypeError: a field has no description.
        """
        return {field.name: " ".join(cls._describe(field).split()) for field in fields(cls)}

    @classmethod
    def _describe(cls, field: Field[Any]) -> str:
        if get_origin(field.type) is Annotated:
            return str(get_args(field.type)[1])
        for component in cls.described_by:
            spec = (component.component_spec.inputs or {}).get(field.name)
            if spec is not None and spec.description:
                return str(spec.description)
        raise TypeError(f"the parameter {field.name} of {cls.__name__} has no description; annotate its type with one.")


def arguments(*groups: ParameterGroup) -> dict[str, Any]:
    """Return the parameters of groups by name, to call a component or a nested pipeline with."""
    return {field.name: getattr(group, field.name) for group in groups for field in fields(group)}


def inputs_of(component: "BaseComponent", *groups: ParameterGroup) -> dict[str, Any]:
    """Return those parameters of groups that are inputs of a component, by name."""
    return {name: value for name, value in arguments(*groups).items() if name in component.component_spec.inputs}


def pipeline(*, name: str, description: str) -> Callable[[Callable[..., Any]], "BaseComponent"]:
    """Return the decorator that makes a KFP pipeline of a function whose parameters are groups.

    Args:
        name: Name of the pipeline, as the dashboard shows it.
        description: One sentence, as the dashboard shows it.
    """

    def decorate(function: Callable[..., Any]) -> "BaseComponent":
        groups: dict[str, type[ParameterGroup]] = {
            parameter.name: parameter.annotation for parameter in inspect.signature(function).parameters.values()
        }

        def ungrouped(*channels: Any) -> Any:
            values = iter(channels)
            grouped = {key: group(**{f.name: next(values) for f in fields(group)}) for key, group in groups.items()}
            return function(**grouped)

        ungrouped.__name__ = function.__name__
        ungrouped.__module__ = function.__module__
        ungrouped.__doc__ = _compose_docstring(function, groups.values())
        ungrouped.__signature__ = _compose_signature(function, groups.values())  # type: ignore[attr-defined]
        return dsl.pipeline(ungrouped, name=name, description=description)

    return decorate


def _compose_signature(function: Callable[..., Any], groups: Iterable[type[ParameterGroup]]) -> inspect.Signature:
    parameters = [_to_parameter(field) for group in groups for field in fields(group)]
    return inspect.Signature(parameters, return_annotation=inspect.signature(function).return_annotation)


def _to_parameter(field: Field[Any]) -> inspect.Parameter:
    kind = field.type
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    default = field.default if field.default is not MISSING else inspect.Parameter.empty
    if field.default_factory is not MISSING:
        default = field.default_factory()
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _compose_docstring(function: Callable[..., Any], groups: Iterable[type[ParameterGroup]]) -> str:
    """Return the function's docstring with a section that describes every parameter (Google style)."""
    described = [f"    {name}: {text}" for group in groups for name, text in group.descriptions().items()]
    # KFP 2.16 reads the descriptions of outputs from the last section, so that of the inputs goes before it
    lead, section, outputs = (inspect.getdoc(function) or "").partition("Returns:\n")
    return "\n".join([lead.rstrip(), "", "Args:", *described, "", section + outputs])
