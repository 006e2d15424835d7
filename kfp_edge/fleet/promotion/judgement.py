"""Whether a ring has shown enough of a digest: the decision, with each number and its limit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from operator import add

from kfp_edge.fleet.contracts import Ring
from kfp_edge.fleet.promotion.evidence import Requests, SiteEvidence
from kfp_edge.fleet.status.presentation import format_age
from kfp_edge.fleet.status.status import State
from kfp_edge.fleet.status.windows import open_time
from kfp_edge.fleet.units import format_share
from kfp_edge.reports.check import Check
from kfp_edge.wording import count_of

_OFFLINE = (State.OFFLINE, State.NEVER_SEEN)
#: Names of sites in a sentence.
_NAMED = 5


class Verdict(StrEnum):
    """What follows for a rollout."""

    GO_ON = "go on"
    WAIT = "wait"
    ABORT = "abort"


@dataclass(frozen=True)
class Judgement:
    """The verdict on a ring, and all checks that it is made of, met or not."""

    ring: str
    verdict: Verdict
    checks: tuple[Check, ...]
    #: Why a site counts as ill, by its name.
    ill: dict[str, str]
    #: Those of the checks that stop a rollout.
    aborting: tuple[Check, ...] = ()

    @property
    def reasons(self) -> list[str]:
        """What decides the verdict, one sentence for each check: where one stops the rollout, nothing is waited for."""
        failed = [check for check in self.aborting if not check.passed]
        failed = failed or [check for check in self.checks if not check.passed]
        return [
            f"{check.name[0].upper()}{check.name[1:]}: {check.measured}; required {check.required}." for check in failed
        ]


def judge(ring: Ring, evidence: Sequence[SiteEvidence], merged: datetime, now: datetime) -> Judgement:
    """Judge a ring by what its sites have shown of the digest that they should run.

    Args:
        ring: The ring with its policies.
        evidence: Of each site that runs the model.
        merged: From when on the sites could see the digest.
        now: The time of the decision.
    """
    online = [each for each in evidence if each.status.state not in _OFFLINE]
    ill = {each.status.site.name: reason for each in online if (reason := _find_illness(ring, each, merged, now))}
    aborting = list(_check_abort(ring, evidence, online, ill))
    waiting = list(_check_progress(ring, evidence, online, ill))
    checks = (*aborting, *waiting)
    if not all(check.passed for check in aborting):
        return Judgement(ring.name, Verdict.ABORT, checks, ill, tuple(aborting))
    verdict = Verdict.GO_ON if all(check.passed for check in waiting) else Verdict.WAIT
    return Judgement(ring.name, verdict, checks, ill, tuple(aborting))


def lacks_digest(each: SiteEvidence) -> bool:
    """Whether a site that is online does not run the digest, so that it matters since when it could."""
    return each.status.state not in _OFFLINE and not _runs_it(each)


def _find_illness(ring: Ring, each: SiteEvidence, merged: datetime, now: datetime) -> str:
    """Return why a site that is online counts as ill, or nothing."""
    criteria, requests, status = ring.abort, each.requests, each.status
    if status.state == State.NOT_READY and _runs_it(each):
        return "its server takes no requests"
    if requests.total >= criteria.min_requests and requests.error_rate > criteria.max_error_rate:
        return f"{_percent(requests.error_rate)} of {requests.total:,.0f} requests failed"
    latency = requests.latency
    has_limit = criteria.max_latency_ms is not None and requests.total >= criteria.min_requests
    if has_limit and latency is not None and latency * 1000 > (criteria.max_latency_ms or 0):
        return f"its latency is {latency * 1000:.3g} ms"
    if criteria.max_update_time is not None and not _runs_it(each):
        waited = open_time(status.site.windows, merged, now) if status.site.windows else now - merged
        waited = min(waited, each.online - each.ran)  # a site that is back needs its time
        if waited > criteria.max_update_time:
            return f"it has not taken the digest within {format_age(criteria.max_update_time)}"
    return ""


def _runs_it(each: SiteEvidence) -> bool:
    return each.status.wanted.image.digest in each.status.reports.digests


def _check_abort(
    ring: Ring, evidence: Sequence[SiteEvidence], online: Sequence[SiteEvidence], ill: dict[str, str]
) -> Iterator[Check]:
    criteria = ring.abort
    requests = reduce(add, (each.requests for each in evidence), Requests())
    is_judged = requests.total >= criteria.min_requests
    yield Check(
        f"error rate of ring {ring.name}",
        not is_judged or requests.error_rate <= criteria.max_error_rate,
        f"{_percent(requests.error_rate)} of {requests.total:,.0f} requests",
        f"at most {format_share(criteria.max_error_rate)}"
        + ("" if is_judged else f", judged from {criteria.min_requests:,} requests on"),
    )
    if criteria.max_latency_ms is not None:
        latency = requests.latency
        yield Check(
            f"99th percentile of the latency in ring {ring.name}",
            not is_judged or latency is None or latency * 1000 <= criteria.max_latency_ms,
            "no requests" if latency is None else f"{latency * 1000:.3g} ms",
            f"at most {criteria.max_latency_ms:g} ms",
        )
    with_digest = [each for each in online if _runs_it(each) or each.status.site.name in ill]
    share = len(ill) / len(with_digest) if with_digest else 0.0
    reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(ill.items())[:_NAMED])
    yield Check(
        f"ill sites of ring {ring.name}",
        share <= criteria.max_ill_sites,
        f"{len(ill)} of {len(with_digest)} with the digest" + (f" ({reasons})" if reasons else ""),
        f"at most {format_share(criteria.max_ill_sites)}",
    )


def _check_progress(
    ring: Ring, evidence: Sequence[SiteEvidence], online: Sequence[SiteEvidence], ill: dict[str, str]
) -> Iterator[Check]:
    offline = len(evidence) - len(online)
    yield Check(
        f"offline sites of ring {ring.name}",
        offline <= ring.max_offline * len(evidence),
        f"{offline} of {len(evidence)} not seen for {format_age(ring.offline_after)}",
        f"at most {format_share(ring.max_offline)}",
    )
    healthy = [each for each in online if each.status.site.name not in ill]
    behind = [each.status.site.name for each in healthy if each.status.state != State.CURRENT]
    yield Check(
        f"sites of ring {ring.name} with the digest",
        not behind and bool(healthy),
        f"{len(healthy) - len(behind)} of {len(healthy)} that are online and well" + _names(behind, "not yet"),
        "all of them, and at least one",
    )
    shortest = min((each.ran for each in healthy), default=timedelta())
    short = [each.status.site.name for each in healthy if each.ran < ring.soak_time]
    yield Check(
        f"soak time of ring {ring.name}",
        not short and bool(healthy),
        f"{format_age(shortest)} at the site that ran it the shortest"
        + _names(short, f"{count_of(len(short), 'site')} too short:"),
        f"at least {format_age(ring.soak_time)}",
    )


def _names(names: Sequence[str], before: str) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" ({before} {', '.join(names[:_NAMED])}{more})"


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
