"""Servers of a model that count the rows which they answer, as a Prometheus scraped them in the past."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from support.prometheus import NOW, SCRAPED_EVERY

#: The bounds of the feature heat, whose training has 100 rows in each of the three ranges between them.
BOUNDS = (0.0, 1.0, 2.0, 3.0)
TRAINING = (0, 100, 100, 100, 0)
KINDS = {"L": 200, "M": 100}
CLASSES = {"0": 200, "1": 100}


@dataclass(frozen=True)
class CountingServer:
    """A server from one time to another; times are minutes before the present.

    Attributes:
        heat: Rows in each range of heat in a minute: below all bounds, between them, above all.
        restarts: When the counters begin at 0 again.
        silent: When nothing is scraped, from one time to another.
        unknown: Values of kind in a minute that are none of its categories, in requests that are refused.
        bound_format: How `le` is written: "100.0" by Prometheus 3, "100" by the Collector, with "g".
    """

    site: str
    minutes: tuple[int, int]
    heat: Sequence[int] = (0, 1, 1, 1, 0)
    missing: int = 0
    kinds: Mapping[str, int] = field(default_factory=lambda: {"L": 2, "M": 1})
    classes: Mapping[str, int] = field(default_factory=lambda: {"0": 2, "1": 1})
    ring: str = "canary"
    model: str = "press"
    version: str = "1.0.0"
    instance: str = "pod-1:8080"
    restarts: Sequence[int] = ()
    silent: tuple[int, int] | None = None
    has_reference: bool = True
    unknown: int = 0
    bound_format: str = ""

    def samples(self) -> Iterator[tuple[str, str]]:
        """Yield samples with their names; those of one series in the order of time."""
        place = {"site": self.site, "ring": self.ring, "job": "kfp-edge", "instance": self.instance}
        labels = place | {"model": self.model, "version": self.version}
        yield from self._series("kfp_edge_model_info", labels, 0, constant=1)
        bounds = [*(format(bound, self.bound_format) for bound in BOUNDS), "+Inf"]
        for bound, per_minute, training in zip(bounds, np.cumsum(self.heat), np.cumsum(TRAINING), strict=True):
            of_bucket = labels | {"feature": "heat", "le": bound}
            yield from self._series("kfp_edge_input_feature_bucket", of_bucket, per_minute)
            yield from self._reference("kfp_edge_input_feature_reference_bucket", of_bucket, training)
        yield from self._series("kfp_edge_input_missing_total", labels | {"feature": "heat"}, self.missing)
        yield from self._reference("kfp_edge_input_missing_reference", labels | {"feature": "heat"}, 0)
        for kind, per_minute in self.kinds.items():
            yield from self._series(
                "kfp_edge_input_category_total", labels | {"feature": "kind", "category": kind}, per_minute
            )
        yield from self._series("kfp_edge_input_unknown_category_total", labels | {"feature": "kind"}, self.unknown)
        for name, per_minute in self.classes.items():
            yield from self._series("kfp_edge_output_class_total", labels | {"class": name}, per_minute)
        for kind, rows in KINDS.items():
            of_kind = labels | {"feature": "kind", "category": kind}
            yield from self._reference("kfp_edge_input_category_reference", of_kind, rows)
        for name, rows in CLASSES.items():
            yield from self._reference("kfp_edge_output_class_reference", labels | {"class": name}, rows)

    def _reference(self, name: str, labels: Mapping[str, str], rows: int) -> Iterator[tuple[str, str]]:
        if self.has_reference:
            yield from self._series(name, labels, 0, constant=rows)

    def _series(
        self, name: str, labels: Mapping[str, str], per_minute: int, constant: int = 0
    ) -> Iterator[tuple[str, str]]:
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        value = constant
        for minutes in range(self.minutes[0], self.minutes[1] - 1, -1):
            if minutes in self.restarts:
                value = constant
            if self.silent is None or not self.silent[0] >= minutes > self.silent[1]:
                at = NOW - minutes * SCRAPED_EVERY
                yield name, f"{name}{{{text}}} {value} {at.timestamp():.0f}"
            value += per_minute


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)
