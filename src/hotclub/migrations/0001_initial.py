import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Stream",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("channel", models.CharField(max_length=255, unique=True, verbose_name="channel")),
                ("epoch", models.CharField(max_length=32, verbose_name="epoch")),
                (
                    "top",
                    models.BigIntegerField(
                        default=0, help_text="Offset of the newest publication.", verbose_name="top"
                    ),
                ),
                (
                    "pruned",
                    models.BigIntegerField(
                        default=0, help_text="Publications up to this offset have been removed.", verbose_name="pruned"
                    ),
                ),
            ],
            options={
                "verbose_name": "stream",
                "verbose_name_plural": "streams",
                "ordering": ["channel"],
            },
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("offset", models.BigIntegerField(verbose_name="offset")),
                (
                    "data",
                    models.TextField(
                        help_text="The payload as JSON text, exactly as it was published.", verbose_name="data"
                    ),
                ),
                ("key", models.CharField(blank=True, default="", max_length=255, verbose_name="idempotency key")),
                ("tags", models.TextField(blank=True, default="", verbose_name="tags")),
                ("publisher", models.TextField(blank=True, default="", verbose_name="publisher")),
                ("created", models.DateTimeField(default=django.utils.timezone.now, verbose_name="created")),
                (
                    "stream",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="entries",
                        to="hotclub.stream",
                        verbose_name="stream",
                    ),
                ),
            ],
            options={
                "verbose_name": "entry",
                "verbose_name_plural": "entries",
                "ordering": ["stream", "offset"],
                "indexes": [models.Index(fields=["stream", "created"], name="hotclub_entry_created")],
                "constraints": [
                    models.UniqueConstraint(fields=("stream", "offset"), name="hotclub_entry_offset"),
                    models.UniqueConstraint(
                        condition=models.Q(("key", ""), _negated=True),
                        fields=("stream", "key"),
                        name="hotclub_entry_key",
                    ),
                ],
            },
        ),
    ]
