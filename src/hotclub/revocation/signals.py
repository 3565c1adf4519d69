"""Ends connections when Django's signals tell of the end of their login. `revocation/watch.py` finds the other ends.

- A logout, and the deactivation or deletion of a user, end the connections with 3503 "signed out". The code is final.
- A new password may leave the browser signed in. It ends the connections with 3011 "force reconnect", and the client
  reconnects with its present cookie. If the cookie opens nothing, the server refuses the connection with the final code
  3501, so the client does not try for ever.

What ends with a change leaves with the commit of the change, see `revocation/leaving.py`. Deleted sessions are found
without signals, see `revocation/deleted.py`.
"""

# ruff: noqa: ARG001, SLF001 - a signal gives its receivers more than they use; Django documents the underscored names

from collections.abc import Iterable
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.contrib.sessions.backends.base import SessionBase
from django.db import router
from django.db.models import Model
from django.db.models.signals import class_prepared, post_delete, post_save, pre_save
from django.http import HttpRequest

from hotclub.access.session import (
    LOGIN_KEY,
    keeps_no_sessions,
    login_of,
    name_login,
    session_model,
    session_store,
)
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.engine.target import Target
from hotclub.orders.messages import EndConnections
from hotclub.revocation.leaving import Ending, end_with_commit

SIGNED_OUT: Final = "signed out"

_BEFORE: Final = "_hotclub_before"

State = tuple[str, bool]
"""The hash of a user's password, as sessions keep it, and whether the user is active."""


def connect_signals() -> None:
    """Connect the receivers of the signals that end a login. The app calls it once, when the apps are ready."""
    user_logged_in.connect(_logged_in, dispatch_uid="hotclub.logged_in")
    user_logged_out.connect(_logged_out, dispatch_uid="hotclub.logged_out")
    for model in apps.get_models():
        _listen_to(model)
    class_prepared.connect(_listen_to, dispatch_uid="hotclub.class_prepared")


def _listen_to(sender: type[Model], **kwargs: Any) -> None:
    """Connect the receivers to the user model, its proxies and its children. Django names the class that was saved."""
    user_model = get_user_model()
    if not issubclass(sender, user_model):
        return
    pre_save.connect(_before_save, sender=sender, dispatch_uid="hotclub.before_save")
    post_save.connect(_user_saved, sender=sender, dispatch_uid="hotclub.user_saved")
    if sender._meta.concrete_model is user_model._meta.concrete_model:
        # With the row of a child, Django also deletes the row of the user model, and tells of both.
        post_delete.connect(_user_deleted, sender=sender, dispatch_uid="hotclub.user_deleted")


def _logged_in(sender: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    session = getattr(request, "session", None)
    if request is None or not isinstance(session, SessionBase):
        return
    name_login(session)
    if keeps_no_sessions():
        _end_former(request, session)


def _end_former(request: HttpRequest, session: SessionBase) -> None:
    """End the login that the browser's signed cookie names, where another one takes its place in this browser."""
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    former = session_store(key)
    if key is None or SESSION_KEY not in former:
        return
    login = login_of(former, key)
    if login != login_of(session, session.session_key):
        reason = Disconnect(Close.FORCE_RECONNECT)
        end_with_commit("", Ending(EndConnections(Target(login_id=login), reason.code, reason.reason), login=login))


def _logged_out(sender: Any, request: HttpRequest | None, user: AbstractBaseUser | None, **kwargs: Any) -> None:
    session = getattr(request, "session", None)
    if not isinstance(session, SessionBase) or not session.session_key or SESSION_KEY not in session:
        return
    key, model = session.session_key, session_model()
    if keeps_no_sessions() and LOGIN_KEY not in session:
        # Only the user is common to the cookies of such a login. The user's other browsers come back.
        end_with_commit("", Ending(_reconnect(str(session[SESSION_KEY]))))
        return
    login = login_of(session, key)
    ending = Ending(EndConnections(Target(login_id=login), Close.FORCE_DISCONNECT, SIGNED_OUT), login=login)
    if model is None:
        end_with_commit("", ending)
    else:
        using = router.db_for_write(model)
        rows = model._default_manager.using(using).filter(session_key=key)
        end_with_commit(using, ending, lambda: not rows.all().exists())


def _before_save(
    sender: type[AbstractBaseUser],
    instance: AbstractBaseUser,
    raw: bool,
    using: str,
    update_fields: Iterable[str] | None,
    **kwargs: Any,
) -> None:
    instance.__dict__.pop(_BEFORE, None)
    if raw or _is_new(instance) or (update_fields is not None and not {"password", "is_active"} & set(update_fields)):
        return
    before = _state(using, _user_key(instance))
    if before is not None:
        instance.__dict__[_BEFORE] = before


def _user_saved(sender: Any, instance: AbstractBaseUser, using: str, **kwargs: Any) -> None:
    before: State | None = instance.__dict__.pop(_BEFORE, None)
    if before is None:
        return
    key = _user_key(instance)
    if before[1] and not instance.is_active:
        order = _sign_out(str(key))
    elif before[0] != instance.get_session_auth_hash():
        order = _reconnect(str(key))
    else:
        return
    end_with_commit(using, Ending(order), lambda: _state(using, key) != before)


def _user_deleted(sender: Any, instance: AbstractBaseUser, using: str, **kwargs: Any) -> None:
    key = _user_key(instance)
    end_with_commit(using, Ending(_sign_out(str(key))), lambda: _state(using, key) is None)


def _user_key(instance: AbstractBaseUser) -> Any:
    """Return the primary key of the user, which a child of the user model may have beside a key of its own."""
    return getattr(instance, str(get_user_model()._meta.pk.attname))


def _is_new(instance: AbstractBaseUser) -> bool:
    """Whether Django inserts the row. With a key that the project has given, Django may also update a row."""
    return instance._state.adding and (_user_key(instance) is None or get_user_model()._meta.pk.has_default())


def _state(using: str, key: Any) -> State | None:
    """Return the state of the user's row, None without a row."""
    user = get_user_model()._base_manager.using(using).filter(pk=key).first()
    return None if user is None else (user.get_session_auth_hash(), user.is_active)


def _sign_out(user_id: str) -> EndConnections:
    return EndConnections(Target(user_id=user_id), Close.FORCE_DISCONNECT, SIGNED_OUT)


def _reconnect(user_id: str) -> EndConnections:
    reason = Disconnect(Close.FORCE_RECONNECT)
    return EndConnections(Target(user_id=user_id), reason.code, reason.reason)
