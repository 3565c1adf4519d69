"""What channels and procedures carry, described for clients in other languages."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, NotRequired, TypedDict, TypeVar

import jsonschema
import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db.models import Model

from hotclub import Channel, Client, MapChannel, Position, rpc
from hotclub.channels.registry import Declarations
from hotclub.channels.rpc import Procedure
from hotclub.describe.asyncapi import asyncapi
from hotclub.describe.interface import Undescribable, describe
from hotclub.describe.typescript import typescript
from tests.support.processes import REPOSITORY

Declare = Callable[..., None]
T = TypeVar("T")


class Point(TypedDict):
    x: float
    label: NotRequired[str | None]


class Moved(msgspec.Struct, tag="moved"):
    to: Point
    when: datetime
    path: tuple[int, int] = (0, 0)


class Gone(msgspec.Struct, tag="gone"):
    pass


class Seen(TypedDict):
    type: Literal["seen"]


class Envelope(msgspec.Struct, Generic[T]):
    body: T


class BoardChannel(Channel):
    """A board, with */ in its description.

    More about it.
    """

    pattern = "board:<int:board_id>:<slug:layer>"
    publication = Moved | Gone | Seen
    message = Point

    def on_publish(self, client: Client, data: Any, board_id: int, layer: str) -> None: ...

    def channel_info(self, client: Client, board_id: int, layer: str) -> dict[str, list[int]]:
        return {}


class Hall(Channel):
    pattern = "hall"

    def on_publish(self, client: Client, data: Envelope[int]) -> Point | Position | None:
        return None

    def on_subscribe(self, client: Client) -> list[Point]:
        return []


class PinsChannel(MapChannel):
    pattern = "pins:<slug:board>"
    publication = Point

    def on_publish(self, client: Client, data: Point, key: str, board: str) -> Any: ...


class Signs(MapChannel):
    pattern = "read-only"
    publication = Point


class Quiet(Channel):
    pattern = "quiet:<path:rest>"


@rpc("board.find")
def find(client: Client, name: str, *, limit: int = 10, near: Point | None = None) -> list[Point]:
    """Look for points."""
    return []


@rpc("now")
async def now(client: Client) -> datetime:
    return datetime.now().astimezone()


def declarations(*classes: type[Channel], functions: tuple[Any, ...] = ()) -> Declarations:
    return Declarations(classes, tuple(Procedure(function.hotclub_rpc, function) for function in functions))


EVERYTHING = declarations(Quiet, Hall, BoardChannel, functions=(now, find))

TYPESCRIPT = """\
// Made by `manage.py hotclub_types` from the project's channels and procedures. Changes are lost.

export type Envelope_int_ = {
  readonly body: number;
};

export type Gone = {
  readonly type: "gone";
};

export type Moved = {
  readonly type: "moved";
  readonly to: Point;
  readonly when: string;
  readonly path?: readonly [number, number];
};

export type Point = {
  readonly label?: string | null;
  readonly x: number;
};

export type Seen = {
  readonly type: "seen";
};

export interface Channels {
  /** A board, with * / in its description. */
  readonly Board: {
    readonly name: `board:${number}:${string}`;
    readonly publication: Moved | Gone | Seen;
    readonly message: Point;
    readonly info: { readonly [key: string]: ReadonlyArray<number> };
    readonly data: null;
  };
  readonly Hall: {
    readonly name: `hall`;
    readonly publication: Point;
    readonly message: Envelope_int_;
    readonly info: null;
    readonly data: ReadonlyArray<Point>;
  };
  readonly Quiet: {
    readonly name: `quiet:${string}`;
    readonly publication: unknown;
    readonly message: never;
    readonly info: null;
    readonly data: null;
  };
}

export interface Procedures {
  /** Look for points. */
  readonly "board.find": {
    readonly arguments: {
      readonly name: string;
      readonly limit?: number;
      readonly near?: Point | null;
    };
    readonly result: ReadonlyArray<Point>;
  };
  readonly now: {
    readonly arguments: Record<string, never>;
    readonly result: string;
  };
}

/** The names of channels. */
export const channels = {
  Board: (values: { readonly board_id: number; readonly layer: string }) => \
`board:${values.board_id}:${values.layer}` as const,
  Hall: () => `hall` as const,
  Quiet: (values: { readonly rest: string }) => `quiet:${values.rest}` as const,
};
"""


def test_typescript_says_what_every_channel_and_procedure_carries() -> None:
    assert typescript(describe(EVERYTHING)) == TYPESCRIPT


@pytest.mark.slow
def test_the_typescript_is_accepted_by_its_compiler_and_refuses_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "channels.ts").write_text(typescript(describe(EVERYTHING)))
    (tmp_path / "right.ts").write_text(
        'import { type Channels, channels, type Procedures } from "./channels";\n'
        'export const name: Channels["Board"]["name"] = channels.Board({ board_id: 1, layer: "top" });\n'
        'export const asked: Procedures["board.find"]["arguments"] = { name: "a", near: null };\n'
    )
    (tmp_path / "wrong.ts").write_text(
        'import { channels, type Procedures } from "./channels";\n'
        'channels.Board({ board_id: "1", layer: "top" });\n'
        'export const asked: Procedures["board.find"]["arguments"] = { limit: 1 };\n'
    )
    assert faults(tmp_path, "right.ts", "wrong.ts") == ["wrong.ts(2,18)", "wrong.ts(3,14)"]


@pytest.mark.slow
def test_the_reference_shows_what_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REPOSITORY / "docs/reference/types.md").read_text()
    (python,), (usage,) = (re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL) for language in ("python", "ts"))
    shown = ModuleType("shown")
    monkeypatch.setitem(sys.modules, "shown", shown)
    exec(python, vars(shown))
    (tmp_path / "channels.ts").write_text(typescript(describe(Declarations.collect([shown]))))
    around = (
        "interface Sub { on(event: 'publication', take: (context: { data: unknown }) => void): void }\n"
        "declare const client: { newSubscription(name: Channels['Room']['name']): Sub };\n"
        "declare function show(data: Channels['Room']['publication']): void;\nvoid values;\n"
    )
    (tmp_path / "usage.ts").write_text(f"{usage}{around}")
    assert faults(tmp_path, "usage.ts") == []
    document = asyncapi(describe(Declarations.collect([shown])), title="Shop", version="2.1.0")
    assert {"Room.publication", "Room.message", "rpc.chat.mark_read"} <= set(document["operations"])


def faults(folder: Path, *files: str) -> list[str]:
    """Where the TypeScript compiler finds something wrong."""
    compiler = str(REPOSITORY / "node_modules/typescript/bin/tsc")
    command = ["node", compiler, "--noEmit", "--strict", "--target", "es2022", "--ignoreConfig", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1, 2), done.stderr
    return [line.partition(":")[0] for line in done.stdout.splitlines() if "error TS" in line]


@pytest.fixture(scope="module")
def official_schema() -> Any:
    """AsyncAPI's own, as its makers publish it."""
    return json.loads((REPOSITORY / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text())


@pytest.mark.parametrize("host", ["", "chat.example.com"])
def test_the_asyncapi_document_is_valid(official_schema: Any, host: str) -> None:
    document = asyncapi(describe(EVERYTHING), title="boards", version="2.0.0", host=host, path="/live/websocket")
    jsonschema.validate(document, official_schema, cls=jsonschema.Draft7Validator)
    broken = {**document, "operations": {"Board.publication": {"action": "shout"}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, official_schema, cls=jsonschema.Draft7Validator)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = asyncapi(describe(EVERYTHING), title="boards", version="2.0.0")
    followed = list(references(document))
    assert len(followed) > 20
    for reference in followed:
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def references(part: Any) -> Any:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_the_project_sends_publications_and_receives_messages_and_calls() -> None:
    document = asyncapi(describe(EVERYTHING), title="boards", version="2.0.0", host="h", path="/live")
    assert document["channels"]["Board"]["address"] == "board:{board_id}:{layer}"
    assert {name: operation["action"] for name, operation in document["operations"].items()} == {
        "Board.publication": "send",
        "Board.message": "receive",
        "Hall.publication": "send",
        "Hall.message": "receive",
        "Quiet.publication": "send",
        "rpc.board.find": "receive",
        "rpc.now": "receive",
    }
    assert document["operations"]["rpc.now"]["reply"]["channel"] == {"$ref": "#/channels/rpc.now"}
    assert document["servers"]["site"]["pathname"] == "/live"


class Unwritable(Channel):
    pattern = "unwritable"
    publication = Model


class Homonym(msgspec.Struct):
    x: int


def other_homonym() -> type[Any]:
    class Homonym(msgspec.Struct):
        y: int

    return Homonym


@rpc("lost")
def lost(client: Client, where: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821 - the point of it
    ...


def test_the_values_of_maps_are_publications_and_what_clients_may_set_messages() -> None:
    pins, signs = describe(declarations(Signs, PinsChannel)).channels
    point = {"$ref": "#/components/schemas/Point"}
    assert (pins.name, pins.publication, pins.message) == ("Pins", point, point)
    assert (signs.publication, signs.message) == (point, None)


def test_a_pattern_of_any_characters_is_quoted() -> None:
    class Odd(Channel):
        pattern = "聊\u0065\u0301`\\${x}:<int:room>"

        def can_subscribe(self, client: Client, room: int) -> bool:
            return True

    made = typescript(describe(declarations(Odd)))
    assert r"`聊é\`\\\${x}:${number}`" in made
    assert r"`聊é\`\\\${x}:${values.room}` as const" in made


def test_what_has_no_json_form_is_named() -> None:
    with pytest.raises(Undescribable, match="Unwritable"):
        describe(declarations(Unwritable))
    with pytest.raises(Undescribable, match=r"rpc .lost.: .*Nowhere"):
        describe(declarations(functions=(lost,)))


def test_two_things_of_one_name_are_refused() -> None:
    first = type("First", (Channel,), {"pattern": "first", "publication": Homonym})
    second = type("Second", (Channel,), {"pattern": "second", "publication": other_homonym()})
    with pytest.raises(Undescribable, match="another type called Homonym"):
        describe(declarations(first, second))
    with pytest.raises(Undescribable, match="called Hall too"):
        describe(declarations(Hall, type("HallChannel", (Channel,), {"pattern": "other"})))


def test_the_command_writes_and_checks(declare: Declare, tmp_path: Path) -> None:
    declare(BoardChannel)
    file, out = tmp_path / "channels.ts", StringIO()
    with pytest.raises(CommandError, match="not current"):
        call_command("hotclub_types", file, check=True)
    call_command("hotclub_types", file)
    call_command("hotclub_types", file, check=True, stdout=out)
    assert "is current" in out.getvalue()
    declare(BoardChannel, find)
    with pytest.raises(CommandError, match="not current"):
        call_command("hotclub_types", file, check=True)
    assert "board.find" not in file.read_text()
    with pytest.raises(CommandError, match="--check"):
        call_command("hotclub_types", check=True)


def test_the_commands_print_without_a_file(declare: Declare) -> None:
    declare(Hall)
    out = StringIO()
    call_command("hotclub_types", stdout=out)
    assert out.getvalue() == typescript(describe(declarations(Hall)))
    out = StringIO()
    call_command("hotclub_asyncapi", "--title", "halls", "--host", "example.com", stdout=out)
    document = json.loads(out.getvalue())
    assert document["info"] == {"title": "halls", "version": "1.0.0"}
    assert document["servers"]["site"]["pathname"] == "/connection/websocket"


def test_a_mistake_in_the_declarations_is_a_command_error(declare: Declare) -> None:
    declare(Unwritable)
    with pytest.raises(CommandError, match="Unwritable"):
        call_command("hotclub_types")


def test_the_front_ends_types_are_current() -> None:
    """In two processes, whose sets have different orders."""
    file = REPOSITORY / "frontend/src/generated/channels.ts"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        command = [sys.executable, "-m", "clubhouse", "hotclub_types", "--check", str(file)]
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
