"""What is too long for a forge is cut off so that the rest is still readable Markdown."""

from kfp_edge.forges.texts import fit_body, fit_title


def test_what_fits_is_left_as_it_is():
    assert fit_body("a" * 1000, 1000) == "a" * 1000
    assert fit_title("a" * 255, 255) == "a" * 255


def test_what_does_not_fit_is_cut_at_the_end_of_a_line_and_says_so():
    body = fit_body("0123456789\n" * 200, 1000)
    assert len(body) <= 1000
    assert body.splitlines()[-1] == "*Cut off here: this text has 2,200 characters, and the forge takes 1,000.*"
    assert set(body.splitlines()[:-2]) == {"0123456789"}


def test_an_open_code_block_is_closed_before_the_notice():
    body = fit_body("<details>\n\n````diff\n" + "+ ```\n" * 400 + "````\n</details>\n", 1000)
    lines = body.splitlines()
    assert len(body) <= 1000
    assert lines[lines.index("</details>") - 2] == "````"
    assert lines[-1].startswith("*Cut off here")


def test_a_block_that_was_closed_is_not_closed_again():
    body = fit_body("```\nx\n```\n" + "line\n" * 400, 1000)
    assert body.count("```") == 2


def test_one_endless_line_is_cut_all_the_same():
    assert len(fit_body("x" * 5000, 1000)) <= 1000


def test_the_suffix_is_never_cut():
    assert fit_body("x\n" * 5000, 1000, "<!-- end -->").endswith("<!-- end -->")
    assert len(fit_body("x\n" * 494, 1000, "<!-- a longer end -->")) <= 1000


def test_a_title_is_one_line():
    assert fit_title("feat:\n  press", 255) == "feat: press"
    assert fit_title("long title", 5) == "long…"
