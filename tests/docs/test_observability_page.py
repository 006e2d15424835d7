"""The page about the collector of a site has commands that make what they say."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.paths import ROOT

PAGE = ROOT / "docs/observability.md"
FOLDER = ROOT / "deploy/observability"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_the_certificates_of_the_page_are_those_of_a_server_and_of_a_client(tmp_path: Path) -> None:
    section = PAGE.read_text().partition("### Certificates\n")[2].partition("\n### ")[0]
    commands = "".join(re.findall(r"^    .*\n", section, re.MULTILINE))
    subprocess.run(["sh", "-eu", "-c", commands], cwd=tmp_path, check=True, capture_output=True)
    for folder, purpose in (("hub", "sslserver"), ("hall-7", "sslclient")):
        check = ["openssl", "verify", "-purpose", purpose, "-CAfile", "ca.crt", f"{folder}/tls.crt"]
        subprocess.run(check, cwd=tmp_path, check=True, capture_output=True)
    name = ["openssl", "x509", "-in", "hub/tls.crt", "-noout", "-checkhost", "telemetry.plant.example"]
    assert "does match" in subprocess.run(name, cwd=tmp_path, check=True, capture_output=True, text=True).stdout


def test_both_images_are_built_of_files_that_are_in_the_folder_of_the_build() -> None:
    text = (FOLDER / "site/Containerfile").read_text()
    assert "podman build --file site/Containerfile" in PAGE.read_text()
    assert "--build-arg MANIFEST=hub/collector/ocb.yaml" in (ROOT / "docs/observability-hub.md").read_text()
    copied = re.findall(r"^COPY (?:--chmod=755 )?([\w./]+) ", text, re.MULTILINE)
    manifests = [*re.findall(r"^ARG MANIFEST=(\S+)", text, re.MULTILINE), "hub/collector/ocb.yaml"]
    assert copied == ["site/start.sh"]
    assert all((FOLDER / path).is_file() for path in [*copied, *manifests])


def test_a_site_and_its_hub_need_one_exporter_more_than_a_site() -> None:
    modules = {
        name: set(re.findall(r"gomod: (\S+)", (FOLDER / name / "ocb.yaml").read_text()))
        for name in ("site", "hub/collector")
    }
    (more,) = modules["hub/collector"] - modules["site"]
    assert more.endswith("/exporter/prometheusremotewriteexporter")
