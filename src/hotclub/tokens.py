"""Tokens and tickets, with which a client authenticates without the session cookie."""

from hotclub.access.tickets import aticket, ticket
from hotclub.access.tokens import connection_token, subscription_token
from hotclub.channels.client import TokenUser

__all__ = ["TokenUser", "aticket", "connection_token", "subscription_token", "ticket"]
