"""The views that the load generator calls."""

import os

from django.http import HttpRequest, HttpResponse
from django.urls import path

import hotclub
from benchmarks.payload import payload


async def publish(_request: HttpRequest, first: int, count: int) -> HttpResponse:
    """Publish `count` messages with the numbers from `first` on."""
    for sequence in range(first, first + count):
        await hotclub.apublish("benchmark", payload(sequence))
    return HttpResponse("published")


async def pid(_request: HttpRequest) -> HttpResponse:
    """Answer with the id of the measured process."""
    return HttpResponse(str(os.getpid()))


urlpatterns = [path("publish/<int:first>/<int:count>/", publish), path("pid/", pid)]
