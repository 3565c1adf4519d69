"""A sealed session key opens a session of this site alone."""

from typing import Any

import pytest
from django.http import HttpRequest

from hotclub.access.sealing import seal, unseal
from hotclub.access.tickets import redeem
from hotclub.models import Ticket
from hotclub.tokens import ticket
from tests.hotclub.access.test_admission import request_of
from tests.hotclub.conftest import make_person

KEY = "0123456789abcdef"


def test_a_sealed_key_tells_nothing_and_is_read_again() -> None:
    assert KEY not in seal(KEY)
    assert seal(KEY) != seal(KEY)
    assert unseal(seal(KEY)) == KEY


@pytest.mark.parametrize("text", ["", KEY, "gAAAA", "schlüssel", seal(KEY)[:-2] + "AA"])
def test_any_other_text_is_no_sealed_key(text: str) -> None:
    assert unseal(text) is None


def test_a_key_that_an_older_secret_has_sealed_is_read_while_the_project_keeps_that_secret(settings: Any) -> None:
    sealed = seal(KEY)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    assert unseal(sealed) == KEY
    settings.SECRET_KEY_FALLBACKS = []
    assert unseal(sealed) is None


@pytest.mark.django_db(transaction=True)
def test_the_row_of_a_ticket_holds_no_session_key() -> None:
    person = make_person()
    text = ticket(request_of(person))

    assert person.session_key not in Ticket.objects.get().session_key
    assert redeem(text) == person.session_key


@pytest.mark.django_db(transaction=True)
def test_a_ticket_without_a_session_is_a_visitor_s() -> None:
    assert redeem(ticket(HttpRequest())) == ""
