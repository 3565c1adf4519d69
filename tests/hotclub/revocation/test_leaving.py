"""What ends with a change of users or sessions leaves with the commit of that change, and never without it.

In most tests Hotclub's tables are in another database than the users and sessions. No node runs: the rows of orders
tell what has left.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection, connections, transaction

from hotclub.models import Order
from hotclub.runtime.tables import database
from tests.hotclub.conftest import make_person
from tests.hotclub.revocation.test_signals_and_watch import log_out_like_the_view
from tests.support.stores import ALIAS, another_database, postgres_url, store

__all__ = ["postgres_url", "store"]

pytestmark = pytest.mark.django_db(transaction=True)


def left() -> list[str]:
    """The users and logins whose connections were ended, oldest first."""
    payloads = Order.objects.using(database()).order_by("pk").values_list("payload", flat=True)
    targets = [json.loads(payload).get("target", {}) for payload in payloads]
    return [target.get("user_id") or target.get("login_id") or "everybody" for target in targets]


@pytest.fixture(params=["the same", "sqlite"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hotclub's tables are in the database of users and sessions, or in another one."""
    if request.param == "the same":
        yield
        return
    with another_database(request.param, request, tmp_path, monkeypatch):
        yield


def deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


def reactivate(user: Any) -> None:
    get_user_model()._default_manager.filter(pk=user.pk).update(is_active=True)
    user.is_active = True


@contextlib.contextmanager
def rolled_back() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


LOOK = "the deletion of all sessions"
"""Its order ends nothing by itself: it asks for a look at the logins."""

CHANGES: dict[str, Callable[[Any], Any]] = {
    "deactivation": lambda person: deactivate(person.user),
    "deletion": lambda person: type(person.user)(pk=person.user.pk).delete(),
    "log-out": log_out_like_the_view,
    "a session's deletion": lambda person: Session.objects.filter(pk=person.session_key).delete(),
    LOOK: lambda person: Session.objects.all().delete(),
}


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("change", CHANGES)
def test_an_order_leaves_with_the_commit_and_not_before_or_without_it(change: str) -> None:
    person = make_person()
    with rolled_back():
        CHANGES[change](person)
    assert left() == []

    with transaction.atomic():
        CHANGES[change](person)
        if database() != "default":
            assert left() == [], "nothing has been committed"

    assert left() != []


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("change", CHANGES)
def test_without_a_transaction_an_order_leaves_at_once(change: str) -> None:
    CHANGES[change](make_person())

    assert left() != []


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("change", [name for name in CHANGES if name != LOOK])
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_savepoint_that_is_rolled_back_takes_its_orders_with_it(change: str, by_hand: bool) -> None:
    person = make_person()
    with transaction.atomic():
        if by_hand:
            # Django keeps the callbacks of such a savepoint.
            savepoint = str(connection.savepoint())
            CHANGES[change](person)
            connection.savepoint_rollback(savepoint)
        else:
            with contextlib.suppress(LookupError), transaction.atomic():
                CHANGES[change](person)
                raise LookupError
    assert left() == []

    with transaction.atomic():
        kept = connection.savepoint()
        CHANGES[change](person)
        connection.savepoint_commit(str(kept))

    assert left() != []


def settle() -> None:
    """Wait for the endings that leave in threads of their own."""
    for thread in threading.enumerate():
        if thread.name == "hotclub ending":
            thread.join(20)


@pytest.mark.usefixtures("store")
def test_a_transaction_of_hotclub_s_own_database_neither_holds_nor_takes_back_the_orders() -> None:
    person = make_person()
    with contextlib.suppress(LookupError), transaction.atomic(using=ALIAS):
        with transaction.atomic():
            deactivate(person.user)
        raise LookupError
    settle()

    assert left() == [str(person.user.pk)], "the user was committed as inactive"


@pytest.mark.usefixtures("anywhere")
def test_an_order_is_not_lost_when_a_callback_of_the_project_fails() -> None:
    person = make_person()

    def change() -> None:
        with transaction.atomic():
            if database() == "default":
                # Django calls no callback after a failed one. With two databases the regular look ends the connection.
                transaction.on_commit(lambda: 1 / 0)
            deactivate(person.user)
            transaction.on_commit(lambda: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        change()

    assert left() == [str(person.user.pk)]


@pytest.mark.usefixtures("anywhere")
def test_a_project_that_commits_by_itself_can_change_users() -> None:
    person = make_person()
    connection.set_autocommit(False)
    try:
        deactivate(person.user)
        connection.rollback()
        assert left() == []
        reactivate(person.user)
        deactivate(person.user)
        connection.commit()
    finally:
        connection.set_autocommit(True)

    # Django does not tell when the project has committed another database.
    assert left() == ([str(person.user.pk)] if database() == "default" else [])


@pytest.mark.usefixtures("anywhere")
def test_a_log_out_succeeds_when_the_orders_fail(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    person = make_person()

    def fail(*_args: Any) -> None:
        with connections[database()].cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")

    monkeypatch.setattr("hotclub.orders.table.send", fail)
    with transaction.atomic():
        log_out_like_the_view(person)

    assert not Session.objects.filter(pk=person.session_key).exists()
    assert "no_such_table" in caplog.text
