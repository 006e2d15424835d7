"""The result of looking for drift: the contract of the JSON that the component `drift` writes."""

from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kfp_edge.drift.counts import Kind
from kfp_edge.errors import DataError
from kfp_edge.storage.files import read_json


class Decision(StrEnum):
    """What should be done, the least first."""

    #: Nothing.
    NONE = "none"
    #: Look at it; there is no reason yet to retrain.
    WATCH = "watch"
    #: Repair a sensor; the model fits the other data.
    REPAIR = "repair"
    #: Retrain the model, without the rows that are quarantined.
    RETRAIN = "retrain"


class Verdict(StrEnum):
    """What is the case with one variable in one scope."""

    NO_VERDICT = "no verdict"
    STABLE = "stable"
    WATCH = "watch"
    DRIFT = "drift"
    #: It drifts as it did a season before, and did not in between.
    SEASONAL = "seasonal"
    #: A sensor of the site is broken: its rows are quarantined.
    BROKEN = "broken"


class Scope(StrEnum):
    """Whose rows are taken together."""

    SITE = "site"
    RING = "ring"
    FLEET = "fleet"


class _Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BinCount(_Contract):
    """One bin with its rows in training and in the window."""

    label: str
    training: int
    window: int


class Comparison(_Contract):
    """One variable in one scope, compared with training.

    Attributes:
        name: The site or the ring; empty for the fleet.
        psi: The population stability index; None without rows.
        p_value: Of one comparison by itself; None without a verdict.
        adjusted_p_value: After the correction for the number of comparisons (Holm).
        rows_per_independent: How many rows say as much as one independent row.
        reason: A sentence, empty if it is stable.
    """

    scope: Scope
    name: str
    version: str
    kind: Kind
    variable: str
    rows: int
    psi: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    rows_per_independent: float | None = None
    verdict: Verdict
    reason: str = ""
    bins: tuple[BinCount, ...] = ()


class Quarantine(_Contract):
    """Rows that a model should not be retrained on: those of a site in a time range."""

    site: str
    features: tuple[str, ...]
    start: datetime
    end: datetime
    reason: str


class DriftOptions(_Contract):
    """How drift is decided.

    Attributes:
        watch_psi: Population stability index from which on a significant difference is watched.
        drift_psi: From which on it is drift.
        false_alarm_rate: The probability of any drift in a whole evaluation without one.
        min_rows: With fewer rows there is no verdict.
        min_site_share: The share of sites that have to drift, where neither a ring nor the fleet does.
        season: How long before the window the same season was; None to leave it out.
    """

    watch_psi: float = Field(default=0.1, gt=0)
    drift_psi: float = Field(default=0.2, gt=0)
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=1)
    min_rows: int = Field(default=200, ge=1)
    min_site_share: float = Field(default=0.1, ge=0, le=1)
    season: timedelta | None = timedelta(days=7)


class DriftResult(_Contract):
    """Drift of one model in one window."""

    format: Literal[1] = 1
    model: str
    versions: tuple[str, ...]
    start: datetime
    end: datetime
    options: DriftOptions
    decision: Decision
    #: A sentence for each reason of the decision.
    reasons: tuple[str, ...]
    quarantined: tuple[Quarantine, ...] = ()
    comparisons: tuple[Comparison, ...] = ()

    def to_json(self) -> bytes:
        """Return the document."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    @classmethod
    def load(cls, path: Path) -> "DriftResult":
        """Read what the component `drift` wrote.

        Raises:
            DataError: it is another document.
            StorageError: it cannot be read.
        """
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            raise DataError(
                f"{path} is no result of the component drift; give the artifact `result` of a run."
            ) from error
