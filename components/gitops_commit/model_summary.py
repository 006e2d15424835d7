"""What a reviewer should know about a model before they merge its commit."""

from collections.abc import Sequence

from kfp_edge.metrics.catalog import format_metric
from kfp_edge.metrics.threshold_reason import describe_reason
from kfp_edge.ml.bundle import Manifest, Signature
from kfp_edge.reports.check import Check
from kfp_edge.wording import count_of


def summarize_model(manifest: Manifest, signature: Signature) -> str:
    """Return the metrics of a model with their intervals and the class that they describe, as a Markdown list.

    The threshold of a classifier that has one is a sentence after it. For a model that was trained elsewhere, what was
    changed, assumed or not checked follows as another list. Metrics of single classes, such as `recall(Fail)`, are
    left out; the model card in the image has them.
    """
    positive = "" if manifest.positive is None else f"; the positive class is {_to_one_line(manifest.positive)}"
    metrics = [_format(manifest, name) for name in sorted(manifest.metrics) if "(" not in name]
    lines = [f"Measured on held-out rows{positive}:", "", *metrics]
    lines += _describe_threshold(signature)
    if manifest.notes:
        lines += ["", "Trained elsewhere:", "", *(f"- {_to_one_line(note)}" for note in manifest.notes)]
    return "\n".join(lines)


def summarize_checks(title: str, checks: Sequence[Check]) -> str:
    """Return checks that passed as a Markdown list under a title; nothing if there are none."""
    if not checks:
        return ""
    items = (
        f"- {_to_one_line(each.name)}: measured {_to_one_line(each.measured)}, required {_to_one_line(each.required)}"
        for each in checks
    )
    return "\n".join(["", "", f"{title}, {count_of(len(checks), 'check')} passed:", "", *items])


def _describe_threshold(signature: Signature) -> list[str]:
    """Return an empty line and a sentence about the threshold of a classifier; nothing where it has none."""
    for output in signature.outputs:
        if output.threshold is None or output.positive is None:
            continue
        expected = {} if output.choice is None else output.choice.expected
        metrics = ", ".join(f"{name} {format_metric(name, value)}" for name, value in expected.items())
        sentence = (
            f"A row is {_to_one_line(output.positive)} where its probability is above {output.threshold:.6g}: "
            f"{describe_reason(output.choice)}"
        )
        return ["", f"{sentence}; expected were {metrics}." if metrics else f"{sentence}."]
    return []


def _format(manifest: Manifest, name: str) -> str:
    interval = manifest.intervals.get(name)
    text = f"- {name}: {format_metric(name, manifest.metrics[name])}"
    return text if interval is None else f"{text} (95 % interval {interval[0]:.4g} to {interval[1]:.4g})"


def _to_one_line(label: str) -> str:
    return " ".join(label.split())
