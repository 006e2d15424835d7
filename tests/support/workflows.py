"""Pipeline specs of a chosen size, without the SDK, and what a real server made of them."""

from typing import Any

import yaml

from kfp_edge.spec.pipeline_file import PipelineDocument


def make_source(size: int, seed: int = 0) -> str:
    """Return text that compresses as source does: lines of repeated and of new words."""
    lines = []
    length = 0
    for number in range(size):
        line = f"    value_{(number * 7919 + seed) % 1000} = <step {number * seed % 97}> & 'text'\n"
        lines.append(line)
        length += len(line)
        if length >= size:
            break
    return "".join(lines)[:size]


def make_pipeline(
    tasks: int, source: int, *, equal: bool = False, retry: bool = False, caching: bool = False
) -> PipelineDocument:
    """Return a pipeline of parallel tasks.

    Args:
        tasks: How many.
        source: The length of the program that each runs.
        equal: Whether all run the same program.
        retry: Whether they are tried again.
        caching: Whether they are cached.
    """
    components = {}
    executors = {}
    graph = {}
    for number in range(tasks):
        name = f"work-{number}"
        task: dict[str, Any] = {
            "componentRef": {"name": f"comp-{name}"},
            "inputs": {"parameters": {"text": {"componentInputParameter": "text"}}},
            "taskInfo": {"name": name},
            "cachingOptions": {"enableCache": True} if caching else {},
        }
        if retry:
            task["retryPolicy"] = {"backoffDuration": "30s", "backoffFactor": 2.0, "maxRetryCount": 2}
        graph[name] = task
        components[f"comp-{name}"] = {
            "executorLabel": f"exec-{name}",
            "inputDefinitions": {"parameters": {"text": {"parameterType": "STRING"}}},
        }
        program = make_source(source, 0 if equal else number)
        executors[f"exec-{name}"] = {
            "container": {
                "image": "bed.local/builder:1",
                "command": ["sh", "-c", "true", program],
                "args": ["{{$.inputs.parameters['text']}}"],
            }
        }
    return PipelineDocument(
        {
            "pipelineInfo": {"name": "large"},
            "schemaVersion": "2.1.0",
            "sdkVersion": "kfp-2.16.1",
            "deploymentSpec": {"executors": executors},
            "components": components,
            "root": {
                "dag": {"tasks": graph},
                "inputDefinitions": {"parameters": {"text": {"parameterType": "STRING", "defaultValue": "x"}}},
            },
        },
        "",
    )


def make_loop(iterations: int, source: int) -> PipelineDocument:
    """Return a pipeline that runs one task in a loop over constants."""
    pipeline = make_pipeline(1, source)
    root = pipeline.spec["root"]
    graph = root["dag"]["tasks"]
    pipeline.spec["components"]["comp-loop"] = {
        "dag": {"tasks": graph},
        "inputDefinitions": {"parameters": {"text": {"parameterType": "NUMBER_INTEGER"}}},
    }
    items = "[" + ", ".join(str(number) for number in range(iterations)) + "]"
    root["dag"] = {
        "tasks": {
            "loop": {
                "componentRef": {"name": "comp-loop"},
                "parameterIterator": {"itemInput": "text", "items": {"raw": items}},
                "taskInfo": {"name": "loop"},
            }
        }
    }
    return pipeline


def dump_pipeline(pipeline: PipelineDocument) -> str:
    """Return the YAML of a pipeline."""
    return yaml.safe_dump(pipeline.spec)
