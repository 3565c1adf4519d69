"""Why a form with a password is not looked at now. `GuardMiddleware` answers with a page that says when to return."""

import math
from typing import ClassVar


class TryLater(Exception):
    """The request is refused for `seconds`, a whole number of at least 1."""

    status: ClassVar[int]

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = max(1, math.ceil(seconds))


class TooManyAttempts(TryLater):
    """This account or this address has failed too often."""

    status = 429


class TooBusy(TryLater):
    """Too many passwords wait to be hashed."""

    status = 503
