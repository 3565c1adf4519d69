"""Finds the logins of many connections together, so that a crowd that returns does not ask the database one by one."""

import asyncio
from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Final

from django.db import InterfaceError, OperationalError

from hotclub.access.session import MOST_TOGETHER, Login, authenticate_all, reads_together
from hotclub.engine.errors import HotclubError
from hotclub.runtime.pool import HookPool

SLOW: Final = 0.5
"""Seconds after which a look is slow. The questions that wait for the end of a slow look are asked beside it."""

Question = tuple[str, "asyncio.Future[Login | None]"]
"""A session key, and the answer that somebody waits for."""


class Logins:
    """The logins that connections of one event loop ask for.

    A question that comes while others are being answered waits for the end of these, and is then answered together with
    all that have come meanwhile. So an answer is never older than its question. A look that hangs delays the questions
    behind it by `SLOW` seconds.
    """

    def __init__(self, inner: HookPool) -> None:
        """`inner` is the thread pool for the database."""
        self._inner = inner
        self._together = inner.is_shared and reads_together()
        self._waiting: deque[Question] = deque()
        self._asking: asyncio.Task[None] | None = None
        """The task with the look for whose end the waiting questions wait."""
        self._slow: set[asyncio.Task[None]] = set()

    async def find(self, session_key: str) -> Login | None:
        """Return the login of a session, None when the session signs nobody in.

        Raises:
            Exception: as `authenticate_all` and `HookPool.run`.

        A cancelled call leaves the questions of others alone.
        """
        if not self._together:
            return (await self._inner.run(authenticate_all, {session_key})).get(session_key)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Login | None] = loop.create_future()
        self._waiting.append((session_key, answer))
        if self._asking is None:
            self._asking = loop.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        me = asyncio.current_task()
        try:
            while self._waiting and self._asking is me:
                timer = asyncio.get_running_loop().call_later(SLOW, self._overtake)
                try:
                    await self._answer(self._next_batch())
                finally:
                    timer.cancel()
        finally:
            if self._asking is me:
                self._asking = None

    def _overtake(self) -> None:
        """Ask the waiting questions beside the look that is slow, and let the next question wait for no look."""
        tasks = [
            asyncio.create_task(self._answer(self._next_batch())) for _ in range(0, len(self._waiting), MOST_TOGETHER)
        ]
        if self._asking is not None:
            tasks.append(self._asking)
            self._asking = None
        for task in tasks:
            self._slow.add(task)
            task.add_done_callback(self._slow.discard)

    def _next_batch(self) -> Sequence[Question]:
        return [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]

    async def _answer(self, batch: Sequence[Question]) -> None:
        try:
            found = await self._inner.run(authenticate_all, {key for key, _ in batch})
        except (OperationalError, InterfaceError, HotclubError) as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - the project's session store may raise anything
            if len({key for key, _ in batch}) == 1:
                _fail(batch, error)
                return
            # One session must not fail the others. The halves find the session with few looks.
            ordered = sorted(batch, key=lambda question: question[0])
            await self._answer(ordered[: len(batch) // 2])
            await self._answer(ordered[len(batch) // 2 :])
        except BaseException as error:
            _fail(batch, error)
            raise
        else:
            _tell(batch, found)


def _tell(batch: Sequence[Question], found: dict[str, Login]) -> None:
    told: set[str] = set()
    for key, answer in batch:
        login = found.get(key)
        if answer.done():
            continue
        # Two connections of one browser must not share an object that their threads write to.
        answer.set_result(replace(login, user=copy(login.user)) if login is not None and key in told else login)
        told.add(key)


def _fail(batch: Sequence[Question], error: BaseException) -> None:
    for _key, answer in batch:
        if not answer.done():
            answer.set_exception(error)
