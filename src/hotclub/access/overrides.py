"""Options of one subscription that differ from those of its channel's class (§7, §8): from a token or the HTTP API."""

from msgspec import Struct

from hotclub.engine.port import Overrides


class BoolValue(Struct, frozen=True):
    """A switch that is given: on or off."""

    value: bool = False


class Override(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options of one subscription. An option that is left out is as in the channel's class.

    An override gives no presence to a class without presence, and no positions or recovery to a class without history.
    """

    presence: BoolValue | None = None
    """Whether presence shows the subscriber."""
    join_leave: BoolValue | None = None
    """Whether members are told when the subscriber joins and leaves."""
    force_push_join_leave: BoolValue | None = None
    """Whether the subscriber is told who joins and leaves."""
    force_recovery: BoolValue | None = None
    force_positioning: BoolValue | None = None


def read(override: Override | None) -> Overrides:
    """The override as the engine has it."""
    if override is None:
        return Overrides()
    return Overrides(
        presence=_value(override.presence),
        join_leave=_value(override.join_leave),
        push_join_leave=_value(override.force_push_join_leave),
        recoverable=_value(override.force_recovery),
        position=_value(override.force_positioning),
    )


def write(overrides: Overrides) -> Override:
    """The override as it stands on the wire."""
    return Override(
        presence=_switch(overrides.presence),
        join_leave=_switch(overrides.join_leave),
        force_push_join_leave=_switch(overrides.push_join_leave),
        force_recovery=_switch(overrides.recoverable),
        force_positioning=_switch(overrides.position),
    )


def _value(switch: BoolValue | None) -> bool | None:
    return None if switch is None else switch.value


def _switch(value: bool | None) -> BoolValue | None:
    return None if value is None else BoolValue(value)
