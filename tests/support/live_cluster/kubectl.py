"""kubectl, for what tests do to a cluster as a person would."""

import subprocess
from typing import Any

import yaml

from support.manifests import KUBECTL


class KubectlError(Exception):
    """What kubectl printed when it failed."""


def kubectl(*arguments: str, stdin: str = "") -> str:
    """Run kubectl and return what it prints.

    Raises:
        KubectlError: it failed.
    """
    done = subprocess.run([KUBECTL, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KubectlError(done.stderr.strip())
    return done.stdout


def can(verb: str, resource: str, namespace: str = "") -> bool:
    """Whether the identity of the kubeconfig has a permission; without a namespace, in the whole cluster."""
    scope = ["-n", namespace] if namespace else ["--all-namespaces"]
    done = subprocess.run(
        [KUBECTL, "auth", "can-i", verb, resource, *scope], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() == "yes"


def apply(manifest: dict[str, Any], *options: str) -> str:
    """Apply one object and return what kubectl prints."""
    return kubectl("apply", "-f", "-", *options, stdin=yaml.safe_dump(manifest))
