"""What was probably meant by a name or a value that is not known, for error messages."""

import difflib
from collections.abc import Collection


def suggest(text: str, known: Collection[str], *, cutoff: float = 0.6) -> str:
    """Return the known text that is most similar to `text`, in any case of the letters, or "" if none is.

    Args:
        text: What somebody wrote.
        known: What it could be.
        cutoff: How similar it has to be, between 0 and 1.
    """
    names = {name.casefold(): name for name in known}
    return next((names[match] for match in difflib.get_close_matches(text.casefold(), names, 1, cutoff)), "")


def suggest_or(text: str, known: Collection[str], alternative: str) -> str:
    """Return `did you mean NAME?`, or the alternative if no known text is similar."""
    similar = suggest(text, known)
    return f"did you mean {similar}?" if similar else alternative


def did_you_mean(text: str, known: Collection[str]) -> str:
    """Return `did you mean NAME? ` to put before the rest of a sentence, or "" if no known text is similar."""
    similar = suggest(text, known)
    return f"did you mean {similar}? " if similar else ""


def describe_unknown_choice(parameter: str, value: str, choices: Collection[str]) -> str:
    """Return the sentence about a parameter that is none of its choices."""
    return f"{parameter} is {value!r}; {did_you_mean(value, choices)}choose one of {', '.join(choices)}."
