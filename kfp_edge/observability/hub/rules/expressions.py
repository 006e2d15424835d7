"""Parts of PromQL that several rules use."""

#: The labels of a model at a site, its versions and pods taken together.
MODEL = "site, ring, model"
#: Series from a site; those of the hub itself have no such label.
OF_SITES = 'site!=""'


def rate(selector: str, window: str, by: str = MODEL) -> str:
    """Return the expression of the rate of counters, summed by labels."""
    return f"sum by ({by}) (rate({selector}[{window}]))"


def increase(selector: str, window: str, by: str = MODEL, offset: str = "") -> str:
    """Return the expression of the increase of counters, summed by labels."""
    return f"sum by ({by}) (increase({selector}[{window}]{f' offset {offset}' if offset else ''}))"
