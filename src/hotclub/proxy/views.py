"""The hooks as Django views."""

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt

from hotclub.access.handshake import client_address
from hotclub.conf.config import get_config
from hotclub.engine.codes import Code
from hotclub.engine.errors import Disconnect, IdempotencyConflict, Refused
from hotclub.engine.observe import logger
from hotclub.engine.port import Handshake
from hotclub.proxy.backend import Backend, Shared, handshake_of
from hotclub.proxy.hooks import HOOKS
from hotclub.proxy.messages import Question, read_question
from hotclub.runtime.node import NoNode

SHORTEST: Final = 16
"""Characters of a secret that cannot be guessed."""
HEADER: Final = "X-Hotclub-Secret"

View = Callable[..., Any]
"""Loose, because the type stubs know no async view."""


def urls(*, secret: str, header: str = HEADER, recheck: timedelta | None = None) -> list[URLPattern]:
    """URL patterns for `include()`: `connect`, `refresh`, `subscribe`, `sub_refresh`, `publish`, `rpc`, `map_publish`,
    `map_remove` and `shared_poll_refresh`, to be named in the server's configuration.

    Args:
        secret: what the server sends in the header; without it a hook answers 403. At least 16 characters, because
            whoever knows it can be any user.
        header: the name of that header.
        recheck: how long a subscription lives until the server has to ask `sub_refresh` whether it may go on; None for
            as long as its connection. The server must have that hook for all of its channels.

    Raises:
        ImproperlyConfigured: the secret is too short.
    """
    if len(secret) < SHORTEST:
        raise ImproperlyConfigured(f"hotclub.proxy.urls() needs a secret of {SHORTEST} characters or more")
    return [path("<str:hook>", _view(secret, header, _seconds(recheck)), name="hotclub-proxy")]


def _seconds(interval: timedelta | None) -> int:
    return 0 if interval is None else max(1, round(interval.total_seconds()))


def _view(secret: str, header: str, recheck: int) -> View:
    shared: Shared | None = None

    @csrf_exempt
    async def hook_view(request: HttpRequest, hook: str) -> HttpResponse:
        nonlocal shared
        if not constant_time_compare(request.headers.get(header, ""), secret):
            return HttpResponse(status=HTTPStatus.FORBIDDEN)
        if hook not in HOOKS:
            return HttpResponse(status=HTTPStatus.NOT_FOUND)
        if request.method != "POST":
            return HttpResponse(status=HTTPStatus.METHOD_NOT_ALLOWED)
        try:
            question = read_question(request.body)
        except msgspec.DecodeError:
            return HttpResponse(status=HTTPStatus.BAD_REQUEST)
        shared = Shared.current(shared)
        outcome = await _outcome(Backend(shared, _handshake(request, header), recheck), hook, question)
        return HttpResponse(msgspec.json.encode(outcome), content_type="application/json")

    return hook_view


def _handshake(request: HttpRequest, secret_header: str) -> Handshake:
    headers = {name.lower(): value for name, value in request.headers.items() if name.lower() != secret_header.lower()}
    address = client_address(request.META.get("REMOTE_ADDR", ""), headers, get_config().trusted_proxies)
    return handshake_of(headers, address, request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""))


async def _outcome(backend: Backend, hook: str, question: Question) -> dict[str, Any]:
    """The answer: a result, an error for the client, or the end of its connection."""
    try:
        return {"result": await HOOKS[hook](backend, question)}
    except Refused as error:
        return _error(error.code, error.message, temporary=error.temporary)
    except IdempotencyConflict as conflict:
        return _error(Code.BAD_REQUEST, str(conflict))
    except NoNode as error:
        return _error(Code.NOT_AVAILABLE, str(error))
    except Disconnect as end:
        return {"disconnect": {"code": end.code, "reason": end.reason}}
    except Exception:  # noqa: BLE001 - a status would be retried, and the client is to hear of it
        logger.exception("The hook %s failed", hook)
        return _error(Code.INTERNAL_ERROR, "internal server error", temporary=True)


def _error(code: int, message: str, *, temporary: bool = False) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    return {"error": {**error, "temporary": True} if temporary else error}
