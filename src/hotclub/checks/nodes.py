"""System check of the running site, for `check --deploy`: E026."""

# ruff: noqa: ARG001 - Django calls every check with the same arguments

from itertools import combinations
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from hotclub.checks.base import Apps, make_error
from hotclub.conf.config import get_config
from hotclub.engine.errors import HotclubError
from hotclub.serving.lease import ADVICE, SPLIT, held, splits


def check_nodes(app_configs: Apps = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the processes which now serve the site share their engine: E026. Finds nothing when the leases cannot
    be read."""
    try:
        leases, alias = held(), get_config().database
    except (DatabaseError, HotclubError, ImproperlyConfigured):
        return []
    return [
        make_error(
            26,
            f"Two processes serve the database {alias!r}: {one.process} (engine {one.engine}) and {other.process} "
            f"(engine {other.engine}). {SPLIT}",
            f"{ADVICE} A process that was killed counts for 15 seconds more.",
        )
        for one, other in combinations(leases, 2)
        if splits(one.engine, other.engine)
    ]
