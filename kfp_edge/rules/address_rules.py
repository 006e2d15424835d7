"""The rule on cached tasks that read an address, where other content may be tomorrow."""

import json
import re
from collections.abc import Iterator

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineDeploymentConfig

from kfp_edge.rules.context import LintContext, TaskContext
from kfp_edge.spec.addresses import find_address
from kfp_edge.spec.validation.document_parts import get_deployment_spec
from kfp_edge.spec.validation.lint_findings import Finding, join_path
from kfp_edge.spec.validation.protobuf_fields import parse_message
from kfp_edge.storage.urls import redacted_url

_CHANNEL = "pipelinechannel--"
_ADDRESS_NAME = re.compile(r"(?:^|_|-)(?:ur[il]s?|paths?)$", re.IGNORECASE)
#: How KFP writes `item.url` of a loop.
_SELECTOR = re.compile(r'parseJson\(string_value\)\["(.+)"\]')
#: The inputs of the stages of kfp-edge that are addresses. A test keeps the list complete.
ADDRESSES_OF_STAGES = {
    "preflight": ("assets", "data", "windows", "failures", "model", "champion", "registry", "gitops_repo"),
    "ingest": ("data", "windows", "failures"),
    "drift": ("bundle", "prometheus"),
    "fetch_champion": ("gitops_repo", "registry"),
    "fetch_model": ("model",),
    "verify": ("champion",),
}
_STAGE = re.compile(rf"\bfrom kfp_edge\.components\.({'|'.join(ADDRESSES_OF_STAGES)})\b")
#: What is part of kfp-edge, the workspace of a run, whose name is part of KFP's cache key, and no value at all.
_FIXED = re.compile(r"(?:synthetic|example):.*|\{\{\$\.workspace_path\}\}.*|")


def check_cached_addresses(context: LintContext) -> Iterator[Finding]:
    """Find cached tasks whose inputs are addresses."""
    for task in context.tasks:
        if task.container is None or not task.spec.caching_options.enable_cache:
            continue
        stage = task.container.find_command(_STAGE)
        known = ADDRESSES_OF_STAGES[stage.text.rpartition(".")[2]] if stage else ()
        path = join_path(task.path, "cachingOptions", "enableCache")
        for name in sorted(task.component.input_definitions.parameters):
            if reason := _address_reason(context, task, name, name in known):
                yield Finding("KE015", path, f"caching is on, but the input {name!r} {reason}.")
                break


def check_importers(context: LintContext) -> Iterator[Finding]:
    """Find importers that return an artifact of an earlier run, for which the cached results behind it fit."""
    config = parse_message(get_deployment_spec(context.pipeline.spec), PipelineDeploymentConfig)
    assert config is not None, "the pipeline passed validation"
    for label, executor in sorted(config.executors.items()):
        if executor.WhichOneof("spec") == "importer" and not executor.importer.reimport:
            path = join_path(context.pipeline.spec_path, "deploymentSpec", "executors", label, "importer")
            message = "reimport is off: the tasks behind it get the artifact of an earlier run, and its cached results."
            yield Finding("KE015", path, message)


def _address_reason(context: LintContext, task: TaskContext, name: str, is_known: bool) -> str:
    """Return why an input counts as an address, empty if it does not; no value is repeated with its secrets."""
    values = list(_input_values(context, task, name))
    for value in values:
        if address := find_address(value):
            what = "is" if address == value else "holds"
            return f"{what} the address {redacted_url(address)}"
    # a parameter of the pipeline, of which only the default is known, or a path
    if any(value is None or not _FIXED.fullmatch(str(value)) for value in values):
        if is_known:
            return "is an address that the stage reads"
        if _ADDRESS_NAME.search(name.removeprefix(_CHANNEL)):
            return "is an address by its name"
    return ""


def _input_values(context: LintContext, task: TaskContext, name: str) -> Iterator[object]:
    """Yield the values that an input may have: constants, and None for what the user of the pipeline chooses."""
    if name not in task.spec.inputs.parameters:
        yield _to_value(task.component.input_definitions.parameters[name].default_value)
        return
    source = task.spec.inputs.parameters[name]
    kind = source.WhichOneof("kind")
    if kind == "runtime_value":
        yield _to_value(source.runtime_value.constant)
    elif kind == "component_input_parameter":
        for value in _parameter_values(context, task.parent, source.component_input_parameter):
            yield _select(value, source.parameter_expression_selector)


def _parameter_values(context: LintContext, component_path: str, name: str) -> Iterator[object]:
    """Yield the values of an input of a component that is a graph, from the tasks that run it."""
    callers = [task for task in context.tasks if task.component_path == component_path]
    if not callers:
        parameters = dict(context.components)[component_path].input_definitions.parameters
        yield None
        if name in parameters:
            yield _to_value(parameters[name].default_value)
    for task in callers:
        iterator = task.spec.parameter_iterator
        if name == iterator.item_input and iterator.items.raw:
            yield _parse_items(iterator.items.raw)
        elif name == iterator.item_input:
            yield from _input_values(context, task, iterator.items.input_parameter)
        elif name in task.component.input_definitions.parameters:
            yield from _input_values(context, task, name)


def _select(value: object, selector: str) -> object:
    """Return the part of a loop's items that a task takes, such as `item.url`; all of them without a selector."""
    key = _SELECTOR.fullmatch(selector)
    if not key:
        return value
    items = value if isinstance(value, list) else [value]
    return [item.get(key[1]) for item in items if isinstance(item, dict)]


def _parse_items(text: str) -> object:
    """Return the items of a loop, which are JSON, or the text if they are not."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _to_value(value: Value) -> object:
    """Return the plain value of a protobuf `Value`, "" where there is none."""
    plain = json_format.MessageToDict(value)
    return "" if plain is None else plain
