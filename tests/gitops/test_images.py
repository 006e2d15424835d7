from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kfp_edge.errors import KfpEdgeError
from kfp_edge.gitops.images import set_image

OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
HOST = "quay.io/team/pump"


def edit(text: str, new_name: str = HOST) -> str:
    return set_image(text, "pump", new_name, NEW, file="sites/site-1/pump/kustomization.yaml")


@dataclass(frozen=True)
class Kustomization:
    lines: tuple[str, ...]
    digest_line: int
    line_end: str

    @property
    def text(self) -> str:
        return self.line_end.join(self.lines)


words = st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" "), max_size=20)
comments = words.map(lambda text: f"# {text}")
trailing = st.one_of(st.just(""), st.just("  "), comments.map(lambda text: f"   {text}"))
quotes = st.sampled_from(["", '"', "'"])
above = st.lists(
    st.sampled_from(
        ["", "namespace:   edge", "resources:\n      - ../base   # ours\n      - 'x.yaml'", "a: {b: [1,2 ]}"]
    )
    | comments,
    unique=True,
)


@st.composite
def kustomizations(draw: st.DrawFn) -> Kustomization:
    indent = " " * draw(st.integers(0, 4))
    gap = " " * draw(st.integers(1, 3))

    def value(text: str) -> str:
        quote = draw(quotes)
        return f"{gap}{quote}{text}{quote}{draw(trailing)}"

    fields = draw(st.permutations(["name", "newName", "digest", "newTag"]))
    values = {"name": "pump", "newName": HOST, "digest": OLD, "newTag": '"1.0"'}
    entry = [f"{name}:{value(values[name]) if name != 'newTag' else gap + values[name]}" for name in fields]
    inner = indent + "- "
    entry_lines = [inner + entry[0], *(" " * len(inner) + line for line in entry[1:])]
    for position in sorted(draw(st.sets(st.integers(1, 3), max_size=2)), reverse=True):
        entry_lines.insert(position, " " * len(inner) + draw(comments))
    other = [f"{indent}- {{name: fan,  newName: quay.io/team/fan, digest: {OLD}}}{draw(trailing)}"]
    before, after = draw(st.booleans()), draw(st.booleans())
    head = [line for part in draw(above) for line in part.split("\n")]
    lines = [*head, f"images:{draw(trailing)}", *(other * before), *entry_lines, *(other * after)]
    if draw(st.booleans()):
        lines += [draw(comments), "kind:    Kustomization", ""]
    start = lines.index(entry_lines[0])
    where = next(i for i, line in enumerate(lines) if i >= start and line.lstrip(" -").startswith("digest:"))
    return Kustomization(tuple(lines), where, draw(st.sampled_from(["\n", "\r\n"])))


@settings(deadline=None)
@given(kustomizations())
def test_only_the_digest_changes_byte_for_byte(given_file: Kustomization) -> None:
    edited = edit(given_file.text).split(given_file.line_end)
    expected = list(given_file.lines)
    expected[given_file.digest_line] = expected[given_file.digest_line].replace(OLD, NEW)
    assert edited == expected


@settings(deadline=None)
@given(kustomizations(), st.from_regex(r"[a-z]{1,8}(:[0-9]{2,4})?(/[a-z0-9]{1,8}){1,3}", fullmatch=True))
def test_the_result_reads_as_the_image_that_was_asked_for(given_file: Kustomization, new_name: str) -> None:
    images = YAML(typ="safe", pure=True).load(edit(given_file.text, new_name))["images"]
    assert [image for image in images if image["name"] == "pump"] == [
        {"name": "pump", "newName": new_name, "digest": NEW, "newTag": "1.0"}
    ]


@settings(deadline=None)
@given(kustomizations())
def test_a_second_edit_changes_nothing(given_file: Kustomization) -> None:
    once = edit(given_file.text)
    assert edit(once) == once


def test_when_the_registry_moves_two_lines_change() -> None:
    text = f"# top\nimages:\n- name: pump # ours\n  newName: {HOST}  # mirror\n  digest: '{OLD}'\n"
    assert edit(text, "mirror.local:5000/pump") == text.replace(HOST, "mirror.local:5000/pump").replace(OLD, NEW)


def test_an_image_on_one_line_is_edited_in_place() -> None:
    text = f"images: [{{name: fan}}, {{digest: {OLD}, newName: {HOST}, name: pump}}]  # short"
    assert edit(text) == text.replace(OLD, NEW)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no entries named pump under images"),
        ("images: []\n", "no entries named pump under images"),
        ("images: pump\n", "no entries named pump under images"),
        ("images: [{name: pump}, {name: pump}]\n", "has 2 entries named pump"),
        (f"images: [{{name: pump, newName: {HOST}}}]\n", "has no digest in its image pump"),
        (f"images: [{{name: pump, digest: {OLD}}}]\n", "has no newName in its image pump"),
        (f"images: [{{name: pump, newName: {HOST}, digest: [1]}}]\n", "has no digest in its image pump"),
        (
            f"images:\n- name: pump\n  newName: {HOST}\n  digest: >-\n    {OLD}\n",
            r"writes images\[0\].digest in a way that cannot",
        ),
        (f"images:\n- name: pump\n  newName: {HOST}\n  digest: &d {OLD}\n", "has the anchor &d"),
        (f"x: &d {OLD}\nimages: [{{name: pump, newName: {HOST}, digest: *d}}]\n", "has the anchor &d"),
        (
            f"images: [&e {{name: pump, newName: {HOST}, digest: {OLD}}}]\nx: {{<<: *e}}\n",
            "without changing something else",
        ),
        ("images: [\n", "kustomization.yaml, line 2, is not valid YAML"),
        ("a: 1\n---\nimages: []\n", "is not valid YAML"),
        ("a: \x00\n", "is not valid YAML"),
    ],
)
def test_a_file_that_cannot_be_edited_safely_is_told(text: str, told: str) -> None:
    with pytest.raises(KfpEdgeError, match=told):
        edit(text)
