"""The published REST APIs of the forges, in the operations and fields that we use, as JSON Schema.

The files in `schemas/` are written here, in a short form: `"string"`, `"integer?"` (may be null), `["#Label"]` (a list
of the definition Label), `"#Pull"`, or an object of fields. A field of a request that ends in `!` is required; of an
answer all fields are. No other field is allowed, and errors are not checked. `published.py` compares them with what the
forges publish.
"""

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

from support.fake_forges.routes import Response

FOLDER = Path(__file__).parent / "schemas"


@dataclass(frozen=True)
class ApiSchema:
    """The operations of a forge, `METHOD PATH`, and the definitions to which they refer."""

    operations: dict[str, Any]
    definitions: dict[str, Any]
    _validators: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    @classmethod
    @functools.cache
    def load(cls, kind: str) -> "ApiSchema":
        """Read the schema of a kind of forge."""
        document = json.loads((FOLDER / f"{kind}.json").read_text())
        return cls(document["operations"], document["definitions"])

    def check(self, operation: str, query: dict[str, str], body: object, response: Response) -> list[str]:
        """Return what does not fit the API in a request and its answer."""
        if operation not in self.operations:
            return [f"{operation} is not part of the API"]
        known = self.operations[operation]
        problems = [f"{operation}: no query parameter {name}" for name in query if name not in known.get("query", [])]
        if body is not None:
            problems += self._errors(f"{operation} body", known.get("body", {}), body, is_request=True)
        if response.status >= 400 or (answer := known["answers"].get(str(response.status))) == "":
            return problems
        if answer is None:
            return [*problems, f"{operation} does not answer {response.status}"]
        return problems + self._errors(f"{operation} {response.status}", answer, response.body, is_request=False)

    def _errors(self, where: str, short: object, value: object, *, is_request: bool) -> list[str]:
        if where not in self._validators:
            self._validators[where] = jsonschema.Draft202012Validator(self.to_json_schema(short, is_request=is_request))
        errors = self._validators[where].iter_errors(value)
        return [f"{where}: {error.json_path} {error.message}" for error in errors]

    def to_json_schema(self, short: Any, *, is_request: bool) -> dict[str, Any]:
        """Return the JSON Schema of a type in short form."""
        match short:
            case str() if short.startswith("#"):
                name = short.strip("#?")
                schema = self.to_json_schema(self.definitions[name], is_request=is_request)
                return {"anyOf": [schema, {"type": "null"}]} if short.endswith("?") else schema
            case "any":
                return {}
            case str():
                return {"type": [short.strip("?"), "null"] if short.endswith("?") else short}
            case [item]:
                return {"type": "array", "items": self.to_json_schema(item, is_request=is_request)}
            case _:
                fields = {
                    name.strip("!"): self.to_json_schema(type_, is_request=is_request) for name, type_ in short.items()
                }
                required = [name.strip("!") for name in short if name.endswith("!") or not is_request]
                return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
