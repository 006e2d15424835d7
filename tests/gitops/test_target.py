"""Repositories of another layout: only the image changes, byte for byte, or a sentence says why it cannot."""

import pytest
from ruamel.yaml import YAML

from kfp_edge.errors import KfpEdgeError
from kfp_edge.gitops.target import FileTarget, parse_yaml_path

OLD, NEW = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
NAME = "quay.io/team/press"


def edit(text: str, **target: object) -> str:
    return FileTarget.parse({"file": "apps/values.yaml", **target}).edit(text, NAME, NEW)


class TestAKustomization:
    def test_of_several_images_only_the_named_one_changes(self) -> None:
        text = (
            "images:   # pinned\r\n"
            f"- {{name: fan,  newName: quay.io/team/fan, digest: {OLD}}}\r\n"
            f"- name: 'registry.example/press'  # ours\r\n  newName: \"{NAME}\"\r\n  digest: '{OLD}'   # pinned\r\n"
        )
        assert edit(text, image="registry.example/press") == text.replace(f"'{OLD}'", f"'{NEW}'")

    def test_an_image_for_kserve_keeps_its_scheme(self) -> None:
        text = f"images:\n  - name: oci://press\n    newName: oci://old/press\n    digest: {OLD}\n"
        expected = text.replace(OLD, NEW).replace("oci://old/press", f"oci://{NAME}")
        assert edit(text, image="oci://press") == expected

    def test_an_image_that_is_not_there_is_an_error_with_the_file(self) -> None:
        with pytest.raises(KfpEdgeError, match=r"apps/values.yaml has no entries named press under images"):
            edit("images: []\n", image="press")


class TestAYamlPath:
    def test_a_text_with_an_image_becomes_the_image_by_digest(self) -> None:
        text = f"# values of the plant\nimage:   {NAME}@{OLD}    # press\nreplicas:  1\n"
        assert edit(text, yaml_path="image") == text.replace(OLD, NEW)

    def test_a_text_that_is_a_digest_becomes_the_digest(self) -> None:
        text = f"press:\n    image: {{repository: a/b, digest: '{OLD}'}}\n"
        assert edit(text, yaml_path="press.image.digest") == text.replace(OLD, NEW)

    def test_an_image_by_tag_becomes_one_by_digest(self) -> None:
        assert edit('image: "old/press:1.3"\n', yaml_path="image") == f'image: "{NAME}@{NEW}"\n'

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (f"digest: {OLD}", f"digest: {NEW}"),
            (f"repository: old/press\n  digest: {OLD}", f"repository: {NAME}\n  digest: {NEW}"),
            (
                f"registry: old.example\n  repository: press\n  digest: {OLD}\n  tag: 1.3",
                f"registry: quay.io\n  repository: team/press\n  digest: {NEW}\n  tag: 1.3",
            ),
        ],
    )
    def test_a_mapping_gets_digest_and_repository_in_the_ways_of_helm(self, before: str, after: str) -> None:
        assert edit(f"image:\n  {before}  # end\n", yaml_path="image") == f"image:\n  {after}  # end\n"

    @pytest.mark.parametrize("scheme", ["oci://", "oci+native://"])
    def test_the_address_of_an_image_for_kserve_keeps_its_scheme(self, scheme: str) -> None:
        text = f"storageUri: {scheme}old/press@{OLD}\n"
        assert edit(text, yaml_path="storageUri") == f"storageUri: {scheme}{NAME}@{NEW}\n"
        mapping = f"repository: {scheme}old/press\n  digest: "
        edited = edit(f"image:\n  {mapping}{OLD}\n", yaml_path="image")
        assert edited == f"image:\n  repository: {scheme}{NAME}\n  digest: {NEW}\n"

    def test_an_item_of_a_list_is_reached_by_its_number(self) -> None:
        text = f"pods:\n- image: a\n- image: {NAME}@{OLD}\n"
        assert edit(text, yaml_path="pods[1].image") == text.replace(OLD, NEW)

    def test_a_key_with_a_dot_is_in_quotes(self) -> None:
        text = f"pods: {{press.main: {{image: {NAME}@{OLD}}}}}\n"
        assert edit(text, yaml_path='pods."press.main".image') == text.replace(OLD, NEW)

    def test_what_has_the_image_already_does_not_change(self) -> None:
        text = f"image: {NAME}@{NEW}\n"
        assert edit(text, yaml_path="image") == text

    def test_a_plain_value_gets_quotes_only_where_yaml_needs_them(self) -> None:
        text = "image: old\n"
        edited = FileTarget.parse({"file": "a", "yaml_path": "image"}).edit(text, "127.0.0.1:5000/press", NEW)
        assert edited == f'image: "127.0.0.1:5000/press@{NEW}"\n'
        assert YAML(typ="safe").load(edited) == {"image": f"127.0.0.1:5000/press@{NEW}"}

    @pytest.mark.parametrize(
        ("text", "path", "message"),
        [
            ("image: a\n", "images", r"apps/values.yaml has no text at images; write one there"),
            ("image: [a]\n", "image", "has no text at image"),
            ("image: {tag: a}\n", "image", r"has no digest at image, which is a mapping; add `digest: \.\.\.` there"),
            ("image: &a x\nother: *a\n", "image", "line 1, has the anchor &a at image, which other values may use"),
            ("a: &a x\nimage: *a\n", "image", "line 1, has the anchor &a at image"),
            (
                "b: &b {image: x}\nc: {<<: *b}\n",
                "b.image",
                "b.image in apps/values.yaml cannot be changed without",
            ),
            ("b: &b {image: x}\nc: {<<: *b}\n", "c.image", "has no text at c.image"),
            ("image: |\n  x\n", "image", "line 1, writes image in a way that cannot be edited"),
            ('image: "a\\tb"\n', "image", "in a way that cannot be edited"),
            ("image: x\n---\nimage: y\n", "image", "is not valid YAML"),
            ("{{- if .Values.a }}\nimage: x\n", "image", "is not valid YAML"),
        ],
    )
    def test_what_cannot_be_edited_is_a_sentence(self, text: str, path: str, message: str) -> None:
        with pytest.raises(KfpEdgeError, match=message):
            edit(text, yaml_path=path)


class TestTheParameter:
    @pytest.mark.parametrize(
        ("target", "message"),
        [
            ({}, "gitops_target needs file, and either image or yaml_path; write {file: apps/press/kustomization.yaml"),
            ({"file": "a"}, "needs file, and either"),
            ({"file": "a", "image": "b", "yaml_path": "c"}, "needs file, and either"),
            ({"file": "a", "yamlpath": "c"}, "gitops_target has no yamlpath; did you mean yaml_path?"),
            ({"file": "a", "image": 1}, "gitops_target has no text as image"),
            ({"file": "/etc/passwd", "image": "a"}, "cannot have the file '/etc/passwd'"),
            ({"file": "a/../../b", "image": "a"}, "cannot have the file"),
            ({"file": ".git/config", "image": "a"}, "cannot have the file"),
            ({"file": "a//b", "image": "a"}, "cannot have the file"),
            ({"file": "a", "yaml_path": "a..b"}, "yaml_path 'a..b' cannot be read at '..b'"),
            ({"file": "a", "yaml_path": ".a"}, "cannot be read at '.a'"),
            ({"file": "a", "yaml_path": "a[x]"}, "cannot be read at '\\[x\\]'"),
            ({"file": "a", "yaml_path": "a[0]b"}, "cannot be read at 'b'"),
        ],
    )
    def test_a_wrong_one_is_a_sentence(self, target: dict[str, object], message: str) -> None:
        with pytest.raises(KfpEdgeError, match=message.replace("?", r"\?")):
            FileTarget.parse(target)

    def test_paths_are_keys_and_numbers(self) -> None:
        assert parse_yaml_path('image."a.b"[2].digest') == ("image", "a.b", 2, "digest")
        assert parse_yaml_path("[0].image") == (0, "image")
