"""What waits for the commit of a transaction costs the same for each call."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from hotclub.runtime.transactions import after_commit


class Counted(list[Any]):
    """A list that counts the items that were looked at."""

    looked = 0

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            self.looked += 1
            yield item


@pytest.mark.django_db(transaction=True)
def test_a_thousand_callbacks_of_one_transaction_do_not_look_at_one_another() -> None:
    done: list[int] = []
    with transaction.atomic():
        connection.run_on_commit = waiting = Counted()
        for number in range(1_000):
            after_commit(lambda number=number: done.append(number))  # type: ignore[misc]
        looked = waiting.looked
    assert done == list(range(1_000))
    assert looked <= 2_000
