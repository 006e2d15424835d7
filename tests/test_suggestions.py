"""What was probably meant by a name that is not known."""

import pytest

from kfp_edge.suggestions import did_you_mean, suggest


@pytest.mark.parametrize(
    ("text", "known", "meant"),
    [
        ("roc_acu", ["recall", "roc_auc"], "roc_auc"),
        ("ROC_AUC", ["recall", "roc_auc"], "roc_auc"),
        ("Defect", ["good", "defect"], "defect"),
        ("nok", ["OK", "NOK"], "NOK"),
        ("pressure", ["torque", "heat"], ""),
    ],
)
def test_a_name_is_recognized_in_any_case_of_its_letters(text: str, known: list[str], meant: str) -> None:
    assert suggest(text, known) == meant
    assert did_you_mean(text, known) == (f"did you mean {meant}? " if meant else "")
