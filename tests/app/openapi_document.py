"""/openapi.json as a client reads it, and what a real answer must be by it."""

from typing import Any

import httpx
from jsonschema import Draft202012Validator

_TRANSPORT = {"content-length", "content-type"}
"""Headers that OpenAPI says nothing of, or says in `content`."""
_TYPES = {"string": str, "number": float, "integer": int}


class Document:
    """The document of one app."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self.operations: dict[tuple[str, str], dict[str, Any]] = {
            (method, path): operation for path, methods in content["paths"].items() for method, operation in methods.items()
        }

    def check_value(self, schema: dict[str, Any], value: object) -> None:
        """Raise an error unless the value is what the schema says."""
        Draft202012Validator({**schema, "components": self.content["components"]}).validate(value)

    def declared(self, method: str, path: str, status: int) -> dict[str, Any]:
        """What the document says of an answer."""
        general = {404: "not_found", 405: "method_not_allowed"}
        if status in general:
            return self.content["components"]["responses"][general[status]]
        responses = self.operations[method.lower(), path]["responses"]
        assert str(status) in responses, f"{method} {path} answers {status}, which the document lacks"
        return responses[str(status)]

    def check(self, response: httpx.Response) -> None:
        """Assert that status, headers, error type and body of an answer are declared."""
        declared = self.declared(response.request.method, response.request.url.path, response.status_code)
        self._check_headers(declared["headers"], response.headers)
        kind = response.headers["content-type"].partition(";")[0]
        content = declared["content"][kind]
        value = response.text if kind == "text/plain" else response.json()
        self.check_value(content["schema"], value)
        if response.is_error:
            types = {example["value"]["error"]["type"] for example in content["examples"].values()}
            assert value["error"]["type"] in types
            assert f"- `{value['error']['type']}`: " in declared["description"]

    def _check_headers(self, declared: dict[str, Any], sent: httpx.Headers) -> None:
        assert set(sent) - _TRANSPORT <= declared.keys(), "a header is sent that the document lacks"
        assert {name for name, header in declared.items() if header["required"]} <= set(sent)
        for name in set(sent) & declared.keys():
            schema = declared[name]["schema"]
            self.check_value(schema, _TYPES[schema["type"]](sent[name]))
