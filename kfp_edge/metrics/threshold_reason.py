"""Why the threshold of a classifier is what it is, in words."""

from kfp_edge.ml.bundle import ThresholdChoice


def describe_reason(choice: ThresholdChoice | None) -> str:
    """Return what a threshold was chosen for."""
    if choice is None:
        return "the model's own"
    asked = choice.asked
    if "missed_cost" in asked:
        missed, false_alarm = asked["missed_cost"], asked["false_alarm_cost"]
        return f"the least cost where a missed positive costs {missed:g} and a false alarm {false_alarm:g}"
    if "recall" in asked:
        return f"the highest with a recall of {asked['recall']:g}"
    if "false_alarm_rate" in asked:
        return f"the lowest with a false-alarm rate of at most {asked['false_alarm_rate']:g}"
    return "as given"
