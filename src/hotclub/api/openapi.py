"""The OpenAPI document of the HTTP API, made of the same types that decode and encode it."""

from typing import Any

import msgspec

import hotclub
from hotclub.api import messages as wire
from hotclub.api.methods import METHODS, Method

_REF = "#/components/schemas/{name}"


def document() -> dict[str, Any]:
    """The whole document, for OpenAPI 3.1."""
    methods = {**METHODS, "batch": Method("Several methods in one request.", wire.BatchRequest, wire.BatchResult, _no)}
    types = [kind for method in methods.values() for kind in (method.request, method.result)]
    schemas, components = msgspec.json.schema_components([*types, wire.ApiError], ref_template=_REF)
    pairs = {name: (schemas[2 * index], schemas[2 * index + 1]) for index, name in enumerate(methods)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hotclub HTTP API", "version": hotclub.__version__},
        "security": [{"header": []}, {"authorization": []}],
        "paths": {f"/{name}": _path(name, method, *pairs[name]) for name, method in methods.items()},
        "components": {
            "schemas": components,
            "securitySchemes": {
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "authorization": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`apikey` and the key",
                },
            },
        },
    }


def _path(name: str, method: Method, request: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    error = {"$ref": _REF.format(name=wire.ApiError.__name__)}
    body = {"type": "object", "properties": {"result": result, "error": error}}
    return {
        "post": {
            "operationId": name,
            "summary": method.summary,
            "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
            "responses": {
                "200": {"description": "The result, or the error", "content": {"application/json": {"schema": body}}},
                "400": {"description": "The body is no JSON"},
                "401": {"description": "No such API key"},
            },
        }
    }


async def _no(*_arguments: Any) -> msgspec.Struct:
    raise NotImplementedError("batch is run by the endpoint")
