"""The parameters of `train`: checked before a run starts, and by the stage itself."""

from kfp_edge.errors import ParameterError


def check_false_alarm_rate(rate: float) -> None:
    """Refuse a rate that is no share.

    Raises:
        ParameterError: it is outside (0, 0.5].
    """
    if not 0 < rate <= 0.5:
        hint = f"; did you mean {rate:g}%?" if 0.5 < rate <= 50 else "."
        raise ParameterError(f"false_alarm_rate is {rate:g}; give a share above 0 and at most 0.5{hint}")
