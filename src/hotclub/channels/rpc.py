"""Procedures: functions that clients call by name, with arguments validated from their annotations."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar, get_type_hints

import msgspec

from hotclub.engine.codes import Code
from hotclub.engine.errors import Refused


@dataclass(frozen=True)
class Procedure:
    """A function declared with `rpc`."""

    name: str
    function: Callable[..., Any]

    @cached_property
    def parameters(self) -> Mapping[str, tuple[Any, bool]]:
        """The arguments after the client, by name: the type of each, and whether a call must give it.

        Raises:
            TypeError: the function does not take the client first, or has an argument that cannot be given by name.
            NameError: an annotation names something that is not defined.
        """
        hints = get_type_hints(self.function, include_extras=True)
        found = list(inspect.signature(self.function).parameters.values())
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        if not found or found[0].kind not in (inspect.Parameter.POSITIONAL_ONLY, named[0]):
            raise TypeError(f"procedure {self.name!r} takes no client as its first argument")
        for parameter in found[1:]:
            if parameter.kind not in named:
                raise TypeError(
                    f"procedure {self.name!r} has an argument {parameter.name!r} that has no name of its own"
                )
        return {item.name: (hints.get(item.name, Any), item.default is item.empty) for item in found[1:]}

    def convert(self, data: Any) -> dict[str, Any]:
        """Convert the data of a call to the arguments of the function, by name.

        Args:
            data: decoded JSON, None for a call without data.

        Raises:
            Refused: `BAD_REQUEST` with the name of the argument that does not fit.
        """
        given = {} if data is None else data
        if not isinstance(given, dict):
            raise Refused(Code.BAD_REQUEST, "arguments are not an object")
        for name in given:
            if name not in self.parameters:
                raise Refused(Code.BAD_REQUEST, f"unknown argument {name[:64]!r}")
        arguments = {}
        for name, (kind, required) in self.parameters.items():
            if name in given:
                arguments[name] = _convert(name, given[name], kind)
            elif required:
                raise Refused(Code.BAD_REQUEST, f"missing argument {name!r}")
        return arguments


def _convert(name: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Refused(Code.BAD_REQUEST, f"argument {name!r}: {error}") from None


RPC_ATTRIBUTE: Final = "hotclub_rpc"
"""The attribute in which `rpc` stores the procedure's name on the function."""


Function = TypeVar("Function", bound=Callable[..., Any])


def rpc(name: str) -> Callable[[Function], Function]:
    """Make a function of an app's `channels.py` a procedure that clients call by name.

    Hotclub calls the function with the client, and with the arguments of the call by name, which it checks and converts
    by the annotations. A plain function runs in the thread pool, an `async` one in the event loop. The function refuses
    by raising, as a hook of `Channel` does.

    Args:
        name: the procedure's name for clients, such as `"chat.mark_read"`.

    Returns:
        A decorator. It returns the function unchanged. The result of the function is the reply, as JSON.

    Raises:
        Refused: to the client: `BAD_REQUEST` with the name of an argument that is unknown, missing or of another type;
            `METHOD_NOT_FOUND` for another procedure; `NOT_AVAILABLE` in a project without procedures.
    """

    def mark(function: Function) -> Function:
        setattr(function, RPC_ATTRIBUTE, name)
        return function

    return mark
