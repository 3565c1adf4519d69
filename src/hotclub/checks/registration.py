"""Registers the system checks that `manage.py check` runs."""

from django.core.checks import Tags, register

from hotclub.checks.access import check_access
from hotclub.checks.channels import check_channels, check_procedures
from hotclub.checks.hooks import check_hook_parameters
from hotclub.checks.nodes import check_nodes
from hotclub.checks.options import check_options
from hotclub.checks.patterns import check_overlaps
from hotclub.checks.project import (
    check_apps,
    check_asgi,
    check_autocommit,
    check_connections,
    check_cookies,
    check_database,
    check_middleware,
)
from hotclub.checks.settings import check_hooks, check_settings


def register_checks() -> None:
    """Register every check with Django. `check_nodes` and `check_cookies` run with `--deploy` only."""
    for check in (check_settings, check_hooks, check_channels, check_procedures, check_apps, check_middleware):
        register(check, "hotclub")
    for check in (check_hook_parameters, check_options, check_overlaps):
        register(check, "hotclub")
    register(check_access, "hotclub")
    register(check_asgi, "hotclub")
    register(check_database, "hotclub")
    register(check_autocommit, "hotclub")
    register(check_connections, "hotclub")
    register(check_nodes, "hotclub", deploy=True)
    register(check_cookies, "hotclub", Tags.security, deploy=True)
