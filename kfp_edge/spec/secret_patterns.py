"""Secrets that can be recognised by their format."""

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
    # a placeholder for the password, as documentation has it, is not a secret
    "a password in a URL": r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"{}$<>]*:"
    r"(?!(?:password|pass|token|secret|x+|\*+|\.+)@)[^\s/@:'\"{}$<>]+@",
    "a signed URL": r"\b[a-z][a-z0-9+.-]*://\S*[?&](?:X-Amz-Signature|X-Goog-Signature|Signature|sig|token|access_token|"
    r"api_?key|password)=(?!(?:password|pass|token|secret|x+|\*+|\.+)(?:&|$))[^&\s{<$]{8}",
}
_PATTERNS = {kind: re.compile(pattern, re.IGNORECASE if "URL" in kind else 0) for kind, pattern in _FORMATS.items()}


def detect_secret(text: str) -> str:
    """Return the kind of secret that a text contains, such as "a GitHub token"; empty when none is recognised."""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(text)), "")
