"""Describes the data of a project's channels and procedures as JSON Schema, from annotations and declared types."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec

from hotclub.channels.base import Channel
from hotclub.channels.maps import MapChannel, MapEntry
from hotclub.channels.polls import SharedPollChannel
from hotclub.channels.registry import Declarations, compile_pattern
from hotclub.channels.rpc import Procedure
from hotclub.engine.errors import HotclubError
from hotclub.engine.model import Position
from hotclub.engine.names import normal

Schema = Mapping[str, Any]

REFERENCE: Final = "#/components/schemas/"
"""The beginning of a reference from one schema to another."""

_CAPTURE: Final = re.compile(r"<(?:(?P<converter>[^>:]+):)?(?P<name>[^>]+)>")


class Undescribable(HotclubError):
    """A type has no JSON form, an annotation cannot be read, or two classes or types share a name. `where` names the
    channel class or the procedure."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where = where
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a pattern captures: its name, the name of its path converter, and whether it is a whole number."""

    name: str
    converter: str
    whole: bool


@dataclass(frozen=True, slots=True)
class ChannelInterface:
    """One namespace, with the schemas of its data.

    Subscribers receive `publication`, and clients publish `message`, which is None where clients cannot publish.
    Members see `info` of each other (`chan_info`). `data` comes with the reply to a subscribe command.
    """

    name: str
    pattern: str
    summary: str
    parameters: Sequence[Parameter]
    publication: Schema
    message: Schema | None
    info: Schema
    data: Schema

    def address(self, place: Callable[[Parameter], str]) -> str:
        """Return the pattern with the text of `place(parameter)` for each captured value."""
        parameters = {parameter.name: parameter for parameter in self.parameters}
        return _CAPTURE.sub(lambda found: place(parameters[found["name"]]), self.pattern)


@dataclass(frozen=True, slots=True)
class ProcedureInterface:
    """One procedure, with the schemas of its arguments, as one object, and of its result."""

    name: str
    summary: str
    arguments: Schema
    result: Schema


@dataclass(frozen=True, slots=True)
class Interface:
    """The channels, procedures and named schemas of a project, each in alphabetical order."""

    channels: Sequence[ChannelInterface]
    procedures: Sequence[ProcedureInterface]
    schemas: Mapping[str, Schema]


def describe(declarations: Declarations) -> Interface:
    """Describe the declared channels and procedures.

    Raises:
        Undescribable: a type has no JSON form, an annotation cannot be read, or two classes or types share a name.
    """
    types = _Types()
    taken: dict[str, type[Channel]] = {}
    for cls in declarations.channels:
        name = _name(cls)
        if name in taken:
            raise Undescribable(_where(cls), f"another channel class is called {name} too: {_where(taken[name])}")
        taken[name] = cls
    channels = [_channel(name, cls, types) for name, cls in sorted(taken.items())]
    procedures = [_procedure(item, types) for item in sorted(declarations.procedures, key=lambda item: item.name)]
    return Interface(channels, procedures, dict(sorted(types.schemas.items())))


@dataclass
class _Types:
    """Turns types into schemas, and collects the schemas of named types, to which the others refer."""

    schemas: dict[str, Schema] = field(default_factory=dict)

    def schema(self, where: str, kind: Any) -> Schema:
        # msgspec refuses a union of several dictionaries, so the variants are described one by one.
        variants = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
        try:
            schemas, named = msgspec.json.schema_components(variants, ref_template=REFERENCE + "{name}")
        except TypeError as error:
            problem = str(error).splitlines()[-1]
            raise Undescribable(where, f"{problem}; use what JSON can hold, such as a TypedDict or a Struct") from None
        for name, found in named.items():
            if self.schemas.setdefault(name, found) != found:
                raise Undescribable(where, f"there is another type called {name}; rename one of them")
        return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _channel(name: str, cls: type[Channel], types: _Types) -> ChannelInterface:
    where = _where(cls)
    returned = _hints(where, cls.on_publish).get("return", Any)
    return ChannelInterface(
        name=name,
        pattern=normal(cls.pattern),
        summary=_summary(cls),
        parameters=list(_parameters(where, cls.pattern)),
        publication=types.schema(where, _sent(returned) if cls.publication is None else cls.publication),
        message=types.schema(where, _published(where, cls)) if _takes_messages(cls) else None,
        info=types.schema(where, _returned(where, cls, "channel_info")),
        data=types.schema(where, _returned(where, cls, "on_subscribe")),
    )


def _name(cls: type[Channel]) -> str:
    return cls.__name__.removesuffix("Channel").lstrip("_") or cls.__name__


def _where(cls: type[Channel]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _parameters(where: str, pattern: str) -> Iterator[Parameter]:
    converters = compile_pattern(pattern).converters
    for found in _CAPTURE.finditer(pattern):
        to_python = _hints(where, converters[found["name"]].to_python).get("return")
        converter = found["converter"] or "str"
        yield Parameter(found["name"], converter, whole=to_python is int or converter == "int")


def _takes_messages(cls: type[Channel]) -> bool:
    return any(_is_written(cls, hook) for hook in ("on_publish", "can_publish", "can_publish_key"))


def _is_written(cls: type[Channel], hook: str) -> bool:
    """Whether the project overrides the hook of Hotclub's base class."""
    owner = next((base for base in cls.__mro__ if hook in vars(base)), Channel)
    return owner not in (Channel, MapChannel, SharedPollChannel)


def _published(where: str, cls: type[Channel]) -> Any:
    """The type that clients publish: the class's `message`, or the annotation of `data` in the first hook that gets
    them."""
    if cls.message is not None:
        return cls.message
    hook = cls.prepare_publish if _is_written(cls, "prepare_publish") else cls.on_publish
    names = list(inspect.signature(hook).parameters)
    return _hints(where, hook).get(names[2], Any) if len(names) > 2 else Any


def _sent(returned: Any) -> Any:
    """The type that subscribers get, from the return type of a hook. `Position` and None are not sent, and a `MapEntry`
    does not tell the type of its data."""
    kinds = get_args(returned) if get_origin(returned) in (Union, UnionType) else (returned,)
    sent = [kind for kind in kinds if kind not in (None, NoneType, Position, MapEntry)]
    return Union[tuple(sent)] if sent else Any  # noqa: UP007 - made at run time


def _returned(where: str, cls: type[Channel], hook: str) -> Any:
    """The return type of a hook, None for a hook that the project does not override."""
    return _hints(where, getattr(cls, hook)).get("return", Any) if _is_written(cls, hook) else None


def _procedure(procedure: Procedure, types: _Types) -> ProcedureInterface:
    where = f"rpc {procedure.name!r}"
    try:
        parameters = procedure.parameters
    except (NameError, TypeError) as error:
        raise Undescribable(where, str(error)) from None
    arguments: dict[str, Any] = {
        "type": "object",
        "properties": {name: types.schema(where, kind) for name, (kind, _) in parameters.items()},
        "additionalProperties": False,
    }
    if required := [name for name, (_, needed) in parameters.items() if needed]:
        arguments["required"] = required
    result = types.schema(where, _hints(where, procedure.function).get("return", Any))
    return ProcedureInterface(procedure.name, _summary(procedure.function), arguments, result)


def _hints(where: str, function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError) as error:
        raise Undescribable(where, f"an annotation cannot be read: {error}") from None


def _summary(described: Any) -> str:
    """The first paragraph of the object's own docstring, in one line."""
    text = inspect.cleandoc(described.__doc__ or "")
    return " ".join(text.split("\n\n")[0].split())
