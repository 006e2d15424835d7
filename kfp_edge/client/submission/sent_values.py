"""Parameter values that a KFP API server and Argo Workflows pass on unchanged, and that a run can take."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kfp_edge.client.submission.names import check_characters
from kfp_edge.errors import ParameterError
from kfp_edge.spec.addresses import find_address
from kfp_edge.spec.pipeline_file import PipelineDocument
from kfp_edge.spec.secret_names import is_secret
from kfp_edge.spec.validation.pods.parameter_resources import check_parameter_resources
from kfp_edge.spec.workflow.executions import walk_executions
from kfp_edge.spec.workflow.problems import LONGEST_ARGUMENT, find_problems, find_warnings
from kfp_edge.spec.workflow.templates import find_refused, find_replaced
from kfp_edge.spec.workflow.texts import WorkflowTexts
from kfp_edge.storage.urls import redacted_url


def check_values(arguments: Mapping[str, Any]) -> None:
    """Check the arguments of a run on a cluster, which `CompiledPipeline.arguments` has returned.

    Raises:
        ParameterError: a text cannot be stored, or would be replaced.
    """
    for name, value in arguments.items():
        for text in _texts_in(value):
            check_characters(f"the parameter {name}", text)
            if template := find_refused(text) or find_replaced(text):
                raise ParameterError(
                    f"the parameter {name} contains {template}, which Argo Workflows would replace or refuse; "
                    "write it without two braces in a row."
                )


def check_quantities(pipeline: PipelineDocument, arguments: Mapping[str, Any]) -> None:
    """Check the quantities of CPU, memory and accelerators that tasks get from parameters.

    Raises:
        ParameterError: no pod can have one, with its parameter.
    """
    for finding in check_parameter_resources(pipeline, arguments):
        raise ParameterError(f"the run is not started: {finding.message}")


def check_size(pipeline: PipelineDocument, arguments: Mapping[str, Any]) -> None:
    """Check whether a run with these arguments is small enough.

    Raises:
        ParameterError: all values together, or what a task gets, do not fit into one argument of a pod, or the run into
            a Workflow.
    """
    values = WorkflowTexts(pipeline, arguments).runtime_config_text().text
    if (size := len(values.encode())) > LONGEST_ARGUMENT:
        sizes = {name: len(json.dumps(value, ensure_ascii=False).encode()) for name, value in arguments.items()}
        longest = max(sizes, key=lambda name: sizes[name], default="the defaults")
        raise ParameterError(
            f"the parameters have {size} bytes in JSON, most of them in {longest}, and a run takes {LONGEST_ARGUMENT} "
            "in all; put long values into a file that a stage reads."
        )
    for finding in find_problems(pipeline, arguments):
        raise ParameterError(f"the run is not started: {finding.message}")


def describe_risks(pipeline: PipelineDocument, arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield what may keep a run from doing what its user expects, each in a sentence."""
    for finding in find_warnings(pipeline, arguments):
        yield finding.message
    for name, value in arguments.items():
        if key := _find_named_secret(name, value):
            yield (
                f"{key} in the parameter {name} is a secret by its name, and KFP stores and shows parameters; store it "
                "in a Secret, and pass the name of that."
            )
    texts = WorkflowTexts(pipeline, arguments)
    for execution in walk_executions(texts):
        is_container = texts.executor(execution.task.component_ref.name).HasField("container")
        if not is_container or not execution.task.caching_options.enable_cache:
            continue
        addresses = ((name, find_address(value)) for name, value in sorted(execution.inputs.items()))
        for name, address in addresses:
            if address:
                yield (
                    f"caching is on for {execution.name}, and its input {name} is the address {redacted_url(address)}: "
                    "while the address stays, a result from earlier content is reused; --no-cache prevents it."
                )


def _find_named_secret(name: str, value: object) -> str:
    """Return the first name, in a parameter or the mappings and lists in it, whose value is a secret; else ""."""
    match value:
        case str() if is_secret(name, value):
            return name
        case list():
            return next(filter(None, (_find_named_secret(name, item) for item in value)), "")
        case dict():
            return next(filter(None, (_find_named_secret(str(key), item) for key, item in value.items())), "")
    return ""


def _texts_in(value: object) -> Iterator[str]:
    """Yield all texts in a parameter value, the keys of mappings included."""
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts_in(item)
        case dict():
            yield from value
            for item in value.values():
                yield from _texts_in(item)
