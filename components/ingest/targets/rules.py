"""The rule of each task for its target."""

from kfp_edge.components.ingest.targets.anomaly import AnomalyTarget
from kfp_edge.components.ingest.targets.classification import ClassTarget
from kfp_edge.components.ingest.targets.regression import NumberTarget
from kfp_edge.components.ingest.targets.target_rule import TargetRule
from kfp_edge.ml.bundle import TaskName

#: The rule by the name of the task; a task of `kfp_edge.tasks.registry` without one is a mistake.
TARGET_RULES: dict[TaskName, TargetRule] = {
    "classification": ClassTarget(),
    "anomaly": AnomalyTarget(),
    "regression": NumberTarget(),
}


def rule_of(task: str) -> TargetRule:
    """Return the rule of a task that exists."""
    return next(rule for name, rule in TARGET_RULES.items() if name == task)
