"""The test client under Django's own test cases, sync and async."""

from typing import Any
from unittest.mock import ANY

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import SimpleTestCase, TestCase, TransactionTestCase

import hotclub
import hotclub.maps
from hotclub import Disconnect, Refused, Unsubscribed
from hotclub.models import Entry
from hotclub.runtime.node import current_node
from hotclub.testing import HotclubClient, acapture_on_commit_callbacks
from tests.hotclub.testing.club import declared, make_user


class ClubTestCase(TestCase):
    user: Any

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = make_user()

    def setUp(self) -> None:
        self.enterContext(declared())


class InATransaction(ClubTestCase):
    def test_hooks_see_what_the_test_has_written(self) -> None:
        client = HotclubClient()
        client.force_login(self.user)
        with client.connect() as c:
            make_user("stephane")
            assert c.rpc("count_users") == 2
            c.subscribe("ledger:1")
            c.publish("ledger:1", {"sum": 1})
            c.assert_received("ledger:1", {"sum": 1})
        assert Entry.objects.count() == 1
        assert current_node() is None

    def test_the_session_is_the_browsers(self) -> None:
        self.client.force_login(self.user)
        with HotclubClient(self.client).connect() as c:
            assert list(c.subscriptions) == [f"#{self.user.pk}"]
            with self.captureOnCommitCallbacks(execute=True):
                hotclub.publish_to_user(self.user, "psst")
            assert c.receive(f"#{self.user.pk}").data == "psst"
            with self.captureOnCommitCallbacks(execute=True):
                self.client.logout()
            assert c.assert_disconnected(3503).reason == "signed out"
            with pytest.raises(Disconnect):
                c.rpc("add", left=1, right=2)

    def test_a_durable_publication_is_delivered_when_the_callbacks_run(self) -> None:
        with HotclubClient() as client:
            client.force_login(self.user)
            with client.connect() as c:
                c.subscribe("ledger:1")
                c.subscribe("room:1")
                with self.captureOnCommitCallbacks(execute=True) as callbacks:
                    hotclub.publish("ledger:1", 1)
                    hotclub.publish("room:1", 2)
                    c.assert_nothing_received()
                c.assert_received("ledger:1", 1)
                c.assert_received("room:1", 2)
                c.assert_nothing_received()
                assert len(callbacks) == 2

    def test_a_rolled_back_publication_is_never_seen(self) -> None:
        client = HotclubClient()
        client.force_login(self.user)
        with client.connect() as c:
            c.subscribe("ledger:1")
            with self.captureOnCommitCallbacks(execute=True), transaction.atomic():
                hotclub.publish("ledger:1", "never")
                transaction.set_rollback(True)
            c.assert_nothing_received()

    def test_what_a_hook_leaves_for_its_commit_is_done_once(self) -> None:
        client = HotclubClient()
        client.force_login(self.user)
        with client.connect() as c:
            c.subscribe("log:ledgers")
            c.subscribe("ledger:7")
            with self.captureOnCommitCallbacks(execute=True) as callbacks:
                c.publish("ledger:7", "paid")
            c.assert_received("log:ledgers", {"number": 7})
            c.assert_received("ledger:7", "paid")
            c.assert_nothing_received()
            assert callbacks == []

    def test_errors_are_what_hooks_raise(self) -> None:
        client = HotclubClient()
        client.force_login(self.user)
        with client.connect() as c:
            with pytest.raises(Refused) as refused:
                c.subscribe("room:13")
            assert refused.value.code == 103
            c.subscribe("room:1")
            with pytest.raises(Refused) as rude:
                c.publish("room:1", "rude")
            assert (rude.value.code, rude.value.message) == (400, "mind your manners")
            with pytest.raises(Refused) as unfit:
                c.rpc("add", left=1, right="two")
            assert unfit.value.code == 107
            with self.captureOnCommitCallbacks(execute=True):
                hotclub.unsubscribe("room:1", user=self.user)
            assert c.assert_unsubscribed("room:1").code == 2000
            with pytest.raises(Unsubscribed):
                c.publish("room:1", "hello")

    def test_nobody_connects_who_is_not_signed_in(self) -> None:
        with pytest.raises(Disconnect) as refused, HotclubClient().connect():
            pass
        assert refused.value.code == 3501
        assert current_node() is None

    def test_a_failing_assertion_says_what_did_arrive(self) -> None:
        client = HotclubClient()
        client.force_login(self.user)
        with client.connect() as c:
            c.subscribe("room:1")
            c.publish("room:1", "hello")
            with pytest.raises(AssertionError, match="'text': 'hello'"):
                c.assert_received("room:1", {"text": "goodbye"})
            with pytest.raises(AssertionError, match="nothing asked for"):
                c.assert_nothing_received("room:1")
            c.assert_nothing_received("room:2")


class InATransactionAsync(ClubTestCase):
    async def test_hooks_see_what_the_test_has_written(self) -> None:
        client = HotclubClient()
        client.force_login(self.user)
        async with client.connect() as c:
            await sync_to_async(make_user)("stephane")
            assert await c.rpc("count_users") == 2
            await c.subscribe("ledger:1")
            await c.publish("ledger:1", {"sum": 1})
            await c.assert_received("ledger:1", {"sum": 1})
            await hotclub.apublish("ledger:1", {"sum": 2})
            await c.assert_received("ledger:1", {"sum": 2})
            await hotclub.apublish("log:ledgers", "other")
            await c.assert_nothing_received()
        assert await Entry.objects.acount() == 2
        assert current_node() is None

    async def test_callbacks_are_captured(self) -> None:
        client = HotclubClient()
        client.force_login(self.user)
        async with client.connect() as c:
            await c.subscribe("ledger:1")
            async with acapture_on_commit_callbacks(execute=True) as callbacks:
                await sync_to_async(hotclub.publish)("ledger:1", 1)
                await c.assert_nothing_received()
            await c.assert_received("ledger:1", 1)
            assert len(callbacks) == 1
            async with acapture_on_commit_callbacks() as callbacks:
                await sync_to_async(hotclub.publish)("ledger:1", 2)
            assert len(callbacks) == 1
            await c.assert_nothing_received()

    async def test_signing_out_ends_the_connection(self) -> None:
        async with HotclubClient() as client:
            client.force_login(self.user)
            async with client.connect() as c:
                await client.alogout()
                await c.assert_disconnected(3503)

    async def test_the_blocking_form_says_how_to_write_it(self) -> None:
        with self.assertRaisesMessage(RuntimeError, "async with client.connect()"):
            HotclubClient().connect().__enter__()


class Committed(TransactionTestCase):
    def setUp(self) -> None:
        self.enterContext(declared())
        self.user = make_user()

    def test_commits_are_delivered_by_themselves(self) -> None:
        client = HotclubClient()
        client.force_login(self.user)
        with client.connect() as c:
            c.subscribe("ledger:1")
            hotclub.publish("ledger:1", 1)
            c.assert_received("ledger:1", 1)
            with transaction.atomic():
                hotclub.publish("ledger:1", 2)
                c.assert_nothing_received()
            c.assert_received("ledger:1", 2)

    async def test_async_too(self) -> None:
        client = HotclubClient()
        client.force_login(self.user)
        async with client.connect() as c:
            await c.subscribe("ledger:1")
            await hotclub.apublish("ledger:1", 1)
            await c.publish("ledger:1", 2)
            await c.assert_received("ledger:1", 1)
            await c.assert_received("ledger:1", 2)


class WithoutADatabase(SimpleTestCase):
    """Queries are forbidden here."""

    def setUp(self) -> None:
        self.enterContext(declared())
        self.django = get_user_model()(pk=1, username="django")
        self.stephane = get_user_model()(pk=2, username="stephane")

    async def test_two_people_meet(self) -> None:
        django, stephane = HotclubClient(), HotclubClient()
        django.force_authenticate(self.django)
        stephane.force_authenticate(self.stephane)
        async with django.connect() as first, stephane.connect() as second:
            await first.subscribe("room:1")
            await second.subscribe("room:1")
            assert (await first.assert_joined("room:1", self.stephane)).client == second.id
            await second.publish("room:1", "hello")
            received = await first.assert_received("room:1", {"user": "stephane", "text": ANY})
            assert received.info is not None
            assert received.info.user == "2"
            assert {member.user for member in (await first.presence("room:1")).values()} == {"1", "2"}
            assert (await first.presence_stats("room:1")).num_clients == 2
            await second.close()
            await first.assert_left("room:1", self.stephane)

    def test_maps_are_read_followed_and_changed(self) -> None:
        client = HotclubClient()
        client.force_authenticate(self.django)
        with client.connect() as c, client.connect() as other:
            for number in range(3):
                hotclub.maps.map_publish("board:a", f"key{number}", number)
            values = c.subscribe_map("board:a")
            assert {key: value.data for key, value in values.items()} == {"key0": 0, "key1": 1, "key2": 2}
            assert other.subscribe_map("board:b") == {}
            c.publish("board:a", "x", key="kept")
            assert c.assert_received("board:a", {"by": "django", "is": "x"}, key="kept").key == "kept"
            c.remove("board:a", "key1")
            assert c.receive("board:a").removed
            with pytest.raises(Refused) as refused:
                c.remove("board:a", "kept")
            assert refused.value.code == 103
            other.assert_nothing_received()
            assert set(other.subscribe_map("board:a")) == {"key0", "key2", "kept"}

    def test_history_and_recovery_last_as_long_as_the_client(self) -> None:
        with HotclubClient() as client:
            client.force_authenticate(self.django)
            with client.connect() as c:
                start = c.subscribe("log:a").position
                c.publish("log:a", 1)
            hotclub.publish("log:a", 2)
            with client.connect() as c:
                assert [item.data for item in c.history("log:a").publications] == [1, 2]
                again = c.subscribe("log:a", since=start)
                assert again.recovered
                assert [c.receive("log:a").data for _ in range(2)] == [1, 2]
                c.unsubscribe("log:a")
                hotclub.publish("log:a", 3)
                c.assert_nothing_received()
        with HotclubClient() as other:
            other.force_authenticate(self.django)
            with other.connect() as c:
                assert c.history("log:a").publications == (), "every site has a memory of its own"
