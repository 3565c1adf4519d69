"""Write the reference of the public names and of the hooks from their docstrings: docs/reference/api.md and hooks.md.

`python scripts/reference.py` writes both pages; with `--check` it only says whether they are current.
"""

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import hotclub
import hotclub.maps
import hotclub.polls
import hotclub.tokens
from hotclub.channels.base import Channel
from hotclub.channels.maps import MapChannel
from hotclub.channels.polls import SharedPollChannel
from hotclub.conf.config import Config
from hotclub.engine.codes import MESSAGES, REASONS, Code

FOLDER: Final = Path(__file__).parents[1] / "docs" / "reference"
MADE: Final = "<!-- Made by scripts/reference.py from the docstrings. Changes are lost. -->\n"
MODULES: Final = (hotclub, hotclub.maps, hotclub.polls, hotclub.tokens)
CHANNELS: Final = (Channel, MapChannel, SharedPollChannel)
CONSTRUCTED: Final = {
    *("History", "Rate", "Welcome", "Position", "MapEntry", "Polled", "PollResult", "TokenUser"),
    *("Refused", "Disconnect", "Unsubscribed"),
}
"""The classes that a project's code makes objects of. Of the others the reference shows what they hold."""
CALLBACKS: Final = ("on_connect", "on_disconnect", "api_rpc")

_SECTIONS: Final = ("Args", "Returns", "Raises")
_API: Final = """# Public API

These names, and those that [`hotclub.testing`](../how-to/testing.md) and `hotclub.asgi` export, are the whole public
API, with the [settings](settings.md) and the [hooks](hooks.md). Everything else may change without notice.

A function that waits for something has an async twin with an `a` in front and the same arguments. The plain one refuses
to run in a thread with a running event loop, which it would stop, and names its twin.
"""
_HOOKS: Final = """# Channels and hooks

An app declares its channels in `channels.py`: a class for each namespace, with options as class attributes and hooks as
methods. `**values` stands for what the class's `pattern` captures: for `chat:<int:room_id>` a hook is written
`def can_subscribe(self, client, room_id)`. Every hook is a plain function or an `async` one.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring in its parts: the text before the sections, and each section's lines."""

    text: str
    sections: Mapping[str, str]


def parse(docstring: str) -> Docstring:
    """Take a docstring apart."""
    parts: dict[str, list[str]] = {"": []}
    current = ""
    for line in inspect.cleandoc(docstring).splitlines():
        if line.endswith(":") and line[:-1] in _SECTIONS:
            current = line[:-1]
            parts[current] = []
        else:
            parts[current].append(line)
    text = "\n".join(parts.pop("")).strip()
    return Docstring(text, {name: textwrap.dedent("\n".join(lines)).strip() for name, lines in parts.items()})


def items(section: str) -> Iterator[tuple[str, str]]:
    """The names of a section, each with its text in one line."""
    for item in re.split(r"\n(?=\S)", section):
        name, _, text = item.partition(":")
        yield name.strip(), " ".join(text.split())


def attributes(cls: type) -> dict[str, str]:
    """The docstrings under the attributes that a class itself declares."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    for here, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        target = here.target if isinstance(here, ast.AnnAssign) else None
        if isinstance(here, ast.Assign):
            target = here.targets[0]  # type: ignore[assignment]
        if isinstance(target, ast.Name) and not target.id.startswith("_"):
            value = following.value if isinstance(following, ast.Expr) else None
            text = value.value if isinstance(value, ast.Constant) else ""
            found[target.id] = inspect.cleandoc(str(text))
    return found


def body(documented: Docstring) -> Iterator[str]:
    """A docstring as Markdown."""
    yield f"{documented.text}\n"
    if "Args" in documented.sections:
        yield "".join(f"- `{name}`: {text}\n" for name, text in items(documented.sections["Args"]))
    if "Returns" in documented.sections:
        yield f"Returns: {documented.sections['Returns']}\n"
    if "Raises" in documented.sections:
        raised = (f"- {_code(name)}: {text}\n" for name, text in items(documented.sections["Raises"]))
        yield "Raises:\n\n" + "".join(raised)


def _code(names: str) -> str:
    return ", ".join(f"`{name.strip()}`" for name in names.split(","))


def signature(function: Callable[..., Any], *, hook: bool = False) -> str:
    """The arguments of a function as a developer writes them: without annotations, and a hook's captured values as
    `**values`."""
    shown = []
    parameters = inspect.signature(function).parameters.values()
    for parameter in parameters:
        if hook and parameter.kind is parameter.VAR_KEYWORD:
            shown.append("**values")
        elif not (hook and (parameter.name == "self" or parameter.kind is parameter.VAR_POSITIONAL)):
            shown.append(_parameter(parameter))
    keywords = [number for number, parameter in enumerate(parameters) if parameter.kind is parameter.KEYWORD_ONLY]
    if keywords:
        shown.insert(keywords[0], "*")
    return f"({', '.join(shown)})"


def _parameter(parameter: inspect.Parameter) -> str:
    prefixes: dict[Any, str] = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
    prefix = prefixes.get(parameter.kind, "")
    default = "" if parameter.default is parameter.empty else f"={_value(parameter.default)}"
    return f"{prefix}{parameter.name}{default}"


def _value(value: Any) -> str:
    """A default as a developer would write it."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if value is dataclasses.MISSING or repr(value) == "<factory>":
        return "{}"
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    return repr(value).removeprefix("datetime.")


# The page of the public names


def api() -> str:
    """docs/reference/api.md."""
    parts = [MADE, _API]
    for module in MODULES:
        parts += [f"## `{module.__name__}`\n", f"{_first(module).text}\n", *_module(module)]
    return "\n".join(parts).rstrip() + "\n"


def _module(module: ModuleType) -> Iterator[str]:
    names = set(module.__all__) - {"__version__"}
    shown = set(hotclub.__all__) if module is not hotclub else set()
    for name in sorted(names, key=lambda name: (not _is_class(module, name), name)):
        value = getattr(module, name)
        if name in shown or (name.startswith("a") and name[1:] in names):
            continue
        if isinstance(value, type) and issubclass(value, Channel):
            yield f"### `{name}`\n"
            yield f"{_first(value).text.splitlines()[0]} See [hooks](hooks.md#{name.lower()}).\n"
        elif isinstance(value, type):
            yield from _class(name, value)
        else:
            yield from _function(name, value, getattr(module, f"a{name}", None))
    if module is hotclub:
        yield "### `__version__`\n"
        yield "The version of the distribution, as text.\n"


def _is_class(module: ModuleType, name: str) -> bool:
    return isinstance(getattr(module, name), type)


def _function(name: str, function: Callable[..., Any], twin: Callable[..., Any] | None) -> Iterator[str]:
    yield f"### `{name}{signature(function)}`\n"
    yield from body(_first(function))
    if twin is not None:
        yield f"`await a{name}(…)`: {_joined(_first(twin).text)}\n"


def _class(name: str, cls: type) -> Iterator[str]:
    yield f"### `{name}{signature(cls) if name in CONSTRUCTED else ''}`\n"
    yield from body(_first(cls))
    members = _members(cls)
    if members:
        yield "| | |\n|---|---|\n" + "".join(f"| `{name}` | {_cell(text)} |\n" for name, text in members.items())


def _members(cls: type) -> dict[str, str]:
    """The documented fields, properties and codes of a class, its own and those that it inherits."""
    if issubclass(cls, Enum):
        documented = attributes(cls)
        return {member.name: _meaning(member, documented.get(member.name, "")) for member in cls}
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("hotclub."):
            found |= {name: text for name, text in attributes(base).items() if text}
            properties = {name: value for name, value in vars(base).items() if not name.startswith("_")}
            found |= {
                name: inspect.getdoc(value) or ""
                for name, value in properties.items()
                if isinstance(value, property) or hasattr(value, "attrname")
            }
    return found


def _meaning(member: Enum, documented: str) -> str:
    """The value of an enumeration's member, with the words of the protocol for a code."""
    words = MESSAGES.get(member.value, "") if isinstance(member, Code) else REASONS.get(member.value, "")
    return ": ".join(filter(None, (f"`{member.value!r}`", words and f"“{words}”", documented)))


# The page of the hooks


def hooks() -> str:
    """docs/reference/hooks.md."""
    parts = [MADE, _HOOKS]
    for cls in CHANNELS:
        parts += [f"## {cls.__name__}\n", *body(_first(cls)), *_options(cls), *_hooks(cls)]
    parts += ["## Connections\n", "Functions that the settings name by their dotted paths.\n"]
    for name, text in attributes(Config).items():
        if name in CALLBACKS:
            parts += [f"### `{name.upper()}`\n", *body(parse(text))]
    parts += ["## Procedures\n", f"### `@rpc{signature(hotclub.rpc)}`\n", *body(_first(hotclub.rpc))]
    return "\n".join(parts).rstrip() + "\n"


def _options(cls: type[Channel]) -> Iterator[str]:
    rows = [
        f"| `{name}` | {_default(cls, name)} | {_cell(text)} |\n"
        for name, text in attributes(cls).items()
        if name != "abstract"
    ]
    yield "| option | default | what it decides |\n|---|---|---|\n" + "".join(rows)


def _default(cls: type[Channel], name: str) -> str:
    return f"`{_value(getattr(cls, name))}`" if hasattr(cls, name) else "required"


def _hooks(cls: type[Channel]) -> Iterator[str]:
    for name, value in vars(cls).items():
        if not name.startswith("_") and inspect.isfunction(value):
            yield f"### `{cls.__name__}.{name}{_hook_signature(value)}`\n"
            yield from body(_first(value))


def _hook_signature(hook: Callable[..., Any]) -> str:
    """A hook's arguments. The key of a map stands among the captured values of `MapChannel.on_publish`."""
    named = [name for name, _ in items(_first(hook).sections["Args"])]
    written = signature(hook, hook=True)
    return written.replace("data, **", "data, key, **") if "data" in named and "key" in named else written


def _first(documented: Any) -> Docstring:
    return parse(inspect.getdoc(documented) or "")


def _joined(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _joined(text).replace("|", "\\|")


PAGES: Final[Mapping[str, Callable[[], str]]] = {"api.md": api, "hooks.md": hooks}


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with `--check` name those that are not current."""
    old = [name for name, page in PAGES.items() if not _is_current(FOLDER / name, page())]
    if arguments == ["--check"]:
        for name in old:
            print(f"docs/reference/{name} is not current: run scripts/reference.py")
        return 1 if old else 0
    for name in old:
        (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
