"""Shared polls: channels of keys whose values the project is asked for, once for all their followers."""

from hotclub.access.poll_keys import sign_keys
from hotclub.actions.polls import ashared_poll_publish, shared_poll_publish
from hotclub.channels.polls import Polled, PollResult, SharedPollChannel

__all__ = ["PollResult", "Polled", "SharedPollChannel", "ashared_poll_publish", "shared_poll_publish", "sign_keys"]
