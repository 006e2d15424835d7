"""The manifests of `deploy/`, rendered as `oc apply -k` would."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from yaml import safe_load_all

from support.paths import ROOT

OPENSHIFT = ROOT / "deploy/openshift"
KSERVE = ROOT / "deploy/kserve"
KUBECTL = Path(sys.executable).with_name("kubectl")


def rendered(overlay: Path) -> list[dict[str, Any]]:
    """Return the objects that `oc apply -k` would apply."""
    done = subprocess.run([KUBECTL, "kustomize", overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(safe_load_all(done.stdout))
