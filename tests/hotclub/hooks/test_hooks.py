"""Hooks: when they run, what they are given, and what their answers and failures become."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import centrifuge
import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction

import hotclub
from hotclub.models import Entry, Stream
from tests.hotclub.conftest import Site, Watched, amake_person

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., Awaitable[Site]]
Declare = Callable[..., None]
Configure = Callable[..., None]


class Open(hotclub.Channel):
    """Everybody may do everything; hooks note that they ran."""

    pattern = "open:<str:name>"
    presence = True
    history = hotclub.History(size=10, ttl=timedelta(hours=1))

    def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
        return name != "closed"

    def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
        return {"said": data, "by": client.user.get_username()}

    def on_subscribe(self, client: hotclub.Client, name: str) -> Any:
        return {"welcome": name}

    def channel_info(self, client: hotclub.Client, name: str) -> Any:
        return {"color": "red"}


async def opened(serve: Serve, *channels: str) -> Watched:
    site = await serve()
    client = await site.open(await amake_person())
    for channel in channels:
        await client.join(channel)
    return client


async def received(client: Watched) -> Any:
    async with asyncio.timeout(5):
        return (await client.publications.get())[1]


async def refusal(answer: Awaitable[Any]) -> tuple[int, str]:
    """The error that a command is answered with."""
    with pytest.raises(centrifuge.ReplyError) as refused:
        await answer
    return refused.value.code, refused.value.message


async def subscribe_error(client: Watched, channel: str) -> int:
    """The code that a subscription is refused with."""
    refused: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    class Events(centrifuge.SubscriptionEventHandler):  # type: ignore[misc]
        async def on_unsubscribed(self, ctx: Any) -> None:
            if not refused.done():
                refused.set_result(ctx.code)

    await client.sdk.new_subscription(channel, events=Events()).subscribe()
    async with asyncio.timeout(5):
        return await refused


async def test_what_on_publish_returns_is_what_everybody_gets(serve: Serve, declare: Declare) -> None:
    declare(Open)
    client = await opened(serve, "open:a")

    await client.sdk.publish("open:a", {"text": "hello", "by": "somebody else"})

    assert await received(client) == {"said": {"text": "hello", "by": "somebody else"}, "by": "django"}


async def test_a_refused_channel_is_103_and_an_unknown_one_102(serve: Serve, declare: Declare) -> None:
    declare(Open)
    client = await opened(serve)

    assert await subscribe_error(client, "open:closed") == 103
    assert await subscribe_error(client, "shut:a") == 102


async def test_a_personal_channel_belongs_to_its_user_and_existence_is_not_told(serve: Serve, declare: Declare) -> None:
    declare(Open)
    stephane = await amake_person("stephane")
    client = await opened(serve)

    assert await subscribe_error(client, f"#{stephane.user.pk}") == 103
    assert await subscribe_error(client, "#999999") == 103


async def test_members_see_the_infos_that_hooks_give(
    serve: Serve, declare: Declare, hotclub_settings: Configure
) -> None:
    declare(Open)
    hotclub_settings(ON_CONNECT="tests.hotclub.hooks.test_hooks.greet")
    client = await opened(serve, "open:a")

    [member] = (await client.sdk.presence("open:a")).clients.values()

    assert client.data == {"hello": "django"}
    assert member.conn_info == {"name": "Django"}
    assert member.chan_info == {"color": "red"}


async def greet(client: hotclub.Client) -> dict[str, str]:
    client.info = {"name": client.user.get_username().title()}
    return {"hello": client.user.get_username()}


def turn_away(client: hotclub.Client) -> None:
    raise hotclub.Disconnect(4501, "come back tomorrow")


async def test_the_connect_hook_may_turn_a_connection_away(serve: Serve, hotclub_settings: Configure) -> None:
    hotclub_settings(ON_CONNECT="tests.hotclub.hooks.test_hooks.turn_away")
    site = await serve()

    refused = await site.open(await amake_person(), wait=False)

    assert await refused.gone == (4501, "come back tomorrow")


ends: "asyncio.Queue[str]" = asyncio.Queue()


async def note_the_end(client: hotclub.Client) -> None:
    await ends.put(client.user.get_username())


async def test_the_disconnect_hook_is_told_who_has_gone(
    serve: Serve, hotclub_settings: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.hotclub.hooks.test_hooks.ends", asyncio.Queue())
    hotclub_settings(ON_DISCONNECT="tests.hotclub.hooks.test_hooks.note_the_end")
    await opened(serve)
    person = await get_user_model()._default_manager.aget()

    await hotclub.adisconnect(person, code=4500, reason="enough")

    async with asyncio.timeout(5):
        assert await ends.get() == "django"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionDenied("secret"), (103, "permission denied")),
        (ValidationError("Too long."), (400, "Too long.")),
        (ValidationError({"text": ["Empty.", "Sad."]}), (400, "Empty.; Sad.")),
        (hotclub.Refused(1234, "mine"), (1234, "mine")),
        (hotclub.IdempotencyConflict("c", "k"), (107, "channel 'c': idempotency key 'k' was used for another payload")),
    ],
)
@pytest.mark.parametrize("durable", [False, True])
async def test_what_a_hook_raises_is_what_its_client_is_told(
    serve: Serve, declare: Declare, error: Exception, expected: tuple[int, str], durable: bool
) -> None:
    class Failing(Open):
        history = hotclub.History(size=10, ttl=timedelta(hours=1), durable=durable)

        def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
            raise error

    declare(Failing)
    client = await opened(serve, "open:a")

    assert await refusal(client.sdk.publish("open:a", {})) == expected


@pytest.mark.parametrize("durable", [False, True])
async def test_a_bug_in_a_hook_is_logged_without_the_payload_and_answered_with_100(
    serve: Serve, declare: Declare, caplog: pytest.LogCaptureFixture, durable: bool
) -> None:
    class Broken(Open):
        history = hotclub.History(size=10, ttl=timedelta(hours=1), durable=durable)

        def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
            raise RuntimeError("a bug")

    declare(Broken)
    client = await opened(serve, "open:a")

    assert await refusal(client.sdk.publish("open:a", {"password": "hunter2"})) == (100, "internal server error")

    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == f"The hook {__name__}.{Broken.__qualname__}.on_publish failed"
    assert "hunter2" not in caplog.text
    assert "a bug" in caplog.text


async def test_without_on_publish_nobody_publishes_unless_can_publish_says_so(serve: Serve, declare: Declare) -> None:
    class Quiet(hotclub.Channel):
        pattern = "quiet:<str:name>"

        async def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
            return True

    class Talk(Quiet):
        pattern = "talk:<str:name>"

        async def can_publish(self, client: hotclub.Client, name: str) -> bool:
            return name == "on"

    declare(Quiet, Talk)
    client = await opened(serve, "quiet:a", "talk:off", "talk:on")

    assert (await refusal(client.sdk.publish("quiet:a", 1)))[0] == 103
    assert (await refusal(client.sdk.publish("talk:off", 1)))[0] == 103
    await client.sdk.publish("talk:on", {"exactly": [1, "1.0"]})
    assert await received(client) == {"exactly": [1, "1.0"]}


class Log(hotclub.Channel):
    """Durable; `data` decides what the hook does."""

    pattern = "log:<int:number>"
    history = hotclub.History(size=10, ttl=timedelta(hours=1), durable=True)

    def can_subscribe(self, client: hotclub.Client, number: int) -> bool:
        return True

    def on_publish(self, client: hotclub.Client, data: Any, number: int) -> Any:
        assert transaction.get_connection().in_atomic_block
        stream, _ = Stream.objects.get_or_create(channel="side", defaults={"epoch": "side"})
        count = Entry.objects.filter(stream=stream).count()
        Entry.objects.create(stream=stream, offset=count + 1, data="{}", key=data)
        if data == "mine":
            return hotclub.publish(f"log:{number}", "published by the hook")
        if data == "silent":
            return None
        return object() if data == "broken" else data


async def test_a_durable_publication_and_the_hook_s_rows_are_one_transaction(serve: Serve, declare: Declare) -> None:
    declare(Log)
    client = await opened(serve, "log:1")

    await client.sdk.publish("log:1", "kept")
    assert (await refusal(client.sdk.publish("log:1", "broken")))[0] == 100
    await client.sdk.publish("log:1", "silent")
    await client.sdk.publish("log:1", "mine")

    assert [await received(client) for _ in range(2)] == ["kept", "published by the hook"]
    assert [stream.top async for stream in Stream.objects.filter(channel="log:1")] == [2]
    assert [row.key async for row in Entry.objects.filter(stream__channel="side")] == ["kept", "silent", "mine"]


async def test_data_are_prepared_before_the_transaction_of_a_durable_channel(serve: Serve, declare: Declare) -> None:
    class Prepared(Log):
        def prepare_publish(self, client: hotclub.Client, data: Any, number: int) -> Any:
            assert not transaction.get_connection().in_atomic_block
            if data == "refused":
                raise hotclub.Refused(4000, "not this")
            return f"{data} for {client.user_id} in {number}"

        def on_publish(self, client: hotclub.Client, data: Any, number: int) -> Any:
            assert transaction.get_connection().in_atomic_block
            return data

    declare(Prepared)
    client = await opened(serve, "log:5")

    assert await refusal(client.sdk.publish("log:5", "refused")) == (4000, "not this")
    await client.sdk.publish("log:5", "bread")

    user = (await get_user_model()._default_manager.aget()).pk
    assert await received(client) == f"bread for {user} in 5"


async def test_data_are_prepared_for_the_hook_of_a_channel_in_memory(serve: Serve, declare: Declare) -> None:
    class Twice(Open):
        async def prepare_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
            return [data, data]

    declare(Twice)
    client = await opened(serve, "open:a")

    await client.sdk.publish("open:a", 1)

    assert (await received(client))["said"] == [1, 1]


async def test_a_durable_publication_names_its_publisher(serve: Serve, declare: Declare) -> None:
    class Signed(Log):
        def on_publish(self, client: hotclub.Client, data: Any, number: int) -> Any:
            return data

        def channel_info(self, client: hotclub.Client, number: int) -> Any:
            return {"seat": number}

    declare(Signed)
    client = await opened(serve, "log:4")

    await client.sdk.publish("log:4", "x")

    [publication] = (await hotclub.ahistory("log:4")).publications
    assert publication.info is not None
    assert publication.info.user == str((await get_user_model()._default_manager.aget()).pk)
    assert publication.info.chan_info == {"seat": 4}


async def test_an_async_hook_in_a_durable_channel_publishes_nothing(serve: Serve, declare: Declare) -> None:
    class Async(Log):
        async def on_publish(self, client: hotclub.Client, data: Any, number: int) -> Any:
            return data

    declare(Async)
    client = await opened(serve, "log:1")

    assert (await refusal(client.sdk.publish("log:1", 1)))[0] == 100
    assert not await Entry.objects.filter(stream__channel="log:1").aexists()


async def test_history_and_presence_ask_can_subscribe_again(serve: Serve, declare: Declare) -> None:
    allowed = True

    class Guarded(Open):
        def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
            return allowed

    declare(Guarded)
    client = await opened(serve, "open:a")
    await client.sdk.history("open:a", limit=1)
    await client.sdk.presence("open:a")

    allowed = False

    assert (await refusal(client.sdk.history("open:a", limit=1)))[0] == 103
    assert (await refusal(client.sdk.presence("open:a")))[0] == 103
    assert (await refusal(client.sdk.presence_stats("open:a")))[0] == 103


async def test_a_permission_that_was_taken_away_counts_at_the_next_hook(serve: Serve, declare: Declare) -> None:
    class Guarded(Open):
        def can_subscribe(self, client: hotclub.Client, name: str) -> bool:
            return bool(client.user.has_perm("hotclub.view_stream"))

    declare(Guarded)
    site = await serve()
    person = await amake_person()
    content_type = await sync_to_async(ContentType.objects.get_for_model)(Stream)
    permission = await Permission.objects.aget(codename="view_stream", content_type=content_type)
    await person.user.user_permissions.aadd(permission)
    client = await site.open(person)
    await client.join("open:a")

    await person.user.user_permissions.aremove(permission)

    assert (await refusal(client.sdk.history("open:a", limit=1)))[0] == 103


async def test_leaving_and_presence_are_told_to_the_hooks(serve: Serve, declare: Declare) -> None:
    told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    class Told(Open):
        async def on_unsubscribe(self, client: hotclub.Client, name: str) -> None:
            await told.put(("left", name))
            raise RuntimeError("nobody can be told")

        async def on_presence_change(self, client: hotclub.Client, joined: bool, name: str) -> None:
            await told.put(("presence", joined))

    declare(Told)
    client = await opened(serve, "open:a")
    async with asyncio.timeout(5):
        assert await told.get() == ("presence", True)
        await client.sdk.get_subscription("open:a").unsubscribe()
        assert {await told.get(), await told.get()} == {("left", "a"), ("presence", False)}


async def test_a_slow_hook_of_one_client_holds_up_no_other(serve: Serve, declare: Declare) -> None:
    started, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    class Slow(Open):
        def on_publish(self, client: hotclub.Client, data: Any, name: str) -> Any:
            if data == "slow":
                loop.call_soon_threadsafe(started.set)
                assert release.wait(10)
            return data

    declare(Slow)
    site = await serve()
    slow, quick = await site.open(await amake_person("slow")), await site.open(await amake_person("quick"))
    await slow.join("open:a")
    await quick.join("open:a")
    waiting = asyncio.create_task(slow.sdk.publish("open:a", "slow"))
    await started.wait()

    await quick.sdk.publish("open:a", "quick")

    assert await received(quick) == "quick"
    assert not waiting.done()
    release.set()
    await waiting


async def test_procedures_are_called_by_name_with_validated_arguments(serve: Serve, declare: Declare) -> None:
    @hotclub.rpc("add")
    def add(client: hotclub.Client, a: int, b: int = 10) -> dict[str, int]:
        return {"sum": a + b}

    @hotclub.rpc("nothing")
    async def nothing(client: hotclub.Client) -> None:
        return None

    declare(add, nothing)
    client = await opened(serve)
    call = client.sdk.rpc

    assert (await call("add", {"a": 1, "b": 2})).data == {"sum": 3}
    assert (await call("add", {"a": 1})).data == {"sum": 11}
    assert (await call("nothing", {})).data is None
    assert await refusal(call("add", {"a": "1"})) == (107, "argument 'a': Expected `int`, got `str`")
    assert await refusal(call("add", {})) == (107, "missing argument 'a'")
    assert await refusal(call("add", {"a": 1, "c": 1})) == (107, "unknown argument 'c'")
    assert await refusal(call("add", [1, 2])) == (107, "arguments are not an object")
    assert (await refusal(call("subtract", {})))[0] == 104


async def test_without_any_procedure_rpc_is_not_available(serve: Serve, declare: Declare) -> None:
    declare(Open)
    client = await opened(serve)

    assert (await refusal(client.sdk.rpc("add", {})))[0] == 108
