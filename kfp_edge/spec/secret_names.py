"""Values that are secrets by the name of their parameter or variable."""

import re

from kfp_edge.spec.secret_patterns import is_placeholder

_WORD_END = re.compile(r"[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])")
#: What a name, its words joined by underscores, says about its value; the first that fits counts. `low_pass` is a
#: filter, `pad_token` a token of a language model, `pull_secret` the name of a Secret.
_KINDS = {
    "nothing": r"(?:.*_)?(?:audio|begin|bos|cls|end|eos|first|image|last|mask|max|min|next|pad|per|prev|sep|special|"
    r"start|stop|tool|unk)_token",
    "password": r".*pass(?:word|wd|phrase|code)s?(?:_?\d)?|(?:.*_)?pwd|(?:.*_)?(?:account|admin|app|auth|basic|bind|"
    r"broker|database|db|docker|ftp|git|http|keystore|ldap|login|mail|mongo|mqtt|mysql|nexus|pg|postgres|proxy|rabbitmq|"
    r"redis|registry|root|service|smtp|ssh|truststore|user)_?pass",
    "key": r"(?:.*_)?(?:access|account|api|auth|encryption|fernet|hmac|jwt|master|private|secret|service|shared|"
    r"signing|subscription)_?key|(?:.*_)?secret_key_base|secret|(?:.*_)?(?:api|app|client|consumer|cookie|csrf|hmac|jwt|"
    r"nextauth|oauth|otp|refresh|session|shared|signing|totp|webhook)_?secret|(?:.*_)?(?:credentials?|creds)",
    "token": r"(?:.*_)?\w*token|(?:.*_)?(?:ado|azure|devops|git|github|gitlab)_pat",
    "login": r"(?:.*_)?(?:basic|http|proxy|rediscli)_?auth",
}
_PATTERNS = {kind: re.compile(pattern) for kind, pattern in _KINDS.items()}
#: A text that only points to a secret: a placeholder, a variable, a file, an entry of a store.
_REFERENCE = re.compile(
    r"\{\{.*\}\}|\{.*\}|\$\{.*\}|\$\(.*\)|\$\w+|%\w+%|<.*>|\[[A-Z_]+\]|/\S+|\.{1,2}/\S*|~/\S*|[A-Za-z]:\\.*|\w+\.(?:json|ya?ml|"
    r"txt|pem|key|env|cfg|toml)|(?:env|file|vault|secret|secrets|k8s|kms|op|aws|gcp|azure)(?:://|:)\S+|arn:aws:\S+|"
    r"projects/\S+/secrets/\S+|@Microsoft\.KeyVault\(.*\)",
    re.DOTALL,
)
#: A choice, not a secret.
_CHOICE = re.compile(
    r"(?i:none|null|nil|n/?a|default|auto|automatic|true|false|yes|no|on|off|empty|unset|(?:not|un)[-_ ]?set|"
    r"enabled?|disabled?|optional|required|anonymous|public|unknown|unused|basic|inherit|prompt|env|file)"
)
#: Words of letters that dashes join, as the name of a Secret is.
_OBJECT_NAME = re.compile(r"[a-z]+(?:-[a-z]+)*")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_SHORTEST_NUMERIC_PASSWORD = 4


def is_secret(name: str, value: str) -> bool:
    """Whether a text is a secret by its name, and not a reference, a choice, a number or a placeholder.

    Args:
        name: The name of a parameter, a variable, a key of a mapping or an option.
        value: Its text.
    """
    text = value.strip()
    kind = _find_kind(name)
    if kind == "nothing" or not text or _REFERENCE.fullmatch(text) or _CHOICE.fullmatch(text) or is_placeholder(text):
        return False
    if kind == "password":
        return not (_NUMBER.fullmatch(text) and len(text) < _SHORTEST_NUMERIC_PASSWORD)
    if kind == "login":
        return ":" in text
    # a token or a key is no word and no number, and the name of a Secret is words
    return _OBJECT_NAME.fullmatch(text) is None and _NUMBER.fullmatch(text) is None


def _find_kind(name: str) -> str:
    words = "_".join(word.lower() for word in _WORD_END.split(name) if word)
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.fullmatch(words)), "nothing")
