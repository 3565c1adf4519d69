"""Answers one request to the HTTP API (protocol §8.1), for ASGI and for Django's views."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from hotclub.access.rates import TooMany
from hotclub.conf.config import Config, get_config
from hotclub.conf.values import KeyRights
from hotclub.engine.codes import Code
from hotclub.engine.errors import IdempotencyConflict, Refused, UnrecoverablePosition
from hotclub.engine.names import normal
from hotclub.engine.observe import logger
from hotclub.engine.transports.stream import HttpError
from hotclub.http_api import messages as wire
from hotclub.http_api.keys import failed_keys, presented_key
from hotclub.http_api.methods import METHODS, api_error, together
from hotclub.http_api.openapi import document
from hotclub.runtime.calls import Busy, NoAnswer
from hotclub.runtime.encoding import NotUtf8, utf8
from hotclub.runtime.node import NoNode

DOCUMENT: Final = "openapi.json"
NAMES: Final = frozenset({*METHODS, "batch", DOCUMENT})
"""The names below the API's path."""
LINES: Final = "/"
"""The name of a request to the API's path itself, whose body holds a command in each line."""
_STATUS: Final[dict[int, HTTPStatus]] = {
    Code.INTERNAL_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
    Code.UNKNOWN_CHANNEL: HTTPStatus.NOT_FOUND,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.METHOD_NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    Code.NOT_AVAILABLE: HTTPStatus.BAD_REQUEST,
    Code.TOO_MANY_REQUESTS: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNRECOVERABLE_POSITION: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    Code.CONCURRENT_PAGINATION: HTTPStatus.CONFLICT,
}
_COMMANDS: Final = 10_000
_LONG_BODY: Final = 256 * 1024
"""Bytes of a request beyond which a thread decodes it."""
_LONG_RESULT: Final = 1_000
"""Entries of a result beyond which a thread encodes it."""
_TRUNCATED: Final = "Input data was truncated"
_NOTHING: Final = (b"", b'""', b"[]")
"""JSON that counts as missing in a required field."""

Perform = Callable[[], Awaitable[Struct]]


@dataclass(frozen=True, slots=True)
class Call:
    """A request: the HTTP method, one of `NAMES` or `LINES`, the headers by lower-case name, and the query string."""

    verb: str
    name: str
    headers: Mapping[str, str]
    query: str
    address: str
    """The address of the client."""
    read: Callable[[Config], Awaitable[bytes]]
    """Reads the body, which is bounded by the settings. Called only for a request with a good key.

    Raises HttpError: the body is too large, too slow or cut off."""
    staff: bool = False
    """Whether a staff user sent the request. A staff user may read the OpenAPI document without a key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response with a JSON body. `headers` are beside `Content-Type`."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


async def answer(call: Call) -> Answer:
    """Perform a request and return the answer, also for an error of the method. A cancelled call may have performed the
    method.

    Raises:
        NotMigrated, DatabaseError: the key cannot be looked up.
    """
    config = get_config()
    try:
        rights = await _rights(call, config)
    except TooMany as refused:
        return _refused(HTTPStatus.TOO_MANY_REQUESTS, **{"Retry-After": str(refused.wait)})
    except (Busy, NoAnswer):
        return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "the key was not looked up in time", **{"Retry-After": "1"})
    if call.name == DOCUMENT:
        return await _document(call, rights)
    if rights is None:
        return _refused(HTTPStatus.UNAUTHORIZED)
    if call.verb != "POST":
        return _refused(HTTPStatus.METHOD_NOT_ALLOWED, Allow="POST")
    return await _performed(call, rights, config)


async def _performed(call: Call, rights: KeyRights, config: Config) -> Answer:
    try:
        body = utf8(await call.read(config))
        return await (_lines(rights, body) if call.name == LINES else _method(rights, call, body))
    except HttpError as error:
        return _refused(HTTPStatus(error.status))
    except (msgspec.DecodeError, NotUtf8, RecursionError) as error:
        return _refused(HTTPStatus.BAD_REQUEST, _why(error))


async def _rights(call: Call, config: Config) -> KeyRights | None:
    """Return the rights of the key of a request, None for a request without a good key.

    Raises:
        TooMany: the address has sent too many bad keys.
        NotMigrated, DatabaseError: the key cannot be looked up.
    """
    key = presented_key(call.headers, call.query, config)
    if not key and call.staff:
        return None
    return await failed_keys().find_rights(key, call.address, config)


async def _method(rights: KeyRights, call: Call, body: bytes) -> Answer:
    """Run one method and return its answer. Raises the errors of `_run`."""
    outcome = await _run(rights, call.name, Raw(body))
    if isinstance(outcome, wire.ApiError):
        return _told(outcome, call.headers.get("x-centrifugo-error-mode", ""))
    told: dict[str, Any] = {"result": outcome}
    if isinstance(outcome, wire.BatchResult):
        # Clients read the replies of a batch beside `result`.
        told["replies"] = outcome.replies
    if _is_long(outcome):
        return Answer(HTTPStatus.OK, await asyncio.to_thread(msgspec.json.encode, told))
    return Answer(HTTPStatus.OK, msgspec.json.encode(told))


def _is_long(outcome: Struct) -> bool:
    """Whether to encode a result would keep the event loop for long."""
    values = (getattr(outcome, name) for name in outcome.__struct_fields__)
    return any(isinstance(value, dict | list | tuple) and len(value) > _LONG_RESULT for value in values)


async def _document(call: Call, rights: KeyRights | None) -> Answer:
    if rights is None and not call.staff:
        return _refused(HTTPStatus.UNAUTHORIZED)
    if call.verb not in ("GET", "HEAD"):
        return _refused(HTTPStatus.METHOD_NOT_ALLOWED, Allow="GET, HEAD")
    return Answer(HTTPStatus.OK, msgspec.json.encode(document()))


async def _lines(rights: KeyRights, body: bytes) -> Answer:
    """Run the commands of an older client, one in each line, in their order. The answer has one line per command.

    Raises:
        msgspec.DecodeError: there is no command, or a line is not one.
    """
    if body.count(b"\n") >= _COMMANDS:
        raise msgspec.DecodeError(f"there are at most {_COMMANDS} commands")
    commands = [msgspec.json.decode(line, type=wire.LineCommand) for line in body.split(b"\n") if line.strip()]
    unknown = [command.method for command in commands if command.method and command.method not in METHODS]
    if not commands or unknown:
        raise msgspec.DecodeError(f"there is no method {unknown[0]}" if unknown else "there is no command")
    return Answer(
        HTTPStatus.OK, b"\n".join([msgspec.json.encode(await _line(rights, command)) for command in commands])
    )


async def _line(rights: KeyRights, command: wire.LineCommand) -> dict[str, Any]:
    try:
        missing = wire.ApiError(Code.BAD_REQUEST, "method is required")
        outcome = await _run(rights, command.method, command.params) if command.method else missing
    except (msgspec.DecodeError, RecursionError) as error:
        outcome = wire.ApiError(Code.BAD_REQUEST, _why(error))
    told = {"error" if isinstance(outcome, wire.ApiError) else "result": outcome}
    return {"id": command.id, **told} if command.id else told


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "too deep"
    # The decoder takes half a surrogate pair for the beginning of a whole one.
    return "the text ends early, or holds half a surrogate pair" if str(error) == _TRUNCATED else str(error)


def _told(error: wire.ApiError, mode: str) -> Answer:
    if mode.lower() == "transport":
        return Answer(_STATUS.get(error.code, HTTPStatus.BAD_REQUEST), msgspec.json.encode(error))
    return Answer(HTTPStatus.OK, msgspec.json.encode({"error": error}))


def _refused(status: HTTPStatus, why: str = "", /, **headers: str) -> Answer:
    message = f"{status.phrase.lower()}: {why}" if why else status.phrase.lower()
    return Answer(status, msgspec.json.encode({"code": status.value, "message": message}), headers)


async def _run(rights: KeyRights, name: str, body: Raw) -> Struct | wire.ApiError:
    """Run one method and return its result or its error.

    Raises:
        msgspec.DecodeError: the body is not JSON, or a field has another type than the method's.
    """
    try:
        if len(bytes(body)) > _LONG_BODY:
            perform = await asyncio.to_thread(_prepare, rights, name, body)
        else:
            perform = _prepare(rights, name, body)
    except Refused as error:
        return api_error(error)
    return await _finish(name, perform)


async def _finish(name: str, perform: Perform) -> Struct | wire.ApiError:
    try:
        return await perform()
    except (Refused, IdempotencyConflict, UnrecoverablePosition) as error:
        return api_error(error)
    except NoNode as error:
        return wire.ApiError(Code.NOT_AVAILABLE, str(error))
    except Exception:  # noqa: BLE001 - the caller gets an answer for every error
        logger.exception("The API's %s failed", name)
        return wire.ApiError(Code.INTERNAL_ERROR, "internal server error")


def _prepare(rights: KeyRights, name: str, body: Raw) -> Perform:
    """Check and decode a request, and return a function that performs it.

    Raises:
        Refused: `PERMISSION_DENIED`, `METHOD_NOT_FOUND` or `BAD_REQUEST`.
        msgspec.DecodeError: the same errors as `_run`.
    """
    if name != "batch" and name not in METHODS:
        raise Refused(Code.METHOD_NOT_FOUND)
    rights.require_method(name, of_channel=name == "batch" or METHODS[name].of_channel)
    if name == "batch":
        request = _decode(body, wire.BatchRequest)
        return partial(_batch, _commands(rights, request), parallel=request.parallel)
    method = METHODS[name]
    return partial(method.run, rights, _decode(body, method.request))


def _commands(rights: KeyRights, request: wire.BatchRequest) -> list[Callable[[], Awaitable[dict[str, Any]]]]:
    """Decode the commands of a batch and return a function for each. All commands are decoded before the first runs, so
    a malformed batch changes nothing."""
    if len(request.commands) > _COMMANDS:
        raise Refused(Code.BAD_REQUEST, f"a batch has at most {_COMMANDS} commands")
    return [partial(_command, name, perform) for name, perform in (_parse(rights, it) for it in request.commands)]


def _parse(rights: KeyRights, command: dict[str, Raw] | None) -> tuple[str, Perform]:
    """The name of one command and a function that performs it. The function of a refused command raises its error."""
    named = {} if command is None else {name: body for name, body in command.items() if bytes(body) != b"null"}
    if command is None or len(named) > 1:
        return "", partial(_fail, Refused(Code.BAD_REQUEST, "a command is an object with the name of one method"))
    try:
        [(name, body)] = named.items() or [("", Raw(b"{}"))]
        return name, _prepare(rights, "" if name == "batch" else name, body)
    except Refused as error:
        return "", partial(_fail, error)


async def _fail(error: Refused) -> Struct:
    raise error


async def _batch(commands: Sequence[Callable[[], Awaitable[dict[str, Any]]]], *, parallel: bool) -> wire.BatchResult:
    return wire.BatchResult(await together(commands, parallel=parallel))


async def _command(name: str, perform: Perform) -> dict[str, Any]:
    outcome = await _finish(name, perform)
    return {"error" if isinstance(outcome, wire.ApiError) else name: outcome}


def _decode(body: Raw, kind: type[Struct]) -> Any:
    """Decode a request. A null field counts as missing, except in the payloads `data` and `params`.

    Raises:
        Refused: `BAD_REQUEST`, a required field is missing.
        msgspec.DecodeError: the same errors as `_run`.
    """
    fields = msgspec.json.decode(body, type=dict[str, Raw] | None) or {}
    given = {name: value for name, value in fields.items() if bytes(value) != b"null" or name in ("data", "params")}
    for known in msgspec.structs.fields(kind):
        if known.required and bytes(given.get(known.encode_name, b"")) in _NOTHING:
            raise Refused(Code.BAD_REQUEST, f"{known.encode_name} is required")
    return _named(msgspec.json.decode(msgspec.json.encode(given), type=kind))


def _named(request: Struct) -> Struct:
    """The request with the names of its channels in normal form C."""
    changes: dict[str, Any] = {
        name: normal(value)
        for name in ("channel", "pattern")
        if isinstance(value := getattr(request, name, None), str) and not value.isascii()
    }
    if isinstance(request, wire.BroadcastRequest):
        changes["channels"] = [normal(name) for name in request.channels]
    return msgspec.structs.replace(request, **changes) if changes else request
