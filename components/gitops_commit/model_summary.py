"""What a reviewer should know about a model before they merge its commit."""

from kfp_edge.metrics.catalog import format_metric
from kfp_edge.ml.bundle import Manifest


def summarize_model(manifest: Manifest) -> str:
    """Return the metrics of a model with their intervals and the class that they describe, as a Markdown list.

    For a model that was trained elsewhere, what was changed, assumed or not checked follows as another list. Metrics
    of single classes, such as `recall(Fail)`, are left out; the model card in the image has them.
    """
    positive = "" if manifest.positive is None else f"; the positive class is {_to_one_line(manifest.positive)}"
    metrics = [_format(manifest, name) for name in sorted(manifest.metrics) if "(" not in name]
    lines = [f"Measured on held-out rows{positive}:", "", *metrics]
    if manifest.notes:
        lines += ["", "Trained elsewhere:", "", *(f"- {_to_one_line(note)}" for note in manifest.notes)]
    return "\n".join(lines)


def _format(manifest: Manifest, name: str) -> str:
    interval = manifest.intervals.get(name)
    text = f"- {name}: {format_metric(name, manifest.metrics[name])}"
    return text if interval is None else f"{text} (95 % interval {interval[0]:.4g} to {interval[1]:.4g})"


def _to_one_line(label: str) -> str:
    return " ".join(label.split())
