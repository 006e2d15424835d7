"""Names that people give to what a KFP API server stores: limits of the server and of its database.

Sources: `LengthSpecs` (backend/src/apiserver/validation/length.go), the columns in backend/src/apiserver/model, the
character set of the connection (backend/src/apiserver/client/sql.go) and `toSWFCRDResourceGeneratedName`
(backend/src/apiserver/template/template.go) of KFP 2.16.1.
"""

import re

from kfp_edge.errors import ParameterError
from kfp_edge.spec.workflow.templates import find_refused
from kfp_edge.spec.workflow.texts import find_beyond_database

#: The server counts the bytes of an experiment's name, the database the characters of other names.
_MOST_BYTES_OF_EXPERIMENT = 128
_MOST_CHARACTERS = 255
_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_IN_OBJECT_NAME = re.compile(r"[^a-z0-9-]+")


def check_experiment_name(name: str) -> None:
    """Check the name of an experiment.

    Raises:
        ParameterError: a server cannot store it.
    """
    _check_text("the name of the experiment", name)
    if len(name.encode()) > _MOST_BYTES_OF_EXPERIMENT:
        raise ParameterError(
            f"the name of the experiment has {len(name.encode())} bytes, and a server takes at most "
            f"{_MOST_BYTES_OF_EXPERIMENT}; shorten it."
        )


def check_run_name(name: str) -> None:
    """Check the name of a run, which the server writes into the Workflow.

    Raises:
        ParameterError: a server cannot store it, or Argo Workflows refuses it.
    """
    _check_stored_name("the name of the run", name)
    if template := find_refused(name):
        raise ParameterError(
            f"the name of the run contains {template!r}, which Argo Workflows cannot resolve; write it without two "
            "braces in a row."
        )


def check_schedule_name(name: str) -> None:
    """Check the name of a schedule, from which the server makes that of a Kubernetes object.

    Raises:
        ParameterError: a server cannot store it, or Kubernetes refuses the object.
    """
    _check_stored_name("the name of the schedule", name)
    if _NOT_IN_OBJECT_NAME.sub("", name.lower()).startswith("-"):
        raise ParameterError(
            f"the name of the schedule {name!r} must have a letter a to z or a digit before its first dash, since a "
            "Kubernetes object is named after it."
        )


def check_characters(description: str, text: str) -> None:
    """Refuse a text with characters that the server's database cannot store.

    Raises:
        ParameterError: with the first of them.
    """
    if character := find_beyond_database(text):
        raise ParameterError(
            f"{description} contains {character!r} (U+{ord(character):04X}), and the database of a server stores no "
            "character beyond U+FFFF; leave it out."
        )
    if _SURROGATE.search(text):
        raise ParameterError(f"{description} is not valid UTF-8; write it again.")


def _check_stored_name(description: str, name: str) -> None:
    _check_text(description, name)
    if len(name) > _MOST_CHARACTERS:
        raise ParameterError(
            f"{description} has {len(name)} characters, and a server takes at most {_MOST_CHARACTERS}; shorten it."
        )


def _check_text(description: str, name: str) -> None:
    if not name:
        raise ParameterError(f"{description} is empty; give one.")
    check_characters(description, name)
