"""Moves a simulated fleet on in time: sites look for changes and are scraped, and decisions are made on a schedule."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from kfp_edge.errors import CommandError
from kfp_edge.fleet.promotion.judgement import Judgement, Verdict
from kfp_edge.fleet.promotion.promote import Rollout, promote
from kfp_edge.fleet.promotion.proposals import ProposedDecision
from kfp_edge.fleet.promotion.rollback import propose_rollback
from kfp_edge.fleet.simulation.clock import Clock
from kfp_edge.fleet.simulation.images import Registry
from kfp_edge.fleet.simulation.machines import Machine
from kfp_edge.fleet.simulation.metrics.store import MetricStore
from kfp_edge.fleet.simulation.models import MODEL
from kfp_edge.fleet.simulation.repository import FleetRepository
from kfp_edge.fleet.simulation.timeline import Event, Kind, Timeline
from kfp_edge.fleet.status.presentation import summarize
from kfp_edge.fleet.status.status import State, read_files, read_status
from kfp_edge.fleet.status.windows import evaluate_windows
from kfp_edge.wording import count_of

#: How often `fleet promote` runs.
DECIDE_EVERY = timedelta(hours=2)
#: How long a reviewer takes to merge a pull request.
_REVIEW = timedelta(minutes=20)
#: Ticks between two looks of a site for changes; sites take turns, as the timer's random delay makes them.
_TICKS_BETWEEN_LOOKS = 3
#: Sites that look at the same moment on this machine.
_AT_A_TIME = 4


@dataclass
class Simulation:
    """A fleet on one machine: its repository, registry, metrics and sites."""

    repository: FleetRepository
    registry: Registry
    metrics: MetricStore
    machines: Sequence[Machine]
    timeline: Timeline
    clock: Clock
    _seen: dict[str, tuple[str, bool]] = field(default_factory=dict)
    _planned: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)
    _ticks: int = 0

    def of_ring(self, ring: str) -> list[Machine]:
        """Return the machines of a ring."""
        return [machine for machine in self.machines if machine.site.ring == ring]

    def note(self, kind: Kind, ring: str, text: str, details: Sequence[str] = (), label: str = "") -> None:
        """Add an event at this time."""
        self.timeline.add(Event(self.clock.now, kind, ring, text, tuple(details), label))

    def plan(self, after: timedelta, action: Callable[[], None]) -> None:
        """Do something at a later time."""
        self._planned.append((self.clock.now + after, action))

    def install(self) -> None:
        """Let every site get what the repository says at first, whatever its window: a person is there."""
        self._update(self.machines)

    def run_for(self, duration: timedelta) -> None:
        """Move on for a time."""
        end = self.clock.now + duration
        while self.clock.now < end:
            self._tick()

    def release(self, version: str, ring: str) -> None:
        """Release a version to the first ring, whose reviewer merges it."""
        digest = self.registry.digests[version]
        change = self.repository.propose_release(ring, MODEL, version, self.registry.image_name, digest)
        self.repository.merge(change.branch, self.clock.now)
        sites = count_of(len(self.of_ring(ring)), "site")
        self.note(Kind.RELEASE, ring, f"{MODEL} {version} is merged for {sites} ({change.branch})", label=version)

    def roll_out(self, until: timedelta) -> Verdict:
        """Let `fleet promote` decide on its schedule until every ring has the release or the rollout was stopped.

        Returns:
            What became of it; `WAIT` if it had no end within the time.
        """
        end = self.clock.now + until
        while self.clock.now < end:
            self.run_for(DECIDE_EVERY)
            rollout = promote(self.repository.remote, MODEL, self.clock.now, registry=self.registry.url)
            self._report(rollout)
            for proposed in rollout.proposed:
                self._merge_later(proposed)
            if rollout.verdict is Verdict.ABORT or (rollout.verdict is Verdict.GO_ON and not rollout.proposed):
                return rollout.verdict
        return Verdict.WAIT

    def roll_back(self, ring: str, reason: str) -> None:
        """Propose that a ring goes back, as `fleet rollback` does for a person; the reviewer merges it."""
        remote = self.repository.remote
        with remote.open() as clone:
            files = read_files(clone, remote.branch)
            proposed = propose_rollback(
                remote, clone, files, ring, MODEL, self.clock.now, registry=self.registry.url, reason=reason
            )
        self._note_rollback(proposed)
        self._merge_later(proposed)

    def summarize(self) -> str:
        """Return what `fleet status` says in one line."""
        remote = self.repository.remote
        with remote.open() as clone:
            files = read_files(clone, remote.branch)
        return summarize(read_status(files, self.clock.now))

    def count_versions(self, ring: str) -> str:
        """Return what the sites of a ring run, such as `4 run 1.1.0, 1 runs 1.0.0`."""
        running = Counter(self.registry.name_of(machine.digest) for machine in self.of_ring(ring))
        parts = [f"{count} {'runs' if count == 1 else 'run'} {version}" for version, count in sorted(running.items())]
        return ", ".join(reversed(parts))

    def _tick(self) -> None:
        self.clock.tick()
        self._ticks += 1
        now = self.clock.now
        due = [each for each in self._planned if each[0] <= now]
        self._planned = [each for each in self._planned if each[0] > now]
        for _, action in due:
            action()
        in_turn = (
            each for number, each in enumerate(self.machines) if (self._ticks + number) % _TICKS_BETWEEN_LOOKS == 0
        )
        head = self.repository.head()
        changed = self._update([machine for machine in in_turn if self._may_change(machine, head)])
        for machine in self.machines:
            samples = machine.scrape() if machine.link.is_up else {}
            self.metrics.add(machine.site.name, self.clock.seconds, samples)
        for ring in dict.fromkeys(machine.site.ring for machine in changed):
            self._note_progress(ring)

    def _may_change(self, machine: Machine, head: str) -> bool:
        """Whether a site may look now; looks that would find what the last one found are left out."""
        is_news = self._seen.get(machine.site.name) != (head, machine.link.is_up)
        return is_news and evaluate_windows(machine.site.windows, self.clock.now).is_open

    def _update(self, machines: Sequence[Machine]) -> list[Machine]:
        """Let sites look for a change, some at a time; return those that run another image now."""
        if not machines:
            return []
        head = self.repository.head()
        for machine in machines:
            self._seen[machine.site.name] = (head, machine.link.is_up)
        pool = ThreadPoolExecutor(max_workers=_AT_A_TIME)
        try:
            has_changed = list(pool.map(lambda machine: machine.update(self.clock.now), machines))
        finally:
            pool.shutdown(cancel_futures=True)
        for machine in machines:
            if not machine.digest:
                raise CommandError(f"{machine.site.name} does not run: {machine.error or 'it pulled nothing'}", "")
        self._note_refusals(machines)
        return [machine for machine, each in zip(machines, has_changed, strict=True) if each]

    def _note_refusals(self, machines: Sequence[Machine]) -> None:
        for ring, group in groupby(machines, lambda machine: machine.site.ring):
            refusing = [machine for machine in group if machine.error]
            if refusing:
                names = ", ".join(machine.site.name for machine in refusing)
                self.note(Kind.SITES, ring, f"{names}: {refusing[0].error}")

    def _note_progress(self, ring: str) -> None:
        """Add one line for each change of what a ring runs, at the last of the sites that change with one merge."""
        machines = self.of_ring(ring)
        pending = [m for m in machines if self._seen.get(m.site.name, ("", False))[0] != self.repository.head()]
        may_change = [m for m in pending if m.link.is_up and evaluate_windows(m.site.windows, self.clock.now).is_open]
        if may_change:
            return
        reasons = [f"{m.site.name} is {State.WAITING if m.link.is_up else 'cut off'}" for m in pending]
        self.note(Kind.SITES, ring, self.count_versions(ring) + (f" ({', '.join(reasons)})" if reasons else ""))

    def _report(self, rollout: Rollout) -> None:
        # of rings that were passed before, only what stops the rollout
        for judgement in rollout.judgements:
            if judgement.verdict is Verdict.ABORT or judgement is rollout.judgements[-1]:
                self.note(Kind(judgement.verdict), judgement.ring, f"promote: {judgement.verdict}", _details(judgement))
        if rollout.verdict is Verdict.ABORT:
            for proposed in rollout.proposed:
                self._note_rollback(proposed)
        elif not rollout.proposed and rollout.verdict is Verdict.GO_ON:
            self.note(Kind.GO_ON, "", rollout.summary)

    def _note_rollback(self, proposed: ProposedDecision) -> None:
        decision = proposed.decision
        before = self.registry.name_of(decision.before.digest) if decision.before else ""
        text = f"rollback from {before} to {decision.version} is proposed"
        self.note(Kind.PROPOSAL, decision.ring, text, [decision.reason] if not decision.checks else [])

    def _merge_later(self, proposed: ProposedDecision) -> None:
        decision = proposed.decision

        def merge() -> None:
            self.repository.merge(proposed.change.branch, self.clock.now)
            sites = count_of(len(self.of_ring(decision.ring)), "site")
            branch, version = proposed.change.branch, decision.version
            if decision.action == "rollback":
                text = f"{sites}: the ring goes back to {version} ({branch})"
                self.note(Kind.ROLLBACK, decision.ring, text, label=f"back to {version}")
            else:
                self.note(Kind.RELEASE, decision.ring, f"{sites}: the ring gets {version} ({branch})", label=version)

        self.plan(_REVIEW, merge)


def _details(judgement: Judgement) -> list[str]:
    """Return each number with its limit: those that are not met, or all of them if the ring may go on."""
    checks = [each for each in judgement.checks if not each.passed or judgement.verdict is Verdict.GO_ON]
    return [f"{_short_name(each.name, judgement.ring)}: {each.measured}; required {each.required}" for each in checks]


def _short_name(name: str, ring: str) -> str:
    return name.replace(f" of ring {ring}", "").replace(f" in ring {ring}", "")
