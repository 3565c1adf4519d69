"""One request to the HTTP API, from its bytes to the answer's; the same for ASGI and for Django's views."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from hotclub.api import messages as wire
from hotclub.api.keys import find_grant, presented_key
from hotclub.api.methods import METHODS, api_error, together
from hotclub.api.openapi import document
from hotclub.api.settings import Grant
from hotclub.conf import get_config
from hotclub.engine.errors import (
    CommandError,
    IdempotencyConflict,
    UnrecoverablePosition,
    command_error,
)
from hotclub.engine.observe import logger
from hotclub.runtime import NoNode

DOCUMENT: Final = "openapi.json"
NAMES: Final = frozenset({*METHODS, "batch", DOCUMENT})
"""What stands below the API's path."""
BODY_BYTES: Final = 8 * 1024 * 1024

_STATUS: Final = {
    100: HTTPStatus.INTERNAL_SERVER_ERROR,
    102: HTTPStatus.NOT_FOUND,
    103: HTTPStatus.FORBIDDEN,
    104: HTTPStatus.NOT_FOUND,
    107: HTTPStatus.BAD_REQUEST,
    108: HTTPStatus.BAD_REQUEST,
    111: HTTPStatus.TOO_MANY_REQUESTS,
    112: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    113: HTTPStatus.CONFLICT,
}
_COMMANDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `headers` have lower-cased names."""

    verb: str
    name: str
    headers: Mapping[str, str]
    query: str
    body: bytes
    staff: bool = False
    """Whether somebody of the site's staff asks, who may read the document without a key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; the body is JSON."""

    status: int
    body: bytes = b""


async def answer(call: Call) -> Answer:
    """Do what was asked for."""
    config = get_config()
    grant = await find_grant(presented_key(call.headers, call.query, config), config)
    if call.name == DOCUMENT:
        allowed = call.staff or grant is not None
        return Answer(HTTPStatus.OK, msgspec.json.encode(document())) if allowed else _refused(HTTPStatus.UNAUTHORIZED)
    if grant is None:
        return _refused(HTTPStatus.UNAUTHORIZED)
    if call.verb != "POST":
        return _refused(HTTPStatus.METHOD_NOT_ALLOWED)
    try:
        outcome = await _run(grant, call.name, Raw(call.body or b"{}"))
    except msgspec.DecodeError:
        return _refused(HTTPStatus.BAD_REQUEST)
    if isinstance(outcome, wire.ApiError):
        return _told(outcome, call.headers.get("x-centrifugo-error-mode", ""))
    told: dict[str, Any] = {"result": outcome}
    if isinstance(outcome, wire.BatchResult):
        # Clients look for the replies of a batch where other methods have their result.
        told["replies"] = outcome.replies
    return Answer(HTTPStatus.OK, msgspec.json.encode(told))


def _told(error: wire.ApiError, mode: str) -> Answer:
    if mode.lower() == "transport":
        return Answer(_STATUS.get(error.code, HTTPStatus.BAD_REQUEST), msgspec.json.encode(error))
    return Answer(HTTPStatus.OK, msgspec.json.encode({"error": error}))


def _refused(status: HTTPStatus) -> Answer:
    return Answer(status, msgspec.json.encode({"code": status.value, "message": status.phrase.lower()}))


async def _run(grant: Grant, name: str, body: Raw) -> Struct | wire.ApiError:
    """One method, or its error.

    Raises:
        msgspec.DecodeError: the body is no JSON at all.
    """
    try:
        return await _perform(grant, name, body)
    except (CommandError, IdempotencyConflict, UnrecoverablePosition) as error:
        return api_error(error)
    except NoNode as error:
        return wire.ApiError(108, str(error))
    except msgspec.ValidationError as error:
        return wire.ApiError(107, f"bad request: {error}")
    except msgspec.DecodeError:
        raise
    except Exception:  # noqa: BLE001 - whatever it was, the caller gets an answer
        logger.exception("The API's %s failed", name)
        return wire.ApiError(100, "internal server error")


async def _perform(grant: Grant, name: str, body: Raw) -> Struct:
    if not grant.allows_method(name):
        raise command_error(103, "the API key is not for this method")
    if name == "batch":
        return await _batch(grant, _decode(body, wire.BatchRequest))
    method = METHODS.get(name)
    if method is None:
        raise command_error(104)
    return await method.run(grant, _decode(body, method.request))


async def _batch(grant: Grant, request: wire.BatchRequest) -> wire.BatchResult:
    if len(request.commands) > _COMMANDS:
        raise command_error(107, f"a batch has at most {_COMMANDS} commands")
    calls = [partial(_command, grant, command) for command in request.commands]
    return wire.BatchResult(await together(calls, parallel=request.parallel))


async def _command(grant: Grant, command: dict[str, Raw]) -> dict[str, Any]:
    if len(command) != 1 or "batch" in command:
        return {"error": wire.ApiError(107, "a command is an object with the name of one method")}
    [(name, body)] = command.items()
    outcome = await _run(grant, name, body)
    return {"error" if isinstance(outcome, wire.ApiError) else name: outcome}


def _decode(body: Raw, kind: type[Struct]) -> Any:
    """A request. A field that is null counts as left out, unless it is a payload."""
    fields = msgspec.json.decode(body, type=dict[str, Raw])
    given = {name: value for name, value in fields.items() if bytes(value) != b"null" or name in ("data", "params")}
    return msgspec.json.decode(msgspec.json.encode(given), type=kind)
