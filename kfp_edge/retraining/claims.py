"""Claims on the retraining of a model: one run at a time, with pauses between them, and not too many a week.

The claims of a model are one JSON file, in an object store or a folder, that is only written if nobody else has written
since it was read. So of several runs that start at once exactly one gets the claim, on whichever clusters they are.
"""

import random
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from kfp_edge.errors import ParameterError, StorageError
from kfp_edge.fleet.units import parse_duration
from kfp_edge.storage.conditional_writes import StoredVersion, read_version, write_if_unchanged
from kfp_edge.storage.files import canonical_json

#: Claims that ended longer ago are forgotten; the weekly limit needs seven days.
_KEPT = timedelta(days=90)
_WEEK = timedelta(days=7)
_LONGEST = timedelta(days=366)
#: Attempts of a write, and the longest pause between two of them, in seconds.
_ATTEMPTS, _MAX_PAUSE = 30, 0.5


class Claim(BaseModel):
    """The claim of one run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    claimed_at: AwareDatetime
    #: When others may take over from a run that did not say how it ended.
    expires_at: AwareDatetime
    ended_at: AwareDatetime | None = None

    def is_active(self, now: datetime) -> bool:
        """Return whether the run may still be at work."""
        return self.ended_at is None and now < self.expires_at


class Claims(BaseModel):
    """The claims of a model, the oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class ClaimPolicy:
    """How often a model may be retrained.

    Attributes:
        cool_down: The shortest time between the beginnings of two retrainings.
        max_per_week: The number of retrainings within seven days.
        timeout: How long a claim holds others off if its run never ends it, such as after a power cut.
    """

    cool_down: timedelta
    max_per_week: int
    timeout: timedelta

    @classmethod
    def parse(cls, cool_down: str, max_per_week: float, timeout: str) -> Self:
        """Return the policy of the parameters of `claim_retraining`.

        Raises:
            ParameterError: one of them cannot be used.
        """
        if not (max_per_week >= 1 and float(max_per_week).is_integer()):
            raise ParameterError(f"max_retrainings_per_week is {max_per_week:g}; give a whole number from 1 on.")
        policy = cls(
            _parse_duration("cool_down", cool_down), int(max_per_week), _parse_duration("retraining_timeout", timeout)
        )
        if not policy.timeout:
            raise ParameterError("retraining_timeout is 0; give the longest time that a run may take, such as 24h.")
        return policy


@dataclass(frozen=True)
class Decision:
    """Whether a run has the claim, and why, in one sentence."""

    is_granted: bool
    reason: str


def check_state(state: str, *, in_pod: bool) -> None:
    """Require a place that all runs of a model see.

    Args:
        state: Where the claims are kept: a folder, or `s3://BUCKET/PREFIX`.
        in_pod: Whether the run is one of a cluster, where a relative folder is gone with the pod of its stage.

    Raises:
        ParameterError: it is none.
    """
    is_bucket = re.fullmatch(r"s3://[^/]+(/.*)?", state) is not None
    is_folder = bool(state) and re.match(r"[a-z][a-z0-9+.-]+:", state, re.IGNORECASE) is None
    if not (is_bucket or is_folder):
        raise ParameterError(f"retraining_state is {state!r}; give s3://BUCKET/PREFIX, or a folder.")
    if in_pod and is_folder and not Path(state).is_absolute():
        raise ParameterError(
            f"retraining_state is {state!r}, a folder that no other run on the cluster sees; give s3://BUCKET/PREFIX."
        )


def claim(state: str, model: str, run: str, policy: ClaimPolicy, now: datetime) -> Decision:
    """Claim the retraining of a model for a run; asked again, the same run has the claim it had.

    Args:
        state: Where the claims are kept: a folder, or `s3://BUCKET/PREFIX`.
        model: The name of the model.
        run: The id of the run.
        policy: How often the model may be retrained.
        now: The time, with a time zone.

    Raises:
        StorageError: the claims cannot be read or written, were altered, or the store ignores the condition of a write.
    """
    address = locate_claims(state, model)
    for _ in range(_ATTEMPTS):
        stored = read_version(address)
        claims = _parse(address, stored)
        decision = decide(claims, run, policy, now)
        if not decision.is_granted:
            if any(each.is_active(now) for each in claims):
                return replace(decision, reason=f"{decision.reason}, or when you delete its entry in {address}")
            return decision
        mine = next((each for each in claims if each.run == run), None)
        if mine is not None and mine.is_active(now):
            return decision
        others = [each for each in claims if each.run != run]
        begun_at = now if mine is None else mine.claimed_at
        if _write(
            address, [*others, Claim(run=run, claimed_at=begun_at, expires_at=now + policy.timeout)], stored, now
        ):
            _check_condition_counts(address)
            return decision
        time.sleep(random.uniform(0, _MAX_PAUSE))
    raise StorageError(f"others write to {address} all the time, so nothing could be claimed; run again.")


def end_claim(state: str, model: str, run: str, now: datetime) -> bool:
    """Record that a run with a claim has ended, so that others need not wait for it; return whether it had one.

    Raises:
        StorageError: the claims cannot be read or written, or were altered.
    """
    address = locate_claims(state, model)
    for _ in range(_ATTEMPTS):
        stored = read_version(address)
        claims = _parse(address, stored)
        if not any(each.run == run and each.ended_at is None for each in claims):
            return False
        ended = [
            each.model_copy(update={"ended_at": now}) if each.run == run and each.ended_at is None else each
            for each in claims
        ]
        if _write(address, ended, stored, now):
            return True
        time.sleep(random.uniform(0, _MAX_PAUSE))
    raise StorageError(f"others write to {address} all the time, so the end of the run could not be recorded.")


def decide(claims: Sequence[Claim], run: str, policy: ClaimPolicy, now: datetime) -> Decision:
    """Decide whether a run gets the claim, by the claims before it."""
    others = [each for each in claims if each.run != run]
    if active := [each for each in others if each.is_active(now)]:
        other = active[-1]
        return Decision(
            False,
            f"run {other.run} has been retraining the model since {_format(other.claimed_at)}; it counts as lost at "
            f"{_format(other.expires_at)}",
        )
    if len(others) < len(claims):
        return Decision(True, "this run has had the claim before")
    last = max((each.claimed_at for each in others), default=None)
    if last is not None and now < last + policy.cool_down:
        return Decision(
            False,
            f"the model was last retrained at {_format(last)}, and the cool-down lasts until "
            f"{_format(last + policy.cool_down)}",
        )
    of_week = sorted(each.claimed_at for each in others if each.claimed_at > now - _WEEK)
    if len(of_week) >= policy.max_per_week:
        free = of_week[-policy.max_per_week] + _WEEK
        return Decision(
            False,
            f"the model was retrained {len(of_week)} times within seven days, and {policy.max_per_week} are allowed; "
            f"the next time is {_format(free)}",
        )
    return Decision(True, "no other run retrains the model, and its limits allow it")


def read_claims(state: str, model: str) -> list[Claim]:
    """Return the claims of a model, the oldest first.

    Raises:
        StorageError: they cannot be read, or were altered.
    """
    address = locate_claims(state, model)
    return _parse(address, read_version(address))


def locate_claims(state: str, model: str) -> str:
    """Return the address of the claims of a model."""
    return f"{state.rstrip('/')}/{model}/claims.json"


def _parse_duration(parameter: str, text: str) -> timedelta:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise ParameterError(f"{parameter} is {text!r}; it {error}.") from error
    if duration > _LONGEST:
        raise ParameterError(f"{parameter} is {text!r}; it must be at most {_LONGEST.days}d.")
    return duration


def _parse(address: str, stored: StoredVersion | None) -> list[Claim]:
    if stored is None:
        return []
    try:
        return list(Claims.model_validate_json(stored.data).claims)
    except ValidationError as error:
        raise StorageError(
            f"{address} has no claims that can be read; look at what is there, and delete it if no retraining runs."
        ) from error


def _write(address: str, claims: Iterable[Claim], before: StoredVersion | None, now: datetime) -> bool:
    kept = tuple(each for each in claims if each.claimed_at > now - _KEPT)
    return write_if_unchanged(address, canonical_json(Claims(claims=kept).model_dump(mode="json")), before)


def _check_condition_counts(address: str) -> None:
    """Refuse a store that ignores conditions, where two runs could have the claim: this write has to fail."""
    stored = read_version(address)
    if stored is not None and write_if_unchanged(address, stored.data, None):
        raise StorageError(
            f"the object store of {address} ignores the condition of a write (If-None-Match), so two retrainings could "
            "run at once; use one that has conditional writes, such as Amazon S3, Ceph or MinIO."
        )


def _format(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
