"""How large the Workflow of a run gets, and how large it may get.

What the run starts with, the specification, is counted; what it adds, its nodes, is written as Argo would, and
compressed. Beside runs on KFP 2.16.1 with Argo 3.7.8, the specification was 4 % off at most, the nodes of finished runs
7 %, and compressed nodes up to 31 % too small.

Sources: KFP's Argo compiler (`kfp_edge.spec.workflow.texts`); workflow/packer and workflow/hydrator of Argo Workflows
3.7.8, in which 3.5.14 to 3.7.14 agree; etcd's `--max-request-bytes`.
"""

import base64
import json
import random
import zlib
from collections.abc import Iterable
from functools import cached_property

from kfp_edge.spec.workflow.executions import Execution, walk_executions
from kfp_edge.spec.workflow.nodes import make_nodes, make_root_nodes
from kfp_edge.spec.workflow.texts import WorkflowTexts, to_go_json

#: Above this size Argo compresses the nodes; if that is not enough, it ends the run.
ARGO_LIMIT = 1024 * 1024
#: Kubernetes stores no object above this size, etcd's default.
ETCD_LIMIT = 1536 * 1024

#: Bytes of what KFP's compiler adds to the texts: templates, tasks, names, placeholders. Measured.
_TEMPLATES = 7_750
_TEMPLATES_OF_VARIANT = 2_400
_ARGUMENT = 105
_CONTAINER_TASK = 775
_GRAPH_TASK = 730
_IMPORTER_TASK = 480
_GRAPH = 180
_LOOP = 1_300
_METADATA_ENTRY = 110
_RETRY = 240
#: Bytes of nodes beyond which the compressed size is extrapolated.
_SAMPLE = 6_000_000
#: How much smaller than its estimate a specification may be.
_LEAST_SHARE = 0.97


class WorkflowSize:
    """The estimated size of the Workflow of a run, in bytes of JSON.

    Args:
        texts: The texts of the pipeline, with the values of its parameters as far as they are known.
    """

    def __init__(self, texts: WorkflowTexts) -> None:
        self._texts = texts

    @cached_property
    def executions(self) -> tuple[Execution, ...]:
        """The tasks of the run."""
        return tuple(walk_executions(self._texts))

    @cached_property
    def specification(self) -> int:
        """What the run starts with."""
        return _count_specification(self._texts)

    @cached_property
    def nodes(self) -> int:
        """What its nodes add until it has ended."""
        return _count(self._make_nodes(self.executions))

    @property
    def whole(self) -> int:
        """The size at the end of the run, which a retry has to store: the server writes it uncompressed."""
        return self.specification + self.nodes

    @cached_property
    def compressed(self) -> int:
        """The size at the end of the run with compressed nodes, as Argo stores a Workflow above its limit."""
        return self.specification + _compress(self._make_nodes(self.executions))

    @property
    def least_specification(self) -> int:
        """The least that `specification` can be."""
        return round(self.specification * _LEAST_SHARE)

    @cached_property
    def least(self) -> int:
        """The least that Argo has to store, whatever a condition or a task decides."""
        if self.whole <= ARGO_LIMIT:
            return self.least_specification
        return self.least_specification + _compress(
            self._make_nodes(each for each in self.executions if each.is_certain)
        )

    @cached_property
    def largest_loop(self) -> Execution | None:
        """The loop over most items; None if there is none."""
        loops = [each for each in self.executions if each.iterations is not None]
        return max(loops, key=lambda loop: loop.iterations or 0, default=None)

    def _make_nodes(self, executions: Iterable[Execution]) -> list[tuple[str, int]]:
        nodes = [(node, 1) for node in make_root_nodes(self._texts)]
        for execution in executions:
            nodes += make_nodes(self._texts, execution)
        return nodes


def _count_specification(texts: WorkflowTexts) -> int:
    size = _TEMPLATES + _quoted(texts.runtime_config_text().text)
    arguments = {}
    variants = set()
    for name in texts.component_names:
        implementation = texts.implementation_text(name).text
        # components with equal containers share an entry
        arguments["component", implementation or name] = texts.component_text(name).text
        arguments["implementation", implementation] = implementation
        arguments["kubernetes", name] = texts.kubernetes_text(name).text
        size += 0 if implementation else _GRAPH
    size += sum(_ARGUMENT + _quoted(text) for text in arguments.values() if text)
    for parent, name, task in texts.tasks:
        reference = task.component_ref.name
        copies = 1
        if task.HasField("parameter_iterator"):
            copies, size = 2, size + _LOOP
        size += copies * _quoted(texts.task_text(parent, name).text)
        executor = texts.executor(reference).WhichOneof("spec")
        if executor == "container":
            entries = _count_metadata(texts, reference)
            size += _CONTAINER_TASK + 5 * len(name) + len(reference) + _METADATA_ENTRY * sum(entries)
            size += _RETRY if task.HasField("retry_policy") else 0
            variants.add((task.HasField("retry_policy"), entries))
        else:
            size += (_IMPORTER_TASK if executor else _GRAPH_TASK) + 5 * len(name) + 2 * len(reference)
    return size + _TEMPLATES_OF_VARIANT * max(len(variants) - 1, 0)


def _count_metadata(texts: WorkflowTexts, name: str) -> tuple[int, int]:
    """Return how many annotations and labels the pods of a component have."""
    config = texts.kubernetes_text(name).text
    metadata = json.loads(config).get("podMetadata", {}) if config else {}
    return len(metadata.get("annotations", {})), len(metadata.get("labels", {}))


def _quoted(text: str) -> int:
    return len(to_go_json(text).encode())


def _count(nodes: list[tuple[str, int]]) -> int:
    return sum(len(node.encode()) * count for node, count in nodes)


def _compress(nodes: list[tuple[str, int]]) -> int:
    """Return the size of all nodes after compression with gzip and base64.

    Argo sorts them by hashed names, so that equal ones are far from each other: hence the random order.
    """
    size = _count(nodes)
    share = min(1.0, _SAMPLE / size)
    sample = [node for node, count in nodes if count for _ in range(max(1, round(count * share)))]
    order = random.Random(0)
    order.shuffle(sample)
    content = "".join(f"{order.getrandbits(128):x}{node}" for node in sample).encode()
    return round(len(base64.b64encode(zlib.compress(content, 6))) * max(1.0, size / len(content)))
