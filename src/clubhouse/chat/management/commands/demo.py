"""The command `demo`, which creates the demo data."""

from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from clubhouse.accounts.services import User
from clubhouse.chat import services
from clubhouse.chat.demo import PASSWORD, PEOPLE, ROOMS, DemoRoom
from clubhouse.chat.models import Room


class Command(BaseCommand):
    """Creates the demo accounts and rooms that do not exist yet. It changes nothing that exists."""

    help = "Create two demo accounts and rooms with messages. Their password is public: do not use this on a live site."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Create what is missing, and print the names and the password of the accounts."""
        people = {name: self._account(name) for name in PEOPLE}
        for number, demo in enumerate(ROOMS):
            self._room(number, demo, people)
        names = self.style.SUCCESS(" / ".join(PEOPLE))
        self.stdout.write(f"Demo accounts: {names}, password: {self.style.SUCCESS(PASSWORD)}")

    def _account(self, name: str) -> User:
        display_name, language = PEOPLE[name]
        defaults = {"display_name": display_name, "language": language}
        user, new = User.objects.get_or_create(username=name, defaults=defaults)
        if new:
            user.set_password(PASSWORD)
            user.save(update_fields=["password"])
        return user

    def _room(self, number: int, demo: DemoRoom, people: dict[str, User]) -> None:
        if Room.objects.filter(name=demo.name).exists():
            return
        room = services.create_room(people[demo.members[0]], demo.name, demo.topic)
        memberships = {name: services.join_room(people[name], room) for name in demo.members}
        start = timezone.now() - timedelta(hours=3 * number + 2)
        for index, (name, text) in enumerate(demo.conversation):
            client_id = uuid5(NAMESPACE_URL, f"hotclub-demo/{number}/{index}")
            message = services.record_message(memberships[name], client_id, text, start + timedelta(minutes=2 * index))
            # Authors have read the room up to their own message, so the others find unread messages.
            services.mark_read(room.pk, people[name], message.offset)
