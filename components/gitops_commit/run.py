"""Commit what a pipeline has released, with what is known of its tests."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kfp_edge.components.gitops_commit.gitops_commit import Destination, Release
from kfp_edge.components.gitops_commit.model_summary import summarize_checks, summarize_model
from kfp_edge.components.gitops_commit.proposal import ProposedRelease, parse_pull_requests, propose_release
from kfp_edge.components.gitops_commit.report import render_report
from kfp_edge.forges import describe_change
from kfp_edge.git.remote import GitRemote
from kfp_edge.gitops.target import FileTarget
from kfp_edge.images.model_format import ModelFormat
from kfp_edge.images.oci.references import ImageRef
from kfp_edge.ml.bundle import Bundle
from kfp_edge.reports.check import parse_checks
from kfp_edge.storage.files import write_file


@dataclass(frozen=True)
class Inputs:
    """What the stages before have made.

    Attributes:
        image: The released image by digest.
        bundle: The folder of the bundle in it.
        verification: The checks of `verify`, as JSON; empty if they are not known.
        staging: Those of `staging_test`.
        format: The format of the image.
    """

    image: str
    bundle: Path
    verification: str = ""
    staging: str = ""
    format: ModelFormat = ModelFormat.IMAGE


def run(
    model: str,
    version: str,
    inputs: Inputs,
    repository: str,
    branch: str,
    ring: str,
    target: Mapping[str, Any],
    pull_requests: Mapping[str, Any],
    report: Path,
) -> ProposedRelease:
    """Commit a release to its review branch, open its pull request, and write the report.

    Args:
        model: The name of the model.
        version: Its version.
        inputs: The image, and what is known of it.
        repository: The address of the GitOps repository.
        branch: The branch that the sites follow.
        ring: The ring; empty for the first one.
        target: The place of the image in a repository of another layout; empty for one of ours.
        pull_requests: How the pull request is opened, if not as `fleet.yaml` says.
        report: Where the Markdown report is written.

    Raises:
        KfpEdgeError: what `propose_release` raises, or a parameter or the bundle is not valid.
    """
    image, bundle = ImageRef.parse(inputs.image), Bundle.load(inputs.bundle)
    verified, tested = parse_checks(inputs.verification), parse_checks(inputs.staging)
    summary = summarize_model(bundle.manifest, bundle.signature)
    summary += summarize_checks("Verification", verified) + summarize_checks("Staging test", tested)
    name = image.repository if image.transport == "docker" else f"localhost/{image.name}"
    release = Release(model, version, name, image.digest, summary, bundle.manifest.data_sha256, inputs.format)
    place = FileTarget.parse(target) if target else None
    destination = Destination(GitRemote.parse(repository), branch, ring, place, parse_pull_requests(pull_requests))
    checks = [
        replace(check, name=f"{stage}: {check.name}")
        for stage, each in (("verification", verified), ("staging", tested))
        for check in each
    ]
    result = propose_release(release, destination, image, checks)
    write_file(report, render_report(result.change, result.warnings, result.body, result.proposed).encode())
    if result.proposed:
        print(describe_change(result.proposed), flush=True)
    return result
