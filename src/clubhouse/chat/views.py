"""The pages of the chat, and its messages as JSON."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.contrib.auth.mixins import LoginRequiredMixin
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe
from django.views.generic import FormView

from clubhouse.accounts.services import User
from clubhouse.chat import queries, services
from clubhouse.chat.errors import (
    BadMessage,
    ChatError,
    EmptyMessage,
    MessageTooLong,
    NotAMember,
    TooFast,
    TooManyMemberships,
    TooManyRooms,
)
from clubhouse.chat.forms import RoomForm
from clubhouse.chat.models import Room
from clubhouse.chat.names import RoomNameTaken

_LAST_OFFSET = 2**63 - 1

_RoomView = Callable[[HttpRequest, int], HttpResponse]


def _form_of_room(view: _RoomView) -> _RoomView:
    """Make a view that takes a form of a room's page, and leads everything but a form to that page.

    A log-in leads to the address of the form that a person has sent without being logged in.
    """

    @login_required
    @require_http_methods(["GET", "HEAD", "POST"])
    @wraps(view)
    def received(request: HttpRequest, room_id: int) -> HttpResponse:
        return view(request, room_id) if request.method == "POST" else redirect("chat:room", room_id)

    return received


@login_required
@require_safe
def rooms(request: HttpRequest) -> HttpResponse:
    """Show the user's rooms and the rooms that the user can join."""
    user = _user(request)
    context = {
        "joined": queries.joined_rooms(user, _number(request, "rooms")),
        "others": queries.other_rooms(user, _number(request, "page")),
    }
    return render(request, "chat/rooms.html", context)


@login_required
@require_safe
@never_cache
def room(request: HttpRequest, room_id: int) -> HttpResponse:
    """Show the room to its members, and to others a button to join it."""
    user = _user(request)
    room = get_object_or_404(Room, pk=room_id)
    page = _number(request, "rooms", queries.page_of_room(user, room))
    context: dict[str, Any] = {"room": room, "joined": queries.joined_rooms(user, page)}
    try:
        context["data"] = queries.snapshot(room, user)
        before = _number(request, "before", 0)
        # What pages without scripts show; the others load older messages as they are scrolled.
        context["shown"] = queries.page_before(room, user, before) if before else context["data"]
        context["earlier"] = bool(before)
    except NotAMember:
        context["num_members"] = room.memberships.count()
        return render(request, "chat/join.html", context)
    return render(request, "chat/room.html", context)


@login_required
@require_safe
def people(request: HttpRequest, room_id: int) -> HttpResponse:
    """Show a page of the room's members to its members."""
    user = _user(request)
    room = get_object_or_404(Room, pk=room_id)
    if not services.is_member(room.pk, user):
        return redirect("chat:room", room.pk)
    context = {
        "room": room,
        "joined": queries.joined_rooms(user, _number(request, "rooms", queries.page_of_room(user, room))),
        "members": queries.members(room, _number(request, "page")),
        "me": user,
    }
    return render(request, "chat/people.html", context)


@require_safe
@never_cache
def messages(request: HttpRequest, room_id: int) -> HttpResponse:
    """Answer with the page of messages that ends before the offset `?before=`, or with the newest page, as JSON.

    The status is 401 for visitors, 403 for users who are not in the room, and 404 when the room does not exist.
    """
    if not isinstance(request.user, User):
        return JsonResponse({"error": "log in"}, status=401)
    try:
        before = int(request.GET.get("before", _LAST_OFFSET))
    except ValueError:
        return JsonResponse({"error": "before must be a number"}, status=400)
    room = Room.objects.filter(pk=room_id).first()
    if room is None:
        return JsonResponse({"error": "no such room"}, status=404)
    try:
        page = queries.page_before(room, request.user, max(0, min(before, _LAST_OFFSET)))
    except NotAMember as error:
        return JsonResponse({"error": str(error)}, status=error.code)
    return JsonResponse(page)


class CreateRoomView(LoginRequiredMixin, FormView):  # type: ignore[type-arg]  # generic in the stubs only
    """Creates a room."""

    form_class = RoomForm
    template_name = "chat/create.html"

    def form_valid(self, form: RoomForm) -> HttpResponse:
        """Create the room and go to it."""
        try:
            room = services.create_room(_user(self.request), **form.cleaned_data)
        except IntegrityError:
            # Somebody has created a room with this name after the form was checked.
            form.add_error("name", form.fields["name"].error_messages["unique"])
            return self.form_invalid(form)
        except RoomNameTaken as error:
            form.add_error(None, error)
            return self.form_invalid(form)
        except (TooManyRooms, TooManyMemberships) as error:
            form.add_error(None, _in_words(error))
            return self.form_invalid(form)
        return redirect("chat:room", room.pk)


@_form_of_room
def join(request: HttpRequest, room_id: int) -> HttpResponse:
    """Join the room and go to it."""
    try:
        services.join_room(_user(request), get_object_or_404(Room, pk=room_id))
    except TooManyMemberships as error:
        notices.error(request, _in_words(error))
        return redirect("chat:rooms")
    return redirect("chat:room", room_id)


@_form_of_room
def leave(request: HttpRequest, room_id: int) -> HttpResponse:
    """Leave the room and go to the list of rooms."""
    room = get_object_or_404(Room, pk=room_id)
    services.leave_room(_user(request), room)
    notices.success(request, _("You have left %(room)s.") % {"room": room.name})
    return redirect("chat:rooms")


@_form_of_room
def send(request: HttpRequest, room_id: int) -> HttpResponse:
    """Post a message from a page without scripts, and go back to the room. A refusal becomes a notice there."""
    try:
        client_id = UUID(request.POST.get("id", ""))
        # Browsers send each line end of a form as CR LF.
        services.post_message(room_id, _user(request), client_id, request.POST.get("text", "").replace("\r\n", "\n"))
    except ValueError:
        notices.error(request, _in_words(BadMessage()))
    except ChatError as error:
        notices.error(request, _in_words(error))
    return HttpResponseRedirect(request.path.removesuffix("send/"))


def _in_words(error: ChatError) -> str:
    match error:
        case EmptyMessage():
            text = _("There is nothing to send.")
        case MessageTooLong():
            text = _("This is too long: a message has at most 10,000 characters.")
        case TooFast():
            text = ngettext(
                "Too fast – wait %(seconds)d second.", "Too fast – wait %(seconds)d seconds.", error.seconds
            ) % {"seconds": error.seconds}
        case NotAMember():
            text = _("You no longer have access to this room.")
        case TooManyRooms() | TooManyMemberships():
            text = _limit_in_words(error)
        case _other:
            text = _("The message was not accepted.")
    return text


def _limit_in_words(error: TooManyRooms | TooManyMemberships) -> str:
    if isinstance(error, TooManyRooms):
        text = ngettext(
            "You have made %(count)d room, and nobody may make more.",
            "You have made %(count)d rooms, and nobody may make more.",
            error.limit,
        )
    else:
        text = ngettext(
            "You are in %(count)d room, and nobody may be in more. Leave one first.",
            "You are in %(count)d rooms, and nobody may be in more. Leave one first.",
            error.limit,
        )
    return text % {"count": error.limit}


def _number(request: HttpRequest, name: str, default: int = 1) -> int:
    """Return the number of a page or message in the query, or `default` when there is none."""
    value = request.GET.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else default


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "the view requires a login"
    return request.user
