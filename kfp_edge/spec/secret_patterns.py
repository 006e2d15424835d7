"""Secrets that can be recognized by their format.

The formats are those that their issuers document, as the scanners of GitHub and GitLab and detect-secrets have them.
What may be a placeholder is a group named `secret`.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping

_FORMATS = {
    "an AWS access key": r"\b(?:AKIA|ASIA|ABIA|ACCA)(?!\w*EXAMPLE)[A-Z0-9]{16}\b",
    "an AWS secret key": r"(?i:secret_?access_?key)\W{1,8}(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
    "a GitHub token": r"\b(?:gh[pousr]_(?P<secret>[A-Za-z0-9]{36})|github_pat_\w{22})",
    "a GitLab token": r"\b(?:gl(?:pat|rt|dt|cbt|ptt|ft|oas|soat|agent|imt|ffct)-|GR1348941)(?P<secret>[\w-]{20})",
    "an OpenShift token": r"\bsha256~(?P<secret>[\w-]{43})",
    "a Hugging Face token": r"\bhf_(?P<secret>[A-Za-z0-9]{34})",
    "a Slack token": r"\bxox[abeoprs]-(?P<secret>[A-Za-z0-9-]{10})|\bxapp-\d-[A-Z0-9]+-\d+-\w{10}",
    "a Slack webhook": r"\bhooks\.slack\.com/(?:services|workflows)/T\w{6,}/\w{6,}/(?P<secret>\w{10,})",
    "an API key": r"\bsk-(?:(?:proj|svcacct|admin|ant-\w{1,10}|or-v1|lf|live|test)-(?=[\w-]{0,60}\d)[\w-]{20}|"
    r"(?=[a-z]{0,60}[0-9A-Z])[A-Za-z0-9]{20})",
    "a key of an AI service": r"\b(?:nvapi-[\w-]{60}|gsk_[A-Za-z0-9]{50}|xai-\w{70}|r8_[A-Za-z0-9]{37}\b|"
    r"pplx-[A-Za-z0-9]{48}|lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10})",
    "a Stripe key": r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16}",
    "a Google API key": r"\bAIza[\w-]{35}",
    "a Google token": r"\bya29\.[\w-]{20}|\bGOCSPX-[\w-]{20}",
    "an Azure key": r"(?i:\b(?:Account|SharedAccess)Key)=(?P<secret>[A-Za-z0-9+/]{20,}={0,2})",
    "an Azure client secret": r"(?<![\w~.-])[\w~.]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])",
    "an Azure signature": r"\bsv=\d{4}-\d\d-\d\d&(?:\S*&)?sig=(?P<secret>[\w%+/]{20})",
    "a Databricks token": r"\bdapi[0-9a-f]{32}\b",
    "a DigitalOcean token": r"\bdo[opr]_v1_[0-9a-f]{64}\b",
    "a Docker Hub token": r"\bdckr_(?:pat|oat)_[\w-]{20}",
    "an npm token": r"\bnpm_(?P<secret>[A-Za-z0-9]{36})\b",
    "a PyPI token": r"\bpypi-AgE[\w-]{50}",
    "a SendGrid key": r"\bSG\.[\w-]{16,}\.[\w-]{16}",
    "a Vault token": r"\bhv[sbr]\.[\w-]{20}",
    "a Grafana token": r"\bgl(?:sa|c)_[A-Za-z0-9+/_]{30}",
    "an Atlassian token": r"\bAT(?:ATT|BB|CTT)3?[\w=-]{20}",
    "a Telegram token": r"\b\d{8,10}:AA[\w-]{33}\b",
    "a JSON web token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr])+[A-Za-z0-9+/]|"
    r"\bAGE-SECRET-KEY-1[0-9A-Z]{20}",
    "a login of a registry": r"[\"']auths[\"']\s*:[\s\S]{0,2000}?[\"'](?:auth|password|identitytoken|registrytoken)"
    r"[\"']\s*:\s*[\"'](?P<secret>[^\"'{$<]{4,})[\"']",
    "an authorization header": r"(?i:\bbearer)\s+(?=[\w.~+/-]{0,400}\d)(?P<secret>[\w.~+/-]{20,})|"
    r"(?i:\bauthorization[\"']?\s*[:=]\s*[\"']?basic)\s+[A-Za-z0-9+/]{8,}={0,2}",
    "a login of a netrc file": r"\bmachine\s+\S+\s+login\s+\S+\s+password\s+(?P<secret>[^\s{$<]{3,})",
    "a password in a URL": r"(?i:\b[a-z][a-z0-9+.-]{0,20})://[^\s/:@'\"{}$<>]*:(?P<secret>[^\s/@:'\"{}$<>]+)@",
    "a password in a connection string": r"(?i:\b(?:jdbc:|server=|data source=|driver=|dsn=|host=|endpoint=|uid=)"
    r"[^\n]{0,300}?[;?&\s](?:password|pwd)=)(?P<secret>[^;&\s'\"{}$<>]{3,})",
    "a signed URL": r"(?i:\b[a-z][a-z0-9+.-]{0,20})://\S{0,2000}[?&](?i:X-Amz-Signature|X-Goog-Signature|Signature|sig|token|"
    r"access_token|api_?key|password)=(?P<secret>[^&\s{<$]{8,})",
}
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _FORMATS.items()}
#: In lower case, what a text with a secret of these kinds contains: looked for first, since most texts have no secret.
_PARTS = {
    "an AWS access key": ("akia", "asia", "abia", "acca"),
    "a GitHub token": ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    "a GitLab token": ("gl", "gr1348941"),
    "an OpenShift token": ("sha256~",),
    "a Hugging Face token": ("hf_",),
    "a Slack token": ("xox", "xapp-"),
    "a Slack webhook": ("hooks.slack",),
    "an API key": ("sk-",),
    "a key of an AI service": ("nvapi-", "gsk_", "xai-", "r8_", "pplx-", "lsv2_"),
    "a Stripe key": ("k_live_", "k_test_"),
    "a Google API key": ("aiza",),
    "a Google token": ("ya29.", "gocspx-"),
    "an Azure key": ("key=",),
    "an Azure client secret": ("q~",),
    "an Azure signature": ("sig=",),
    "a Databricks token": ("dapi",),
    "a DigitalOcean token": ("_v1_",),
    "a Docker Hub token": ("dckr_",),
    "an npm token": ("npm_",),
    "a PyPI token": ("pypi-",),
    "a SendGrid key": ("sg.",),
    "a Vault token": ("hvs.", "hvb.", "hvr."),
    "a Grafana token": ("glsa_", "glc_"),
    "an Atlassian token": ("atatt", "atbb", "atctt"),
    "a Telegram token": (":aa",),
    "a JSON web token": ("eyj",),
    "a private key": ("-----begin", "age-secret-key-"),
    "an authorization header": ("bearer", "basic"),
    "a login of a netrc file": ("machine",),
    "a password in a URL": ("://",),
    "a password in a connection string": ("password=", "pwd="),
    "a signed URL": ("://",),
}
#: JSON that begins with a mapping, or PEM, in base64.
_BASE64 = re.compile(r"\b(?:e[wy]|LS0tLS1CRUdJTi)[A-Za-z0-9+/]{20,}={0,2}")
#: What stands where a secret would, as documentation has it.
_PLACEHOLDER = re.compile(
    r"(?i:\[?(?:(?:my|your|the|some|a)[-_ ]?)?(?:db[-_]?|api[-_]?|access[-_]?|auth[-_]?|client[-_]?|user[-_]?)?"
    r"(?:password|passwd|passphrase|pass|pwd|pw|token|secret|key|credentials?|value|example|placeholder|dummy)"
    r"(?:[-_ ]?here)?\]?|(?:change|replace)[-_ ]?(?:me|it|this)|x+|\*+|\.+|-+|redacted|hidden|masked|removed|todo|tbd|"
    r"%[sdr]|%\(\w+\)s|[\w/+]*example[\w/+]*)"
)


def detect_secret(text: str) -> str:
    """Return the kind of secret that a text contains, such as "a GitHub token"; empty when none is recognized.

    Secrets in base64 are found, too, where they are JSON or PEM.
    """
    for content in (text, *_decode(text)):
        lowered = content.lower()
        for kind, pattern in _PATTERNS.items():
            if any(part in lowered for part in _PARTS.get(kind, ("",))) and _is_found(pattern, content):
                return kind
    return ""


def _is_found(pattern: re.Pattern[str], text: str) -> bool:
    return any(not is_placeholder(match.groupdict().get("secret") or "") for match in pattern.finditer(text))


def detect_login(value: Mapping[str, object]) -> str:
    """Return the kind of secret that a mapping with the form of a registry's auth file contains, or an empty text."""
    return detect_secret(repr(dict(value))) if "auths" in value else ""


def is_placeholder(text: str) -> bool:
    """Whether a text only stands where a secret would, such as `changeme`, `<token>` or `xxx`."""
    return bool(text) and _PLACEHOLDER.fullmatch(text) is not None


def _decode(text: str) -> Iterator[str]:
    for match in _BASE64.finditer(text):
        try:
            yield base64.b64decode(match[0] + "=" * (-len(match[0]) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
