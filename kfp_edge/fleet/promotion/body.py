"""The text of a pull request: what a reviewer approves, with its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

from kfp_edge.fleet.promotion.audit import Decision
from kfp_edge.fleet.promotion.image_facts import VERSION_LABEL, ImageFacts
from kfp_edge.fleet.promotion.manifests import ManifestDiff
from kfp_edge.fleet.promotion.model_metrics import (
    DATA_ROW,
    SUMMARY_TITLE,
    compare_metrics,
    read_data_hash,
    summary_of,
)
from kfp_edge.fleet.promotion.versions import describe_order
from kfp_edge.fleet.status.presentation import format_digest
from kfp_edge.gitops.changes import fence_diff
from kfp_edge.images.oci.labels import BUNDLE_LABEL, MODEL_LABEL
from kfp_edge.reports.section import Section
from kfp_edge.wording import count_of

_MAX_DIFF_LINES = 80
_LABELS = (
    ("version", VERSION_LABEL),
    ("model (sha256)", MODEL_LABEL),
    ("bundle (sha256)", BUNDLE_LABEL),
    ("code", "org.opencontainers.image.revision"),
    ("server", "org.opencontainers.image.base.digest"),
    ("built", "org.opencontainers.image.created"),
)


@dataclass(frozen=True)
class Evidence:
    """What a pull request shows besides the decision.

    Attributes:
        branch: The review branch.
        new: The image that the ring is going to get.
        old: The one that it runs.
        source: The message of the commit that brought the new image first, to whichever ring; empty if it is not known.
        old_source: The same of the one that the ring runs.
        sites: The sites that change.
        warnings: What the reviewer should look at first, one sentence each.
        manifests: What changes in the objects of one of the sites.
    """

    branch: str
    new: ImageFacts
    old: ImageFacts
    source: str
    old_source: str
    sites: Sequence[str]
    warnings: Sequence[str]
    manifests: ManifestDiff


def render_body(decision: Decision, evidence: Evidence) -> str:
    """Return the text of a pull request in Markdown."""
    blocks = [decision.reason, *_warnings(decision, evidence)]
    image = _beside(decision, _image_rows(decision, evidence))
    blocks += Section("Image", ("", "now", "after the merge"), image).to_markdown()
    if decision.ring:
        blocks += [f"## Sites\n\n{_sites(evidence.sites)}"]
    if rows := _beside(decision, compare_metrics(evidence.old_source, evidence.source)):
        blocks += Section("Metrics", ("metric", "now", "after the merge", "change"), rows).to_markdown()
    if rows := _check_rows(decision):
        blocks += Section("Checks", ("check", "met", "measured", "required"), rows).to_markdown()
    if summary := summary_of(evidence.source):
        blocks += [f"<details><summary>{SUMMARY_TITLE}</summary>\n\n{summary}\n\n</details>"]
    if evidence.manifests.diff:
        manifests = evidence.manifests
        lines = fence_diff(manifests.diff, _MAX_DIFF_LINES, f"kfp-edge fleet diff --branch {evidence.branch}")
        blocks += [f"## {manifests.title}", *([manifests.note] if manifests.note else []), "\n".join(lines)]
    blocks += [f"## Roll back\n\n{_rollback(decision)}"]
    return "\n\n".join(blocks) + "\n"


def _warnings(decision: Decision, evidence: Evidence) -> list[str]:
    order = describe_order(decision.version, evidence.old.version) if decision.action != "rollback" else ""
    sentences = [*evidence.warnings, *([order] if order else [])]
    return ["\n".join(f"> **Warning:** {sentence}" for sentence in sentences)] if sentences else []


def _check_rows(decision: Decision) -> list[tuple[str, ...]]:
    return [(each.name, "yes" if each.passed else "**no**", each.measured, each.required) for each in decision.checks]


def _image_rows(decision: Decision, evidence: Evidence) -> list[tuple[str, ...]]:
    old, new = evidence.old, evidence.new
    before = decision.before.digest if decision.before else ""
    rows: list[tuple[str, ...]] = [("digest", before, decision.after.digest)]
    rows += [(name, old.labels.get(key, "unknown"), new.labels.get(key, "unknown")) for name, key in _LABELS]
    rows.append((DATA_ROW, *(read_data_hash(text) for text in (evidence.old_source, evidence.source))))
    rows.append(("size", _bytes(old.size), _bytes(new.size)))
    download = _bytes(new.missing_in(old)) if old.blobs else f"{_bytes(new.size)} at most"
    rows.append(("a site downloads", "", download))
    return rows


def _beside(decision: Decision, rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the rows with "none" in the second column if the ring runs nothing yet."""
    return list(rows) if decision.before else [(name, "none", *others) for name, _, *others in rows]


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.2f} MB ({size:,} bytes)" if size else "unknown"


def _sites(names: Sequence[str]) -> str:
    if not names:
        return "No site runs this model in this ring."
    listed = ", ".join(f"`{name}`" for name in names[:50])
    verb = "changes" if len(names) == 1 else "change"
    more = f" and {len(names) - 50:,} more" if len(names) > 50 else ""
    return f"{count_of(len(names), 'site')} {verb}: {listed}{more}."


def _rollback(decision: Decision) -> str:
    if not decision.ring:
        return "`git revert` of this merge takes it back."
    if decision.before is None:
        return "The ring ran nothing before: `git revert` of this merge takes the model off its sites."
    command = f"kfp-edge fleet rollback {decision.model} --ring {decision.ring}"
    before = format_digest(decision.before.digest)
    return f"`{command}` opens the pull request back to `{before}`; `git revert` of this merge does the same."
