"""The command `demo`, which creates the demo data."""

from datetime import timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import get_random_string

from clubhouse.accounts.services import User
from clubhouse.chat import services
from clubhouse.chat.demo import PASSWORD, PEOPLE, ROOMS, DemoRoom
from clubhouse.chat.models import Message, Room

_LOCAL: Final = {"localhost", "[::1]", ".localhost"}


class Command(BaseCommand):
    """Creates the demo accounts and rooms on a site that has none of them. It changes nothing that exists.

    On a site for this machine alone the password is the one of `clubhouse.chat.demo`; elsewhere it is a random one.
    """

    help = "Create two demo accounts and rooms with messages."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Create what is missing, and print the names and the password of the accounts."""
        existing = {user.username: user for user in User.objects.filter(username__in=PEOPLE)}
        if existing and not _made_earlier(existing):
            self.stdout.write(f"No demo data: somebody else has an account named {' or '.join(existing)}.")
            return
        password = PASSWORD if _is_local() else get_random_string(16)
        people = {name: existing.get(name) or _account(name, password) for name in PEOPLE}
        for number, demo in enumerate(ROOMS):
            self._room(number, demo, people)
        self._announce(existing, password)

    def _announce(self, existing: dict[str, User], password: str) -> None:
        public = password == PASSWORD
        kept = [] if public else [name for name, user in existing.items() if not _renewed(user, password)]
        if names := [name for name in PEOPLE if name not in kept]:
            accounts, shown = self.style.SUCCESS(" / ".join(names)), self.style.SUCCESS(password)
            self.stdout.write(f"Demo accounts: {accounts}, password: {shown}")
        if kept:
            accounts = self.style.SUCCESS(" / ".join(kept))
            self.stdout.write(f"Demo accounts: {accounts}, with the password that they have.")

    def _room(self, number: int, demo: DemoRoom, people: dict[str, User]) -> None:
        if Room.objects.filter(name=demo.name).exists():
            return
        room = services.create_room(people[demo.members[0]], demo.name, demo.topic)
        memberships = {name: services.join_room(people[name], room) for name in demo.members}
        start = timezone.now() - timedelta(hours=3 * number + 2)
        for index, (name, text) in enumerate(demo.conversation):
            client_id = _client_id(number, index)
            message = services.record_message(memberships[name], client_id, text, start + timedelta(minutes=2 * index))
            # Authors have read the room up to their own message, so the others find unread messages.
            services.mark_read(room.pk, people[name], message.offset)


def _account(name: str, password: str) -> User:
    display_name, language = PEOPLE[name]
    return User.objects.create_user(name, password=password, display_name=display_name, language=language)


def _renewed(user: User, password: str) -> bool:
    """Whether the account had the public password, from a run when only this machine reached the site."""
    if not user.check_password(PASSWORD):
        return False
    user.set_password(password)
    user.save(update_fields=["password"])
    return True


def _made_earlier(accounts: dict[str, User]) -> bool:
    """Whether all of these accounts are of the demo: it has written in their names."""
    wrote = Message.objects.filter(author__in=accounts.values(), client_id__in=_client_ids()).values("author")
    return wrote.distinct().count() == len(accounts)


def _client_ids() -> list[UUID]:
    return [_client_id(number, index) for number, demo in enumerate(ROOMS) for index in range(len(demo.conversation))]


def _client_id(room: int, message: int) -> UUID:
    return uuid5(NAMESPACE_URL, f"hotclub-demo/{room}/{message}")


def _is_local() -> bool:
    """Whether the site answers to names of this machine alone."""
    return all(host in _LOCAL or host.startswith("127.") for host in settings.ALLOWED_HOSTS)
