"""Shared polls: channels of keys. Hotclub asks the project for a key's value once for all clients that follow it."""

from hotclub.access.poll_keys import sign_keys
from hotclub.actions.polls import ashared_poll_publish, shared_poll_publish
from hotclub.channels.polls import Polled, PollResult, SharedPollChannel

__all__ = ["PollResult", "Polled", "SharedPollChannel", "ashared_poll_publish", "shared_poll_publish", "sign_keys"]
