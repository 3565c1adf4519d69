from typing import Any

import django.db.models.deletion
from django.db import migrations, models

from clubhouse.accounts.services import claim_existing


def claim_names(apps: Any, _schema_editor: Any) -> None:
    """Claim the names that rooms have, the older rooms first.

    Of two rooms whose names look alike already, the first one has the claim. The other one keeps its name until it is
    changed.
    """
    Room = apps.get_model("chat", "Room")
    ClaimedRoomName = apps.get_model("chat", "ClaimedRoomName")
    claim_existing(ClaimedRoomName, "room_id", Room.objects.order_by("pk").values_list("pk", "name").iterator())


class Migration(migrations.Migration):
    dependencies = [
        ("chat", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="ClaimedRoomName",
            fields=[
                ("key", models.CharField(max_length=200, primary_key=True, serialize=False, verbose_name="key")),
                (
                    "room",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="claimed_names",
                        to="chat.room",
                        verbose_name="room",
                    ),
                ),
            ],
            options={
                "verbose_name": "claimed room name",
                "verbose_name_plural": "claimed room names",
            },
        ),
        migrations.RunPython(claim_names, migrations.RunPython.noop),
    ]
