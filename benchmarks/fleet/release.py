"""Commits a release to a ring, as the stage gitops_commit does: python release.py REPOSITORY RING NUMBER."""

import sys

from fleet_files import MODELS, digest_of

from kfp_edge.components.gitops_commit.gitops_commit import Destination, Release, commit_release
from kfp_edge.git.remote import GitRemote

repository, ring, number = sys.argv[1:]
model = MODELS[0]
release = Release(model, f"2.{number}.0", f"quay.io/plant/{model}", digest_of(model, -int(number)))
change = commit_release(release, Destination(GitRemote.parse(repository), "main", ring))
print(change.commit)
