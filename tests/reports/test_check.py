from kfp_edge.reports.check import Check


def test_a_failed_check_is_reported_with_the_measured_and_the_required_value() -> None:
    check = Check("gate f1", False, "0.6", "at least 0.7")
    assert check.failure_message == "gate f1 was not met: measured 0.6, required at least 0.7"
