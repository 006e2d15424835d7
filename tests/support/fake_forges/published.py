"""Compares our short form of a forge's REST API with the document that the forge publishes (OpenAPI 3, or Swagger 2).

The documents are large, and not part of this repository: `../shared/schemas/forges/NAME.json` has them, where it is
there. GitHub's is `generated/api.github.com.json` of the npm package @octokit/openapi (MIT), Gitea's is
`/swagger.v1.json` of any instance, as is Forgejo's (MIT), GitLab's is doc/api/openapi/openapi_v3.yaml as JSON.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from support.fake_forges.schemas import ApiSchema

Schema = dict[str, Any]


@dataclass(frozen=True)
class PublishedApi:
    """A published document; `prefix` stands before our paths in it."""

    document: Schema
    prefix: str = ""

    def differences(self, ours: ApiSchema) -> Iterator[str]:
        """Yield what our form has and the published one has not, or has with another type."""
        for operation, known in ours.operations.items():
            method, _, path = operation.partition(" ")
            if path == "/graphql":
                continue
            published = self.document["paths"].get(f"{self.prefix}{path}", {}).get(method.lower())
            if published is None:
                yield f"{operation} is not published"
                continue
            parameters = [self._resolve(one) for one in published.get("parameters", [])]
            names = {one["name"] for one in parameters if one["in"] == "query"}
            yield from (
                f"{operation} has no query parameter {name}" for name in known.get("query", []) if name not in names
            )
            if "body" in known:
                yield from self._compare(f"{operation} body", ours, known["body"], self._body(published, parameters))
            for status, answer in known["answers"].items():
                if status not in published["responses"]:
                    yield f"{operation} does not answer {status}"
                elif answer:
                    schema = self._answer(published["responses"][status])
                    yield from self._compare(f"{operation} {status}", ours, answer, schema)

    def _resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            target: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        return schema

    def _content(self, value: Schema) -> Schema:
        schema: Schema = next(iter(value["content"].values()))["schema"]
        return schema

    def _body(self, operation: Schema, parameters: list[Schema]) -> Schema:
        if "requestBody" in operation:
            return self._content(self._resolve(operation["requestBody"]))
        return next((one["schema"] for one in parameters if one["in"] == "body"), {})

    def _answer(self, response: Schema) -> Schema:
        response = self._resolve(response)
        schema: Schema = response["schema"] if "schema" in response else self._content(response)
        return schema

    def _alternatives(self, schema: Schema) -> list[Schema]:
        """Return what a value may be: more than one where the document says `oneOf`."""
        schema = self._resolve(schema)
        parts = [part for key in ("oneOf", "anyOf") for part in schema.get(key, [])]
        own = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf", "allOf")}
        merged = [found for part in schema.get("allOf", []) for found in self._alternatives(part)]
        return [own, *merged, *(found for part in parts for found in self._alternatives(part))]

    def _compare(self, where: str, ours: ApiSchema, short: Any, schema: Schema) -> Iterator[str]:
        schemas = self._alternatives(schema)
        match short:
            case "any":
                return
            case str() if short.startswith("#"):
                yield from self._compare(where, ours, ours.definitions[short.strip("#?")], schema)
            case str():
                types = {name for one in schemas for name in _types(one)}
                if types and short.strip("?") not in types:
                    yield f"{where} is {', '.join(sorted(types))}, not {short}"
            case [item]:
                lists = [one["items"] for one in schemas if "items" in one]
                yield from self._compare(f"{where}[]", ours, item, lists[0]) if lists else [f"{where} is no list"]
            case dict():
                fields: Schema = {}
                for one in schemas:
                    fields |= one.get("properties", {})
                for name, type_ in short.items():
                    if (field := name.strip("!")) not in fields:
                        yield f"{where} has no field {field}"
                    else:
                        yield from self._compare(f"{where}.{field}", ours, type_, fields[field])


def _types(schema: Schema) -> list[str]:
    type_ = schema.get("type", [])
    return [type_] if isinstance(type_, str) else list(type_)
