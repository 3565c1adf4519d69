"""Ends connections when Django's signals tell of the end of their login. `revocation/watch.py` finds the other ends.

- A logout, and the deactivation or deletion of a user, end the connections with 3503 "signed out". The code is final.
- A rotated session key, a new password and a deleted session may leave the browser signed in. They end the connections
  with 3011 "force reconnect", and the client reconnects with its present cookie. If the cookie opens nothing, the
  server refuses the connection with the final code 3501, so the client does not try for ever.
"""

# ruff: noqa: ARG001, SLF001 - a signal gives its receivers more than they use; Django documents the underscored names

from collections.abc import Iterable
from typing import Any, Final

from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import router
from django.db.models.signals import post_delete, post_save, pre_save
from django.http import HttpRequest
from django.utils import timezone

from hotclub.access.ended import revoke_login
from hotclub.access.session import login_id, session_model
from hotclub.actions.connections import disconnect
from hotclub.conf.config import get_config
from hotclub.engine.codes import Close
from hotclub.engine.errors import Disconnect
from hotclub.runtime.node import after_commit

SIGNED_OUT: Final = "signed out"

_BEFORE: Final = "_hotclub_before"


def connect_signals() -> None:
    """Connect the receivers of the signals that end a login. The app calls it once, when the apps are ready."""
    user_model = get_user_model()
    user_logged_out.connect(_logged_out, dispatch_uid="hotclub.logged_out")
    pre_save.connect(_before_save, sender=user_model, dispatch_uid="hotclub.before_save")
    post_save.connect(_user_saved, sender=user_model, dispatch_uid="hotclub.user_saved")
    post_delete.connect(_user_deleted, sender=user_model, dispatch_uid="hotclub.user_deleted")
    if (model := session_model()) is not None:
        post_delete.connect(_session_deleted, sender=model, dispatch_uid="hotclub.session_deleted")


def _logged_out(sender: Any, request: HttpRequest | None, **kwargs: Any) -> None:
    session = getattr(request, "session", None)
    if session is not None and session.session_key:
        _end_tokens(session.session_key)
        using = router.db_for_write(session_model() or get_user_model())
        _after_commit(using, login=login_id(session.session_key), code=Close.FORCE_DISCONNECT, reason=SIGNED_OUT)


def _session_deleted(sender: Any, instance: AbstractBaseSession, using: str, **kwargs: Any) -> None:
    # A login deletes the anonymous session, and `clearsessions` deletes expired sessions by the thousand. No connection
    # is signed in with either.
    if instance.expire_date > timezone.now() and SESSION_KEY in instance.get_decoded():
        _end_tokens(instance.session_key)
        _reconnect(using, login=login_id(instance.session_key))


def _before_save(
    sender: type[AbstractBaseUser],
    instance: AbstractBaseUser,
    using: str,
    update_fields: Iterable[str] | None,
    **kwargs: Any,
) -> None:
    instance.__dict__.pop(_BEFORE, None)
    if instance._state.adding or (update_fields is not None and not {"password", "is_active"} & set(update_fields)):
        return
    before = sender._base_manager.using(using).filter(pk=instance.pk).first()
    if before is not None:
        instance.__dict__[_BEFORE] = (before.get_session_auth_hash(), before.is_active)


def _user_saved(sender: Any, instance: AbstractBaseUser, using: str, **kwargs: Any) -> None:
    before: tuple[str, bool] | None = instance.__dict__.pop(_BEFORE, None)
    if before is None:
        return
    auth_hash, was_active = before
    if was_active and not instance.is_active:
        _after_commit(using, user=str(instance.pk), code=Close.FORCE_DISCONNECT, reason=SIGNED_OUT)
    elif auth_hash != instance.get_session_auth_hash():
        _reconnect(using, user=str(instance.pk))


def _user_deleted(sender: Any, instance: AbstractBaseUser, using: str, **kwargs: Any) -> None:
    _after_commit(using, user=str(instance.pk), code=Close.FORCE_DISCONNECT, reason=SIGNED_OUT)


def _end_tokens(session_key: str) -> None:
    """Revoke the tokens of this session, in the caller's transaction."""
    if get_config().tokens is not None:
        revoke_login(login_id(session_key))


def _reconnect(using: str, **target: str) -> None:
    reason = Disconnect(Close.FORCE_RECONNECT)
    _after_commit(using, **target, code=reason.code, reason=reason.reason)


def _after_commit(using: str, **whom_and_how: Any) -> None:
    """Call `disconnect` after the commit of the database `using`, which holds the users or the sessions.

    A failing `disconnect` does not fail the logout: the regular look at logins ends the connections later.
    """
    after_commit(lambda: disconnect(**whom_and_how), using)
