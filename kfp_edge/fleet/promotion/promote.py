"""Brings what a ring runs to the next one, once the ring before has shown that it is healthy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kfp_edge.errors import GitError, KfpEdgeError, ParameterError
from kfp_edge.fleet.contracts import Ring, Site
from kfp_edge.fleet.promotion.audit import Decision
from kfp_edge.fleet.promotion.budget import find_exceeded
from kfp_edge.fleet.promotion.evidence import read_evidence
from kfp_edge.fleet.promotion.image_facts import ImageFacts, find_image, require_image, version_of
from kfp_edge.fleet.promotion.judgement import Judgement, Verdict, judge, lacks_digest
from kfp_edge.fleet.promotion.merge_time import MergeTimes
from kfp_edge.fleet.promotion.proposals import Images, ProposedDecision, propose
from kfp_edge.fleet.promotion.pull_requests import PullRequestSettings
from kfp_edge.fleet.promotion.rollback import propose_rollback, require_release, sites_with
from kfp_edge.fleet.releases.branches import review_branch
from kfp_edge.fleet.releases.history import RingHistory, RingRelease, find_previous, read_history, was_taken_back
from kfp_edge.fleet.releases.ring_images import select_ring, set_ring_image
from kfp_edge.fleet.remote import FleetRemote
from kfp_edge.fleet.sites.sites import find_sites
from kfp_edge.fleet.status.presentation import format_digest
from kfp_edge.fleet.status.status import FleetFiles, FleetStatus, read_files, read_status, require_metrics
from kfp_edge.forges import PullRequestState
from kfp_edge.git.repository import GitRepository
from kfp_edge.gitops.tree import Commit, Edited
from kfp_edge.prometheus import Prometheus
from kfp_edge.reports.check import Check


@dataclass(frozen=True)
class Rollout:
    """What became of a rollout when it was looked at.

    Attributes:
        verdict: Whether it goes on, waits or was aborted.
        summary: The same in one sentence.
        judgements: Of each ring that was judged.
        proposed: The promotion, or the rollbacks; none while it waits, or where there is nothing to do.
    """

    verdict: Verdict
    summary: str
    judgements: tuple[Judgement, ...] = ()
    proposed: tuple[ProposedDecision, ...] = ()


def promote(target: FleetRemote, model: str, now: datetime, *, ring: str = "", registry: str = "") -> Rollout:
    """Judge the rings that run the newest release of a model, and propose it to the next one or take it back.

    Every ring that runs the release and is before the next one is judged, so that a late failure in an early ring stops
    the rollout, too.

    Args:
        target: The repository of the fleet.
        model: The name of a model.
        now: The time of the decision.
        ring: The ring that is to get the release, even if it was taken back from it; without it, the first one that
            does not have it.
        registry: Where this machine finds the images, if not where the sites do.

    Raises:
        GitError: the repository cannot be read, the change cannot be committed, or a ring that failed cannot be taken
            back.
        ImageError: the registry does not have the image.
        MetricsError: the metrics cannot be read.
        ParameterError: there is no such ring or model, or `fleet.yaml` lacks what is needed.
        ForgeError: the forge refuses.
    """
    with target.open() as repository:
        files = read_files(repository, target.branch)
        names = files.fleet.ring_names
        release = require_release(files, names[0], model)
        if ring:
            select_ring(files.fleet, ring)
            if ring == names[0]:
                raise ParameterError(
                    f"{ring} is the first ring, which gets a release from gitops_commit; name a later one."
                )
            release = require_release(files, names[names.index(ring) - 1], model)
        digest = release.image.digest
        having = [name for name in names if _digest(files, name, model) == digest]
        next_ring = ring or next((name for name in names if name not in having), "")
        judged = [name for name in having if not next_ring or names.index(name) < names.index(next_ring)]
        promotion = _Promotion(target, repository, files, model, release, registry, now)
        return promotion.run(judged, next_ring, is_named=bool(ring))


def _digest(files: FleetFiles, ring: str, model: str) -> str:
    release = files.releases.get((ring, model))
    return release.image.digest if release else ""


@dataclass(frozen=True)
class _Promotion:
    target: FleetRemote
    repository: GitRepository
    files: FleetFiles
    model: str
    release: RingRelease
    registry: str
    now: datetime

    def run(self, judged: Sequence[str], next_ring: str, *, is_named: bool) -> Rollout:
        status = read_status(self.files, self.now)
        judgements = tuple(self._judge(name, status) for name in judged)
        failed = [each for each in judgements if each.verdict is Verdict.ABORT]
        if failed:
            return self._stop(judgements, failed)
        label = f"{self.model} at {format_digest(self.release.image.digest)}"
        if not next_ring:
            return Rollout(Verdict.GO_ON, f"Every ring has {label}, and none has to be taken back.", judgements)
        if _digest(self.files, next_ring, self.model) == self.release.image.digest:
            return Rollout(Verdict.GO_ON, f"The ring {next_ring} has {label} already.", judgements)
        last = judgements[-1]
        waiting = [each for each in judgements if each.verdict is Verdict.WAIT]
        if waiting:
            reasons = " ".join(reason for each in waiting for reason in each.reasons)
            return Rollout(Verdict.WAIT, f"{label} does not go on to the ring {next_ring} yet. {reasons}", judgements)
        if self._was_taken_back(next_ring) and not is_named:
            return Rollout(
                Verdict.WAIT,
                f"{label} does not go on to the ring {next_ring}: the ring {next_ring} was taken back from it. Release "
                "a better one, or bring it there again by naming the ring.",
                judgements,
            )
        proposed = self._propose(next_ring, last, [check for each in judgements for check in each.checks])
        return Rollout(Verdict.GO_ON, proposed.decision.reason, judgements, (proposed,))

    def _ring(self, name: str) -> Ring:
        return next(ring for ring in self.files.fleet.rings if ring.name == name)

    def _history(self, name: str) -> RingHistory:
        return read_history(self.repository, self.files.commit, name, self.model)

    def _was_taken_back(self, name: str) -> bool:
        return was_taken_back(self._history(name).releases, self.release.image.digest)

    def _judge(self, name: str, status: FleetStatus) -> Judgement:
        ring = self._ring(name)
        sites = [each for each in status.of_ring(name) if each.model == self.model]
        if not sites:
            check = Check(f"sites of ring {name}", False, f"none that runs {self.model}", "at least one")
            return Judgement(name, Verdict.WAIT, (check,), {})
        metrics = require_metrics(self.files.fleet)
        prometheus = Prometheus(metrics.prometheus)
        evidence = read_evidence(prometheus, metrics.site_label, sites, ring.soak_time, self.now)
        merged = sites[0].wanted.since
        if ring.abort.max_update_time is not None and any(map(lacks_digest, evidence)):
            times = MergeTimes(self.target, self.repository, self.files, self.registry, self.now)
            merged = times.find(name, self.model, evidence)
        return judge(ring, evidence, merged, self.now)

    def _stop(self, judgements: tuple[Judgement, ...], failed: Sequence[Judgement]) -> Rollout:
        """Take every ring back that failed, and withdraw what would bring the release to another one."""
        summary = " ".join(["The rollout was stopped.", *(reason for each in failed for reason in each.reasons)])
        rollbacks, problems = [], []
        for each in failed:
            try:
                rollbacks.append(self._roll_back(each))
            except KfpEdgeError as error:
                problems.append(f"The ring {each.ring} is not taken back: {error}")
        withdrawn = self._withdraw_promotions(summary)
        if problems:
            raise GitError(" ".join([summary, *withdrawn, *problems]))
        return Rollout(Verdict.ABORT, " ".join([summary, *withdrawn]), judgements, tuple(rollbacks))

    def _withdraw_promotions(self, reason: str) -> list[str]:
        """Close open pull requests that would bring the release to a ring; return a sentence for each.

        Where there is no forge, the branch stays, as a person may have worked on it.
        """
        sentences = []
        for name in self.files.fleet.ring_names[1:]:
            if _digest(self.files, name, self.model) == self.release.image.digest:
                continue
            image = self.release.image
            branch = review_branch(self.model, version_of(find_image(image, self.registry), image), name)
            settings = PullRequestSettings.of_ring(self.files.fleet, name, self.target.remote)
            if settings is None:
                if self.repository.head(branch) is not None:
                    sentences.append(f"The branch {branch} would bring it to the ring {name}: delete it.")
                continue
            forge = settings.open(self.target.remote)
            request = forge.find(branch)
            if request is not None and request.state is PullRequestState.OPEN:
                forge.close(request.number, reason)
                sentences.append(f"Pull request {request.number} ({request.url}) to the ring {name} was closed.")
        return sentences

    def _roll_back(self, judgement: Judgement) -> ProposedDecision:
        return propose_rollback(
            self.target,
            self.repository,
            self.files,
            judgement.ring,
            self.model,
            self.now,
            registry=self.registry,
            reason=f"The rollout was stopped in the ring {judgement.ring}. {' '.join(judgement.reasons)}",
            checks=judgement.checks,
        )

    def _sites_after(self, name: str) -> list[Site]:
        """Return the sites that run the model once the ring has it: the first promotion adds it to sites."""
        if (name, self.model) in self.files.releases:
            return sites_with(self.files, name, self.model)
        tree, image = Commit(self.repository, self.files.commit), self.release.image
        files = set_ring_image(tree, self.files.fleet, name, self.model, image.new_name, image.digest)
        return [site for site in find_sites(Edited(tree, files), name).sites if self.model in site.models]

    def _propose(self, name: str, last: Judgement, checks: Sequence[Check]) -> ProposedDecision:
        ring, image = self._ring(name), self.release.image
        sites = self._sites_after(name)
        budget = ring.disruption_budget
        exceeded = find_exceeded(budget, sites, self.files.sites) if budget else []
        if exceeded:
            raise ParameterError(exceeded[0].describe(name))
        facts = require_image(image, self.registry)
        before = self.files.releases.get((name, self.model))
        old = find_image(before.image, self.registry) if before else ImageFacts()
        version = version_of(facts, image)
        decision = Decision(
            "promote",
            self.model,
            name,
            before.image if before else None,
            image,
            version,
            f"The ring {last.ring} has run {self.model} {version} at {format_digest(image.digest)} healthily for its "
            f"soak time, so the ring {name} may have it.",
            tuple(checks),
            self.now,
        )
        history = self._history(name)
        unreadable = history.unreadable(until=find_previous(history.releases))
        warnings = list(dict.fromkeys([*self.files.broken, *unreadable]))
        if not sites:
            warnings.append(f"the ring {name} has no site that runs {self.model}.")
        if was_taken_back(history.releases, image.digest):
            warnings.append(f"the ring {name} had this image before, and was taken back from it.")
        branch = review_branch(self.model, version, name)
        return propose(
            self.target, self.repository, self.files.commit, decision, branch, Images(facts, old), sites, warnings
        )
