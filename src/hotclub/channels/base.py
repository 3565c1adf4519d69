"""The classes that an app's `channels.py` uses: `Channel`, with a subclass for each namespace, and `History`."""

# ruff: noqa: ARG002, D417 - the hooks are there to be overridden; `**values` stands for the captured values

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Literal

from hotclub.channels.client import Client
from hotclub.conf.values import Rate


@dataclass(frozen=True, slots=True)
class History:
    """The history of a channel: the newest `size` publications, each kept for `ttl`."""

    size: int
    """The most publications that are kept."""
    ttl: timedelta
    """How long each publication is kept."""
    durable: bool = False
    """Whether publications are rows of the project's database, written in the transaction of the code that publishes.
    Otherwise the engine keeps them."""


class Channel:
    """One namespace of channels. Subclass it in an installed app's `channels.py`.

    Hotclub calls every hook with the client and with the values that `pattern` captures as keyword arguments. A plain
    function runs in the thread pool and may use the ORM, an `async` one runs in the event loop. One instance serves all
    channels of the namespace: keep no state in it.

    A hook refuses by raising `Refused`, which answers the client's command with an error, `Disconnect`, which ends the
    connection, or Django's `PermissionDenied` (error 103) and `ValidationError` (error 400). Hotclub logs any other
    exception and answers with error 100. When the connection ends while a hook runs, an `async` hook is cancelled; a
    plain one runs to its end, and its result is dropped.

    Mark a class that is only a base for other classes: `class Base(Channel, abstract=True)`.
    """

    pattern: ClassVar[str]
    """The channel's name with Django's path converters, such as `chat:<int:room_id>`."""
    history: ClassVar[History | None] = None
    """The history of each channel; None keeps no publications."""
    presence: ClassVar[bool] = False
    """Whether members can list the members of the channel, and get a message when a member joins or leaves."""
    recovery: ClassVar[bool | Literal["cache"]] = True
    """Whether a client that reconnects gets the publications that it missed. With `"cache"` it gets the newest
    publication only, and a new subscriber gets that publication, too. Needs `history`."""
    position: ClassVar[bool] = False
    """Without `recovery`: whether Hotclub tells a client that it missed a publication, so that it subscribes again.
    Needs `history`."""
    delta: ClassVar[bool] = False
    """Whether clients may get the differences between publications instead of the publications."""
    filters: ClassVar[bool] = False
    """Whether clients may choose publications by their tags. Such a client gets no differences."""
    compaction: ClassVar[bool] = False
    """Whether publications name the channel by a number, which is shorter. Only clients of the JSON form that
    understand the number get it."""
    token: ClassVar[bool] = False
    """Whether a client needs a subscription token (`hotclub.tokens.subscription_token`) to subscribe. A class with its
    own `can_subscribe` requires both, a class without it the token only."""
    rate: ClassVar[Rate | None] = None
    """How often one user may publish here, such as `Rate(20, per=2)`. A publish beyond the rate gets error 111."""
    presence_clients: ClassVar[str] = ""
    """The name of a map that lists every subscriber by the connection's id, such as `"online:{channel}"`. `{channel}`
    stands for this channel's name, and `{room_id}` for a captured value `room_id`."""
    presence_users: ClassVar[str] = ""
    """The name of a map that lists every subscriber by the user's id, with the same placeholders as
    `presence_clients`."""
    publication: ClassVar[Any] = None
    """The type of the data that subscribers get, such as a `TypedDict`, for `manage.py hotclub_types`. None takes the
    return annotation of `on_publish`."""
    message: ClassVar[Any] = None
    """The type of the data that clients publish. None takes the annotation of `data` in `on_publish`,
    or in `prepare_publish` where the class has it."""
    abstract: ClassVar[bool] = False

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.abstract = abstract

    def can_subscribe(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """Whether this client may be in the channel.

        Hotclub calls the hook at every subscribe, and again when the client asks for presence or history. `client.data`
        is the data of the subscribe command, None in the later calls.

        Args:
            client: the connection that wants to subscribe.
            **values: what `pattern` captures.

        Returns:
            A true value to allow the subscription; a false one refuses it with error 103.
        """
        raise NotImplementedError(f"{type(self).__name__} has no can_subscribe(); write one that returns True or False")

    def can_publish(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """Whether this subscriber may publish. By default a class with its own `on_publish` allows it.

        Args:
            client: the connection that wants to publish.
            **values: what `pattern` captures.

        Returns:
            A true value to allow the publish; a false one refuses it with error 103.
        """
        return type(self).on_publish is not Channel.on_publish

    def prepare_publish(self, client: Client, data: Any, *args: Any, **kwargs: Any) -> Any:
        """A client wants to publish. The hook does the work on the data that needs no transaction, such as rendering.

        Hotclub calls the hook before `on_publish`, and in a durable channel before the transaction begins, in which
        `can_publish` and `on_publish` run: work in that transaction holds up everybody who writes to the same stream,
        and on SQLite everybody who writes. In a durable channel the hook is a plain function, and is called for clients
        that `can_publish` will refuse, too.

        Args:
            client: the connection that wants to publish.
            data: decoded JSON.
            **values: what `pattern` captures.

        Returns:
            What `on_publish` gets as `data`; by default the data as they are.
        """
        return data

    def on_publish(self, client: Client, data: Any, *args: Any, **kwargs: Any) -> Any:
        """A client published. The hook may check and store the data, and returns the data that subscribers get.

        In a durable channel the hook is a plain function and runs in the transaction that appends the result: an
        exception rolls back both.

        Args:
            client: the connection that published.
            data: decoded JSON, or what `prepare_publish` has returned.
            **values: what `pattern` captures.

        Returns:
            The data that subscribers get. None accepts the publish without a publication, and so does a `Position`, of
            a publication that the hook itself has made.
        """
        return data

    def on_subscribe(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """The client is about to subscribe. Hotclub calls the hook after `can_subscribe` has allowed it.

        `client.data` is the data of the subscribe command.

        Args:
            client: the connection that subscribes.
            **values: what `pattern` captures.

        Returns:
            JSON for the subscriber, sent with the reply; None for no data.
        """

    def on_unsubscribe(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """The client's subscription has ended, for any reason. The hook cannot refuse: Hotclub logs an exception that
        it raises.

        Args:
            client: the connection whose subscription has ended.
            **values: what `pattern` captures.
        """

    def on_presence_change(self, client: Client, joined: bool, *args: Any, **kwargs: Any) -> Any:
        """The client has joined the channel, or left it. Only with `presence`. The hook cannot refuse: Hotclub logs an
        exception that it raises.

        A signed-in client that loses its connection and is back within `PRESENCE_GRACE` has neither left nor joined.

        Args:
            client: the connection that joined or left; after such a return, the one that leaves is the new connection.
            joined: True for a join, False for a leave.
            **values: what `pattern` captures.
        """

    def get_state(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """Returns the current state of the subject of the channel, for a client that is new or was away too long.

        Clients call the procedure `hotclub.state` with `{"channel": …}`, and with a `token` where the channel needs one
        that the client has not subscribed with yet. The reply is `{"state": …}`, with the `epoch`
        and `offset` to subscribe from where the channel has history. Hotclub asks `can_subscribe` first. A publication
        that arrives while the hook runs may be both in the state and after the position.

        Args:
            client: the connection that asks.
            **values: what `pattern` captures.

        Returns:
            The state, as JSON.
        """

    def tags_filter(self, client: Client, *args: Any, **kwargs: Any) -> Callable[[Mapping[str, str]], bool] | None:
        """Returns a filter that decides by the tags which publications this client gets.

        Hotclub calls the hook at every subscribe, by the client or by the server, and when the client reads the
        history. Publications of a channel with this hook come without differences.

        Args:
            client: the connection that subscribes or reads the history.
            **values: what `pattern` captures.

        Returns:
            A function that takes the tags of a publication and returns whether the client gets the publication; None
            for all publications. A function that raises is logged, and holds the publication back from this client.
        """
        return None

    def channel_info(self, client: Client, *args: Any, **kwargs: Any) -> Any:
        """Returns the data that members see of this client in this channel (`chan_info`). Called at the subscribe.

        Args:
            client: the connection that subscribes.
            **values: what `pattern` captures.

        Returns:
            JSON; None for no data.
        """
