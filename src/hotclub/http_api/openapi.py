"""The OpenAPI document of the HTTP API, made from the types that decode requests and encode results."""

from http import HTTPStatus
from typing import Any, Final

import msgspec

from hotclub.conf.version import __version__
from hotclub.http_api import messages as wire
from hotclub.http_api.methods import METHODS, Method

_REF: Final = "#/components/schemas/{name}"
_OF_TRANSPORT_MODE: Final = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
)
_ERROR_MODE: Final = {
    "name": "X-Centrifugo-Error-Mode",
    "in": "header",
    "required": False,
    "description": "With `transport` an error is the body, and its code a status.",
    "schema": {"type": "string"},
}


def document() -> dict[str, Any]:
    """Return the whole OpenAPI 3.1 document, for JSON."""
    methods = {**METHODS, "batch": Method("Several methods in one request.", wire.BatchRequest, wire.BatchResult, _no)}
    types = [kind for method in methods.values() for kind in (method.request, method.result)]
    schemas, components = msgspec.json.schema_components([*types, wire.ApiError], ref_template=_REF)
    pairs = {name: (schemas[2 * index], schemas[2 * index + 1]) for index, name in enumerate(methods)}
    for method in methods.values():
        _allow_nulls(components[method.request.__name__])
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hotclub HTTP API", "version": __version__},
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


def _allow_nulls(request: dict[str, Any]) -> None:
    """Allow null in optional fields. The API treats a null field as missing."""
    required = request.get("required", ())
    for name, field in request.get("properties", {}).items():
        if name not in required:
            request["properties"][name] = _nullable(field)


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kinds = schema.get("anyOf", ())
    if not schema or {"type": "null"} in kinds or set(schema) <= {"default", "description"}:
        return schema
    described: dict[str, Any] = {name: schema[name] for name in ("default", "description") if name in schema}
    rest = {name: value for name, value in schema.items() if name not in described}
    return {"anyOf": [rest, {"type": "null"}], **described}


def _path(name: str, method: Method, request: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    error = {"$ref": _REF.format(name=wire.ApiError.__name__)}
    body = {"type": "object", "properties": {"result": result, "error": error}}
    needed = any(field.required for field in msgspec.structs.fields(method.request))
    return {
        "post": {
            "operationId": name,
            "summary": method.summary,
            "parameters": [_ERROR_MODE],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": request if needed else _nullable(request)}},
            },
            "responses": {
                "200": _response("The result, or the error", body),
                "400": _response("The body is malformed; in transport mode also the errors 107, 108 and 110", error),
                "401": _response("No such API key", error),
                "405": _response("Only POST is allowed", error),
                "408": _response("The body takes too long", error),
                "413": _response("The body is too large", error),
                **{
                    str(status.value): _response("In transport mode: the error", error) for status in _OF_TRANSPORT_MODE
                },
                "429": _response("Too many requests without a good key; in transport mode also the error 111", error),
            },
        }
    }


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


async def _no(*_arguments: Any) -> msgspec.Struct:
    raise NotImplementedError("batch is run by the endpoint")
