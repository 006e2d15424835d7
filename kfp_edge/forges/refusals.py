"""What an answer of a forge means: the forge's own words, whether to try again and when, and a sentence for people."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from kfp_edge.errors import ForgeError
from kfp_edge.forges.credentials import TOKEN_VARIABLE
from kfp_edge.runtime.process import redact

_LONGEST = 300
#: Seconds to wait where a forge limits requests without saying for how long (GitHub's documentation asks for these).
_RATE_LIMIT_PAUSE = 60.0
_RETRYABLE = frozenset({429, 500, 502, 503, 504})
#: GitHub answers 403 as well as 429 where it limits requests.
_RATE_LIMIT = re.compile(r"rate limit|abuse detection", re.IGNORECASE)
#: The permission that GitHub would have accepted.
_ACCEPTED_PERMISSIONS = "X-Accepted-GitHub-Permissions"


@dataclass(frozen=True)
class ForgeProfile:
    """What differs between forges in sentences and limits.

    Attributes:
        name: Of the forge, for sentences.
        scopes: What a token needs, for a sentence: `a token with ...`.
        title_limit: Characters of a title.
        body_limit: Characters of the body of a pull request, and of a comment.
    """

    name: str
    scopes: str
    title_limit: int
    body_limit: int


@dataclass(frozen=True)
class Answer:
    """A response that is not a success."""

    status: int
    text: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Purpose:
    """What a request is for.

    Attributes:
        action: A verb and its object: `close pull request 5`.
        sentences: What a status means for this request, if that is not its usual meaning; the forge's words follow.
    """

    action: str
    sentences: Mapping[int, str] = field(default_factory=dict)


def explain_refusal(
    profile: ForgeProfile, host: str, path: str, purpose: Purpose, answer: Answer, secrets: Sequence[str]
) -> ForgeError:
    """Return the error for an answer that is not a success.

    Args:
        profile: Of the forge.
        host: Of its API.
        path: Of the repository.
        purpose: Of the request.
        answer: The answer.
        secrets: What must not be in the message, such as the token.
    """
    reason = read_reason(answer.text, secrets)
    is_limited = _is_rate_limited(answer, reason)
    return ForgeError(
        _sentence(profile, host, path, purpose, answer, reason, is_limited),
        answer.status,
        reason=reason,
        retryable=is_limited or answer.status in _RETRYABLE,
        retry_after=_retry_after(answer.headers, is_limited),
        not_executed=is_limited,
    )


def read_reason(text: str, secrets: Sequence[str]) -> str:
    """Return the forge's own words in one line, without secrets; empty where it, or a proxy, gave none."""
    try:
        value = json.loads(text)
    except ValueError:
        return ""
    line = redact(" ".join(_words(value).split()), secrets).rstrip(". ")
    return f"{line[:_LONGEST]} …" if len(line) > _LONGEST else line


def _words(value: object) -> str:
    """Return the words in the JSON of an error.

    GitHub: `message`, and `errors` with `message` or with `field` and `code`. GitLab: `message`, which may be a text, a
    list or lists by field, or `error` with `error_description`. Gitea: `message`.
    """
    match value:
        case str():
            words = value
        case list():
            words = "; ".join(filter(None, map(_words, value)))
        case {"message": str(message), "errors": list(errors)} if errors:
            words = f"{message}: {_words(errors)}"
        case {"message": message} if message:
            words = _words(message)
        case {"error_description": str(description)}:
            words = description
        case {"error": error}:
            words = _words(error)
        case {"field": str(name), "code": str(code)}:
            words = f"{name} is {code}"
        case dict():
            words = "; ".join(f"{name} {_words(text)}" for name, text in value.items() if isinstance(text, list | str))
        case _:
            words = ""
    return words


def _is_rate_limited(answer: Answer, reason: str) -> bool:
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    is_spent = answer.headers.get("X-RateLimit-Remaining") == "0"
    has_words = bool(_RATE_LIMIT.search(reason))
    return answer.status == HTTPStatus.FORBIDDEN and (is_spent or has_words or "Retry-After" in answer.headers)


def _retry_after(headers: Mapping[str, str], is_limited: bool) -> float | None:
    """Return the seconds that a forge asks to wait; None if it does not say."""
    if (wait := headers.get("Retry-After", "")).isdigit():
        return float(wait)
    if not is_limited:
        return None
    # GitHub and Gitea's proxies: X-RateLimit-Reset; GitLab: RateLimit-Reset; both seconds since 1970
    reset = headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset") or ""
    remaining = headers.get("X-RateLimit-Remaining") or headers.get("RateLimit-Remaining")
    if reset.isdigit() and remaining == "0":
        return max(0.0, int(reset) - time.time()) + 1
    return _RATE_LIMIT_PAUSE


def _sentence(
    profile: ForgeProfile, host: str, path: str, purpose: Purpose, answer: Answer, reason: str, is_limited: bool
) -> str:
    words = f" ({reason})" if reason else ""
    action, status = purpose.action, answer.status
    if is_limited:
        return f"{host} limits the number of requests and did not {action} (HTTP {status}{words}); try later."
    if special := purpose.sentences.get(status):
        return f"{special}{words}."
    match status:
        case HTTPStatus.UNAUTHORIZED:
            sentence = (
                f"{host} does not accept the token{words}: it is wrong, has expired or was revoked; "
                f"put one with {profile.scopes} into {TOKEN_VARIABLE}, or the file that {TOKEN_VARIABLE}_FILE names"
            )
        case HTTPStatus.FORBIDDEN if answer.headers.get("X-GitHub-SSO", "").startswith("required"):
            sentence = (
                f"the organization of {path} wants the token to be authorized for its single sign-on{words}; "
                f"do that in the settings of the token on {profile.name}"
            )
        case HTTPStatus.FORBIDDEN:
            accepted = answer.headers.get(_ACCEPTED_PERMISSIONS, "")
            detail = f" ({profile.name} would accept {accepted})" if accepted else ""
            sentence = (
                f"the token may not {action} in {path} on {host}{words}; it needs {profile.scopes}{detail}, "
                "and its owner a role that may write there"
            )
        case HTTPStatus.NOT_FOUND:
            sentence = (
                f"{host} does not have {path}, or the token may not see it, so it did not {action}{words}; check the "
                f"address of the repository, and that the token has {profile.scopes}"
            )
        case _ if status in _RETRYABLE:
            sentence = f"{host} could not {action} in {path} (HTTP {status}{words}); try later"
        case _ if status < HTTPStatus.BAD_REQUEST:
            sentence = (
                f"{host} redirects the request to {action} in {path} to another address (HTTP {status}); "
                "check the address of the repository and that of the forge's API"
            )
        case _:
            sentence = f"{host} refuses to {action} in {path}: {reason or f'HTTP {status}'}"
    return f"{sentence}."
