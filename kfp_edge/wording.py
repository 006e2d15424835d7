"""Numbers in sentences."""


def count_of(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, such as `1 row` or `1,275 rows`; the plural is that with an s if not given."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
