"""The contracts of `fleet.yaml` and `site.yaml`."""

import re
from collections import Counter
from datetime import timedelta
from enum import StrEnum
from functools import cache
from typing import Literal, Self
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from kfp_edge.cron import Cron
from kfp_edge.errors import ParameterError
from kfp_edge.fleet.units import CountOrShare, Duration, Label, Share, parse_duration
from kfp_edge.forges.repository import ForgeKind

API_VERSION = "kfp-edge.io/v1alpha1"
#: The ring of a new repository.
FIRST_RING = "canary"
#: The namespace of models at a new site.
NAMESPACE = "edge-models"

_LABEL_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_REGISTRY = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*")
# a DNS subdomain
_SECRET = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_CRON_FIELD = re.compile(r"[0-9A-Za-z*/,-]+")


@cache
def _time_zones() -> frozenset[str]:
    """Return the names of all time zones, for which Python opens each file of the database."""
    return frozenset(available_timezones())


@cache
def _is_schedule(text: str) -> bool:
    """Whether five fields are a cron schedule; thousands of sites share a few."""
    try:
        Cron.parse(f"0 {text}")
    except ParameterError:
        return False
    return True


class Contract(BaseModel):
    """A mapping of YAML: keys in camel case, no others than these."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class ReviewSettings(Contract):
    """How the pull requests of releases are opened; what a ring does not state, the fleet does."""

    labels: tuple[str, ...] | None = None
    reviewers: tuple[str, ...] | None = None
    draft: bool | None = None
    auto_merge: bool | None = None


class PullRequests(ReviewSettings):
    """The forge, and how the pull requests of all rings are opened."""

    #: What hosts the repository.
    forge: ForgeKind
    #: The URL of the forge's API; empty for the usual one of the repository's host.
    api_url: str = ""


class Metrics(Contract):
    """Where the metrics of the sites are: a Prometheus HTTP API."""

    prometheus: str
    #: The label of a time series that names its site.
    site_label: str = "site"

    @field_validator("prometheus")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^/@\s?#]+(/[^@\s?#]*)?", value):
            raise ValueError("must be a URL such as https://prometheus.example, without credentials or a query")
        return value


class AbortCriteria(Contract):
    """What stops a rollout in a ring, and opens its rollback."""

    #: The share of requests that fail at the server, over the soak time.
    max_error_rate: Share = 0.01
    #: The 99th percentile of a request's latency in milliseconds; without a value, it is not judged.
    max_latency_ms: float | None = Field(default=None, gt=0)
    #: The share of the sites with the new digest that are ill.
    max_ill_sites: Share = 0.0
    #: With fewer requests, neither errors nor latency are judged: one of ten says nothing.
    min_requests: int = Field(default=100, ge=1)
    #: How long a site may take to run the digest, times offline and closed windows not counted; longer, and it is ill.
    #: With null it is waited for, as where people bring images to the sites.
    max_update_time: Duration | None = parse_duration("24h")


class DisruptionBudget(Contract):
    """How many sites may change at once."""

    #: The labels of a site that make a group, such as `region`; without any, the ring is one group.
    group_by: tuple[str, ...] = ()
    #: A number of sites of each group, or a share of all sites of the fleet that are in the group.
    max_changing: CountOrShare


class Ring(Contract):
    """A group of sites that get a release at the same time, and what it has to show there."""

    name: Label
    #: How long the sites run a digest healthily before the next ring may have it.
    soak_time: Duration = parse_duration("24h")
    #: The share of sites that may be offline, and are then skipped.
    max_offline: Share = 0.0
    #: How long ago a site was seen at most; longer, and it is offline.
    offline_after: Duration = parse_duration("1h")
    abort: AbortCriteria = AbortCriteria()
    disruption_budget: DisruptionBudget | None = None
    pull_requests: ReviewSettings | None = None


class Serving(StrEnum):
    """How models that are new to the repository are served."""

    #: A Deployment of the model image.
    DEPLOYMENT = "deployment"
    #: An InferenceService of KServe, with the ServingRuntime of kfp-edge.
    KSERVE = "kserve"


class Fleet(Contract):
    """`fleet.yaml`."""

    api_version: Literal["kfp-edge.io/v1alpha1"]
    kind: Literal["Fleet"]
    name: Label
    #: The repository as Argo CD and the sites reach it, and the branch that they follow.
    repository: str = Field(min_length=1)
    branch: str = "main"
    serving: Serving = Serving.DEPLOYMENT
    #: In the order in which a release reaches them.
    rings: tuple[Ring, ...] = Field(min_length=1)
    pull_requests: PullRequests | None = None
    metrics: Metrics | None = None

    @field_validator("repository")
    @classmethod
    def _check_repository(cls, value: str) -> str:
        if re.match(r"https?://[^/]*@", value):
            raise ValueError("must not contain credentials; Argo CD and sites have their own logins")
        return value

    @model_validator(mode="after")
    def _check_rings(self) -> Self:
        name, count = Counter(ring.name for ring in self.rings).most_common(1)[0]
        if count > 1:
            raise ValueError(f"has {count} rings called {name}; every ring needs a name of its own")
        return self

    @property
    def ring_names(self) -> tuple[str, ...]:
        """The names of the rings in their order."""
        return tuple(ring.name for ring in self.rings)

    def review_settings(self, ring: str) -> ReviewSettings:
        """Return how the pull requests of a ring are opened: what it states, and the fleet's settings for the rest."""
        of_ring = next((each.pull_requests for each in self.rings if each.name == ring), None)
        both = (settings for settings in (self.pull_requests, of_ring) if settings is not None)
        stated = [settings.model_dump(include=set(ReviewSettings.model_fields), exclude_none=True) for settings in both]
        return ReviewSettings.model_construct(None, **{key: value for each in stated for key, value in each.items()})


class Delivery(StrEnum):
    """How a site gets what is in the repository."""

    #: An Argo CD on a hub writes to the site's cluster.
    HUB = "hub"
    #: The site has an Argo CD of its own.
    SITE = "site"
    #: The site has no Kubernetes: a systemd timer pulls, and Podman runs the containers.
    PODMAN = "podman"


class Window(Contract):
    """When a site may change: from each time of a cron schedule on, for a duration. Outside, nothing is synced."""

    #: Five fields: minute, hour, day, month, weekday.
    schedule: str
    duration: Duration
    time_zone: str = "UTC"

    @field_validator("schedule")
    @classmethod
    def _check_schedule(cls, value: str) -> str:
        fields = value.split()
        if len(fields) != 5 or not all(_CRON_FIELD.fullmatch(field) for field in fields):
            raise ValueError("must be a cron schedule of five fields, such as 0 22 * * * for ten in the evening")
        if not _is_schedule(value):
            # an AppProject with such a schedule would stop all sites
            raise ValueError(
                "must be a cron schedule that Argo CD reads and that some day matches: minute 0-59, hour 0-23, day "
                "1-31, month 1-12, weekday 0-6 from Sunday on"
            )
        return value

    @field_validator("duration")
    @classmethod
    def _check_duration(cls, value: timedelta) -> timedelta:
        if not value:
            raise ValueError("must be above 0")
        return value

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, value: str) -> str:
        if value not in _time_zones():
            raise ValueError("must be a name of the IANA time zone database, such as Europe/Berlin")
        return value


class Site(Contract):
    """`sites/SITE/site.yaml`."""

    api_version: Literal["kfp-edge.io/v1alpha1"]
    kind: Literal["Site"]
    #: The name of its folder.
    name: Label
    ring: Label
    delivery: Delivery
    namespace: Label
    #: The name of its cluster in the hub's Argo CD; only with `delivery: hub`.
    cluster: str = ""
    models: tuple[Label, ...] = ()
    labels: dict[str, str] = {}
    windows: tuple[Window, ...] = ()
    #: The registry at the site that mirrors the one of the releases, such as registry.hall-7.example:5000.
    registry: str = ""
    #: The Secret with the login of the registry, in the namespace of the models.
    pull_secret: str = ""

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, value: dict[str, str]) -> dict[str, str]:
        for key, text in value.items():
            if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(text):
                raise ValueError(f"has {key}: {text!r}, which Kubernetes does not take as a label")
        return value

    @field_validator("registry")
    @classmethod
    def _check_registry(cls, value: str) -> str:
        if value and not _REGISTRY.fullmatch(value):
            raise ValueError("must be HOST, HOST:PORT or one of these with a path, without https://")
        return value

    @field_validator("pull_secret")
    @classmethod
    def _check_pull_secret(cls, value: str) -> str:
        if value and not _SECRET.fullmatch(value):
            raise ValueError("must be the name of a Secret: lower-case letters, digits, - and .")
        return value

    @model_validator(mode="after")
    def _check_cluster(self) -> Self:
        if self.delivery == Delivery.HUB and not self.cluster:
            raise ValueError(f"has no cluster, which delivery: hub needs; add `cluster: {self.name}`")
        for model, count in Counter(self.models).items():
            if count > 1:
                raise ValueError(f"names the model {model} {count} times; once is enough")
        return self
