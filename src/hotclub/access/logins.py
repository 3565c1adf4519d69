"""Finds the logins of many connections together, so that a crowd that returns does not ask the database one by one."""

import asyncio
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from itertools import islice

from django.db import DatabaseError

from hotclub.access.session import MOST_TOGETHER, Login, authenticate_all, reads_together
from hotclub.engine.errors import HotclubError
from hotclub.runtime.pool import HookPool

Batch = dict[str, list["asyncio.Future[Login | None]"]]
"""Who waits for which login, by session key."""


class Logins:
    """The logins that connections of one event loop ask for.

    A question that comes while others are being answered waits for the end of these, and is then answered together with
    all that have come meanwhile. So an answer is never older than its question.
    """

    def __init__(self, inner: HookPool) -> None:
        """`inner` is the thread pool for the database."""
        self._inner = inner
        self._together = reads_together()
        self._waiting: dict[str, list[asyncio.Future[Login | None]]] = {}
        self._asking: asyncio.Task[None] | None = None

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
        self._waiting.setdefault(session_key, []).append(answer)
        if self._asking is None:
            self._asking = loop.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        try:
            while self._waiting:
                keys = [*islice(self._waiting, MOST_TOGETHER)]
                await self._answer({key: self._waiting.pop(key) for key in keys})
        finally:
            self._asking = None

    async def _answer(self, batch: Batch) -> None:
        try:
            found = await self._inner.run(authenticate_all, batch.keys())
        except (DatabaseError, HotclubError, RuntimeError, asyncio.CancelledError) as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - the project's session store may raise anything
            if len(batch) == 1:
                _fail(batch, error)
            for key in batch if len(batch) > 1 else ():
                await self._answer({key: batch[key]})
        else:
            for key, answers in batch.items():
                _tell(found.get(key), [answer for answer in answers if not answer.done()])


def _tell(login: Login | None, answers: Sequence["asyncio.Future[Login | None]"]) -> None:
    for index, answer in enumerate(answers):
        # Two connections of one browser must not share an object that their threads write to.
        answer.set_result(replace(login, user=copy(login.user)) if login is not None and index else login)


def _fail(batch: Batch, error: BaseException) -> None:
    for answers in batch.values():
        for answer in answers:
            if not answer.done():
                answer.set_exception(error)
