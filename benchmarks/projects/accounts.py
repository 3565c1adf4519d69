"""`python -m benchmarks.projects.accounts COUNT` makes tables and logged-in users, and prints their session keys."""

import os
import sys
from datetime import timedelta

import django
from django.core.management import call_command
from django.utils import timezone


def make_sessions(count: int) -> list[str]:
    """Create users, log each of them in, and return the session keys."""
    # Django's models can be imported only after `django.setup`.
    from django.conf import settings  # noqa: PLC0415
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: PLC0415
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.contrib.sessions.backends.db import SessionStore  # noqa: PLC0415
    from django.contrib.sessions.models import Session  # noqa: PLC0415

    nobody_can_type_it = "!"
    users = User.objects.bulk_create(
        User(username=f"user{number}", password=nobody_can_type_it) for number in range(count)
    )
    store, expires = SessionStore(), timezone.now() + timedelta(days=1)
    sessions = []
    for user in users:
        data = {
            SESSION_KEY: str(user.pk),
            BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
            HASH_SESSION_KEY: user.get_session_auth_hash(),
        }
        sessions.append(Session(session_key=f"{user.pk:032}", session_data=store.encode(data), expire_date=expires))
    Session.objects.bulk_create(sessions)
    return [session.session_key for session in sessions]


def main() -> None:
    """Make the tables and users, and print the session keys."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.projects.hotclub_site.settings")
    django.setup()
    call_command("migrate", verbosity=0)
    print("\n".join(make_sessions(int(sys.argv[1]))))


if __name__ == "__main__":
    main()
