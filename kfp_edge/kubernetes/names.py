"""Which names, labels and keys Kubernetes takes, each check with what to write instead.

Source: `k8s.io/apimachinery/pkg/util/validation` and `pkg/apis/core/validation` of Kubernetes 1.34.
"""

import re

#: The longest name of a volume, as of a label.
LONGEST_VOLUME_NAME = 63
LONGEST_OBJECT_NAME = 253

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
#: The name of an object, as a regular expression, and its longest.
OBJECT_NAME = rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*"
_SUBDOMAIN = re.compile(OBJECT_NAME)
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
#: Kubernetes before 1.32 takes fewer.
_VARIABLE = re.compile(r"[ -<>-~]+")
#: A reference to an image (github.com/distribution/reference); an upper-case letter may stand in the host only.
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_IMAGE = re.compile(
    rf"(?:{_HOST}/)?{_PATH_PART}(?:/{_PATH_PART})*(?::\w[\w.-]{{0,127}})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)

_OBJECT_WORD = "lower-case letters, digits, - and ., with a letter or digit at both ends of each part"
_LABEL_WORD = "letters, digits, -, _ and ., with a letter or digit at both ends"


def describe_bad_object_name(name: str) -> str:
    """Return what to write instead of the name of an object; empty if Kubernetes takes it."""
    if _SUBDOMAIN.fullmatch(name) and len(name) <= LONGEST_OBJECT_NAME:
        return ""
    return f"write {_OBJECT_WORD}, at most {LONGEST_OBJECT_NAME} of them"


def describe_bad_volume_name(name: str) -> str:
    """Return what to write instead of the name of a volume of a pod; empty if Kubernetes takes it."""
    if _LABEL.fullmatch(name) and len(name) <= LONGEST_VOLUME_NAME:
        return ""
    return (
        f"write lower-case letters, digits and -, a letter or digit at both ends, at most {LONGEST_VOLUME_NAME} of them"
    )


def describe_bad_label_key(key: str) -> str:
    """Return what to write instead of the key of a label or of a taint; empty if Kubernetes takes it."""
    prefix, slash, name = key.rpartition("/")
    has_good_name = _QUALIFIED.fullmatch(name) and len(name) <= LONGEST_VOLUME_NAME
    if has_good_name and (not slash or not describe_bad_object_name(prefix)):
        return ""
    return f"write {_LABEL_WORD}, at most {LONGEST_VOLUME_NAME} of them, and perhaps a domain and / before them"


def describe_bad_annotation_key(key: str) -> str:
    """Return what to write instead of the key of an annotation; empty if Kubernetes takes it."""
    return describe_bad_label_key(key.lower())


def describe_bad_label_value(value: str) -> str:
    """Return what to write instead of the value of a label or of a taint; empty if Kubernetes takes it."""
    if not value or (_QUALIFIED.fullmatch(value) and len(value) <= LONGEST_VOLUME_NAME):
        return ""
    return f"write {_LABEL_WORD}, at most {LONGEST_VOLUME_NAME} of them"


def describe_bad_data_key(key: str) -> str:
    """Return what to write instead of the key of a Secret or a ConfigMap; empty if Kubernetes takes it."""
    if _KEY.fullmatch(key) and len(key) <= LONGEST_OBJECT_NAME and key != "." and not key.startswith(".."):
        return ""
    return f"write letters, digits, -, _ and ., at most {LONGEST_OBJECT_NAME} of them"


def describe_bad_variable_name(name: str) -> str:
    """Return what to write instead of the name of an environment variable; empty if some Kubernetes takes it."""
    return "" if _VARIABLE.fullmatch(name) else "write letters, digits and _"


def describe_bad_image(image: str) -> str:
    """Return what to write instead of a reference to an image; empty if it is one."""
    return "" if _IMAGE.fullmatch(image) else "write HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:DIGEST"


def describe_bad_resource_name(name: str) -> str:
    """Return what to write instead of the name of a resource, such as a GPU's; empty if a container can have it."""
    if name in ("cpu", "memory", "ephemeral-storage") or name.startswith("hugepages-"):
        return ""
    if "/" in name and not name.startswith("requests.") and not describe_bad_label_key(name):
        return ""
    return "write the name under which the nodes offer it, such as nvidia.com/gpu"
