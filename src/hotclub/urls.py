"""The HTTP API as Django views, for projects that route by themselves: `path("api/", include("hotclub.urls"))`."""

from http import HTTPStatus

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from hotclub.access.handshake import client_address
from hotclub.conf.config import Config, get_config
from hotclub.engine.transports.stream import HttpError
from hotclub.http_api.endpoint import LINES, NAMES, Call, answer

app_name = "hotclub"


@csrf_exempt
async def api(request: HttpRequest, name: str) -> HttpResponse:
    """Answer one request to the HTTP API (protocol §8.1).

    An API key authenticates the request. A staff user may read the OpenAPI document with the session cookie instead.

    Args:
        request: the request.
        name: a method of the API, `openapi.json`, or `LINES` for the API's path itself; any other name gets 404.
    """
    if name != LINES and name not in NAMES:
        return HttpResponse(status=404)
    headers = {key.lower(): value for key, value in request.headers.items()}
    user = await request.auser() if hasattr(request, "auser") else None
    staff = user is not None and bool(getattr(user, "is_staff", False)) and user.is_active
    query = request.META.get("QUERY_STRING", "")
    address = client_address(request.META.get("REMOTE_ADDR", ""), headers, get_config().trusted_proxies)

    async def read(config: Config) -> bytes:
        # Django has received the body before it calls the view; a large one is in a file.
        body = request.read(config.api_body_bytes + 1)
        if len(body) > config.api_body_bytes:
            raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return body

    outcome = await answer(Call(request.method or "", name, headers, query, address, read, staff=staff))
    response = HttpResponse(outcome.body, status=outcome.status, content_type="application/json")
    response["Cache-Control"] = "no-store"
    for header, value in outcome.headers.items():
        response[header] = value
    return response


urlpatterns = [path("", api, {"name": LINES}, name="api-lines"), path("<str:name>", api, name="api")]
