"""Secrets that can be told by how they look."""

import re

_FORMATS = {
    "an AWS access key": r"\b(?:AKIA|ASIA)(?!\w*EXAMPLE)[A-Z0-9]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22})",
    "a GitLab token": r"\bgl(?:pat|rt|dt|cbt|ptt|ft|oas|soat|agent)-[\w-]{20}",
    "an OpenShift token": r"\bsha256~[\w-]{43}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{34}",
    "a Slack token": r"\bxox[abposr]-[A-Za-z0-9-]{10}",
    "a JSON web token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----",
    # what stands in for the password in a description is none
    "a password in a URL": r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}$<>]*:"
    r"(?!(?:password|pass|token|secret|x+|\*+|\.+)@)[^\s/@:'\"{}$<>]+@",
}
_PATTERNS = {kind: re.compile(pattern, re.IGNORECASE if "URL" in kind else 0) for kind, pattern in _FORMATS.items()}


def kind_of_secret(text: str) -> str:
    """Return what kind of secret is in a text, such as "a GitHub token"; empty when none is recognised."""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(text)), "")
