"""Views that publish under the circumstances that a test is about. Each runs in a thread of its own."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from hotclub import publish


def in_a_thread(view: Callable[[HttpRequest], dict[str, Any]]) -> Callable[..., Any]:
    """Two requests shall be able to contend, which Django's one thread for synchronous views would prevent."""

    async def run(request: HttpRequest) -> JsonResponse:
        return JsonResponse(await sync_to_async(view, thread_sensitive=False)(request))

    return run


def publish_now(request: HttpRequest) -> dict[str, Any]:
    channel, text = request.GET["channel"], request.GET["id"]
    return _told(publish(channel, {"id": text}, idempotency_key=text))


def hold(request: HttpRequest) -> dict[str, Any]:
    """Publish first, then keep the transaction open for `ms`; `fail` rolls it back at the end."""
    text = request.GET["id"]
    with transaction.atomic():
        position = publish(request.GET["channel"], {"id": text}, idempotency_key=text)
        time.sleep(int(request.GET["ms"]) / 1_000)
        transaction.set_rollback("fail" in request.GET)
    return _told(position)


def savepoints(request: HttpRequest) -> dict[str, Any]:
    """Before, within and after a savepoint that is rolled back, in a transaction that is committed."""
    channel = request.GET["channel"]
    with transaction.atomic():
        publish(channel, {"id": "before"})
        with transaction.atomic():
            publish(channel, {"id": "within"})
            transaction.set_rollback(True)
        return _told(publish(channel, {"id": "after"}))


def commit_and_die(request: HttpRequest) -> dict[str, Any]:
    """SIGKILL between the commit and the signal: the callback registered first runs first."""
    with transaction.atomic():
        transaction.on_commit(lambda: os.kill(os.getpid(), signal.SIGKILL))
        publish(request.GET["channel"], {"id": request.GET["id"]})
    raise AssertionError("still alive")


def _told(position: Any) -> dict[str, Any]:
    return {"epoch": position.epoch, "offset": position.offset} if position else {}


async def blank(request: HttpRequest) -> HttpResponse:
    """A page for scripts that a test brings along."""
    return HttpResponse('<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>blank</title>')


async def length(request: HttpRequest) -> HttpResponse:
    """The length of the request's body."""
    return HttpResponse(str(len(request.body)))


async def big(request: HttpRequest) -> HttpResponse:
    """A page of so many bytes."""
    return HttpResponse(b"x" * int(request.GET["bytes"]))


urlpatterns = [
    path("length/", length),
    path("big/", big),
    path("blank/", blank),
    path("publish/", in_a_thread(publish_now)),
    path("hold/", in_a_thread(hold)),
    path("savepoints/", in_a_thread(savepoints)),
    path("commit-and-die/", in_a_thread(commit_and_die)),
]
