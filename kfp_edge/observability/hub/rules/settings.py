"""What a user may set about the rules; everything has a default."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BeforeValidator, Field, ValidationError, field_validator

from kfp_edge.errors import ParameterError
from kfp_edge.fleet.contracts import Contract
from kfp_edge.fleet.units import Duration, Share, parse_duration
from kfp_edge.suggestions import did_you_mean

#: Upper bounds of the server's latency histogram, in seconds (kfp_edge_serving/telemetry/metrics.py); a test compares.
LATENCY_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SHORTEST_OUTAGE = timedelta(hours=1)


def _parse_milliseconds(value: object) -> float:
    text = str(value)
    if not text.endswith("ms"):
        raise ValueError("must be in milliseconds, such as 100ms")
    try:
        return float(text.removesuffix("ms")) / 1000
    except ValueError as error:
        raise ValueError("must be in milliseconds, such as 100ms") from error


class LatencyObjective(Contract):
    """Which share of requests is answered within which time."""

    within: Annotated[float, BeforeValidator(_parse_milliseconds)] = 0.1
    share: Share = 0.99

    @field_validator("within")
    @classmethod
    def _check_bound(cls, value: float) -> float:
        if value not in LATENCY_BOUNDS:
            bounds = ", ".join(f"{1000 * bound:g}ms" for bound in LATENCY_BOUNDS)
            raise ValueError(f"must be a bound of the server's latency histogram: {bounds}")
        return value

    @field_validator("share")
    @classmethod
    def _check_share(cls, value: float) -> float:
        return check_objective(value)


def check_objective(value: float) -> float:
    """Return an objective between 90 % and 100 %.

    Raises:
        ValueError: it is none. With a larger budget, an alert at 14.4 times its rate could never fire.
    """
    if not 0.9 < value < 1:
        raise ValueError("must be above 90% and below 100%, such as 99.5%")
    return value


class DriftLimits(Contract):
    """When the distribution of a feature has changed."""

    #: The population stability index that is a change, however many rows there are.
    psi: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    #: With fewer rows in a day there is no verdict.
    min_rows: int = Field(default=200, ge=100)


class AlertSettings(Contract):
    """`alerts.yaml`."""

    #: Where docs/runbooks.md can be read; each alert links to its section.
    runbooks: str = "https://docs.plant.example/kfp-edge/runbooks.md"
    #: The share of requests that the server answers without an error of its own (HTTP 5xx).
    availability: Share = 0.995
    latency: LatencyObjective = LatencyObjective()
    #: The outage for which the queues of the sites are sized (`kfp-edge observe queue --outage`).
    outage: Duration = parse_duration("72h")
    drift: DriftLimits = DriftLimits()

    @field_validator("outage")
    @classmethod
    def _check_outage(cls, value: timedelta) -> timedelta:
        if value < _SHORTEST_OUTAGE:
            raise ValueError("must be an hour or longer: it is the window of rules")
        return value

    @field_validator("availability")
    @classmethod
    def _check_availability(cls, value: float) -> float:
        return check_objective(value)

    @field_validator("runbooks")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must be an http:// or https:// URL, as a link in a message needs it")
        return value


def read_settings(file: Path) -> AlertSettings:
    """Return the settings in a file.

    Raises:
        ParameterError: it cannot be read or is not valid.
    """
    try:
        document = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    except yaml.YAMLError as error:
        raise ParameterError(f"{file} is no YAML: {' '.join(str(error).split())}.") from error
    try:
        return AlertSettings.model_validate({} if document is None else document)
    except ValidationError as error:
        raise ParameterError(f"{file}: {_describe(error)}") from error


def _describe(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"])) or "the document"
    if first["type"] == "extra_forbidden":
        known = [field.alias or name for name, field in AlertSettings.model_fields.items()]
        return f"{key} is unknown; {did_you_mean(key, known)}there are {', '.join(known)}."
    return f"{key} {first['msg'].removeprefix('Value error, ')}."
