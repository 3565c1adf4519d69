from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hotclub", "0003_orders"),
    ]

    operations = [
        migrations.CreateModel(
            name="NodeLease",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("node", models.CharField(max_length=64, unique=True, verbose_name="node")),
                ("process", models.CharField(max_length=255, verbose_name="process")),
                ("engine", models.CharField(max_length=255, verbose_name="engine")),
                ("renewed", models.DateTimeField(verbose_name="renewed")),
            ],
            options={
                "verbose_name": "node lease",
                "verbose_name_plural": "node leases",
            },
        ),
    ]
