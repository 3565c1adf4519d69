"""The hooks of a stand-alone server as Django views."""

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
from hotclub.runtime.encoding import NotUtf8, utf8
from hotclub.runtime.node import NoNode

SHORTEST: Final = 16
"""The fewest characters of a secret."""
HEADER: Final = "X-Hotclub-Secret"
"""The default name of the header with the secret."""

View = Callable[..., Any]
"""A Django view. The type stubs have no type for an async one."""


def urls(*, secret: str, header: str = HEADER, recheck: timedelta | None = None) -> list[URLPattern]:
    """URL patterns for `include()`. The server's configuration names their URLs: `connect`, `refresh`, `subscribe`,
    `sub_refresh`, `publish`, `rpc`, `map_publish`, `map_remove` and `shared_poll_refresh`.

    Args:
        secret: the text that the server sends in the header, of at least 16 characters. A request without it is
            answered with 403; a request with it can act as any user.
        header: the name of the header.
        recheck: the time after which the server asks `sub_refresh` whether a subscription may stay; None for never.
            With it the server must call `sub_refresh` for all of its channels.

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
            question = read_question(utf8(request.body))
        except (msgspec.DecodeError, NotUtf8, RecursionError):
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
    """The answer to a question: a result, an error for the client, or the end of its connection."""
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
    except Exception:  # noqa: BLE001 - the server would retry after an error status, and not tell the client
        logger.exception("The hook %s failed", hook)
        return _error(Code.INTERNAL_ERROR, "internal server error", temporary=True)


def _error(code: int, message: str, *, temporary: bool = False) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    return {"error": {**error, "temporary": True} if temporary else error}
