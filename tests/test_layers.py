"""The import rules of the house: imports go down only.

Every import counts: inside functions and under TYPE_CHECKING too. What must travel up goes through a Protocol that the
lower layer declares.
"""

import ast
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import hotclub
import hotclub.maps
import hotclub.polls
import hotclub.tokens

SOURCE = Path(__file__).parents[1] / "src"

ENGINE = (
    {"model", "errors", "failures", "codes", "limits", "names", "observe", "turns", "background"},
    {"protocol", "recovery", "shape", "tags", "leases", "pulse", "places"},
    {"broker", "presence"},
    {"port", "keyed", "backend"},
    {"hub", "fan_out", "announcements", "peers", "trouble", "subscriber", "outbox", "target", "kept_grants"},
    {"channels", "appearances", "session", "maps", "shared_poll", "polled"},
    {"commands", "dispatch"},
    {"transports"},
    {"position_check", "upkeep", "node"},
)
"""The layers of hotclub.engine, lowest first. A module may import from its own layer and from those before it."""

FACE = (
    {"conf"},
    {"runtime"},
    {"channels"},
    {"access"},
    {"durable"},
    {"orders"},
    {"actions"},
    {"revocation"},
    {"hooks"},
    {"http_api", "proxy", "layers", "compat"},
    {"serving", "asgi"},
    {"describe", "checks", "testing", "management"},
    {"admin", "apps", "pytest_plugin", "urls"},
)
"""The layers of hotclub outside the engine, lowest first. All of them may import the engine and `models`."""

NAMES_ONLY = {"maps", "polls", "tokens"}
"""Public modules that hold names and their `__all__`. No module of hotclub imports them."""

FREE = {"engine", "models"}
"""What every module of the face may import. `models` itself imports settings alone."""

SITE_MAY_IMPORT = {
    "hotclub": set(hotclub.__all__),
    "hotclub.maps": set(hotclub.maps.__all__),
    "hotclub.polls": set(hotclub.polls.__all__),
    "hotclub.tokens": set(hotclub.tokens.__all__),
    "hotclub.asgi": {"application"},
}
"""What clubhouse, or any other site, may take from hotclub."""


def modules(package: str) -> Iterator[tuple[str, str]]:
    """Dotted name and source text of every module of a package, its tests left out."""
    for path in sorted((SOURCE / package.replace(".", "/")).rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if "tests" not in parts:
            yield ".".join(parts).removesuffix(".__init__"), path.read_text()


def imports(source: str) -> Iterator[tuple[str, str]]:
    """(module, name) of every import in the text; the name is "" for `import module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from ((str(node.module), alias.name) for alias in node.names)


def imported_modules(source: str, prefix: str) -> set[str]:
    """Dotted names under `prefix` that the text imports; `from a import b` counts as a.b when that is a module."""
    found = set()
    for module, name in imports(source):
        full = f"{module}.{name}" if name else module
        found.add(full if exists(full) else module)
    return {module for module in found if module == prefix or module.startswith(f"{prefix}.")}


def exists(module: str) -> bool:
    path = SOURCE / module.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


def layer(table: Sequence[set[str]], part: str) -> int:
    """The number of the layer that a package or a module stands in.

    Raises:
        LookupError: the part stands in no layer.
    """
    for number, names in enumerate(table):
        if part in names:
            return number
    raise LookupError(f"{part} stands in no layer: add it to a table above, as low as it can be")


def engine_faults(name: str, source: str) -> list[str]:
    """What one module of the engine does against the rules."""
    faults = [
        f"{name} imports {module}: the engine knows no Django and none of its faces"
        for module, _ in imports(source)
        if module.split(".")[0] in {"django", "asgiref", "clubhouse"}
        or (module.split(".")[0] == "hotclub" and not module.startswith("hotclub.engine"))
    ]
    if name == "hotclub.engine":
        return faults
    return faults + [
        f"{name} imports {module}, which is above it"
        for module in imported_modules(source, "hotclub.engine") - {"hotclub.engine"}
        if layer(ENGINE, module.split(".")[2]) > layer(ENGINE, name.split(".")[2])
    ]


def face_faults(name: str, source: str) -> list[str]:
    """What one module of hotclub outside the engine does against the rules."""
    part = name.split(".")[1]
    own = 0 if part == "models" else layer(FACE, part)
    faults = []
    for module in sorted(imported_modules(source, "hotclub")):
        imported = [*module.split("."), ""][1]
        if imported == "":
            faults.append(f"{name} imports the package hotclub, which is above it")
        elif imported in NAMES_ONLY or (imported not in FREE and layer(FACE, imported) > own):
            faults.append(f"{name} imports {module}, which is above it")
    return faults


def site_faults(name: str, source: str) -> list[str]:
    """What one module of clubhouse does against the rules."""
    return [*private_imports(name, source), *neighbour_imports(name, source)]


def private_imports(name: str, source: str) -> Iterator[str]:
    for module, imported in imports(source):
        if module.split(".")[0] == "hotclub" and imported not in SITE_MAY_IMPORT.get(module, set()) | {""}:
            yield f"{name} imports {imported} from {module}, which is not public"
        elif module.startswith("hotclub.") and not imported and module not in SITE_MAY_IMPORT:
            yield f"{name} imports {module}, which is not public"


def neighbour_imports(name: str, source: str) -> Iterator[str]:
    parts = name.split(".")
    for module in imported_modules(source, "clubhouse"):
        _, app, *rest = [*module.split("."), ""]
        if len(parts) > 2 and is_app(app) and app != parts[1] and rest[:1] != ["services"]:
            yield f"{name} imports {module}: another app is reached through its services only"


def is_app(name: str) -> bool:
    return bool(name) and (SOURCE / "clubhouse" / name).is_dir()


def is_face(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and parts[1] not in {"engine", "migrations", *NAMES_ONLY}


@pytest.mark.parametrize(
    ("name", "source"), [pytest.param(*module, id=module[0]) for module in modules("hotclub.engine")]
)
def test_the_engine_imports_downwards_and_knows_no_django(name: str, source: str) -> None:
    assert engine_faults(name, source) == []


@pytest.mark.parametrize(
    ("name", "source"), [pytest.param(*module, id=module[0]) for module in modules("hotclub") if is_face(module[0])]
)
def test_the_face_imports_downwards(name: str, source: str) -> None:
    assert face_faults(name, source) == []


def test_hotclub_has_no_import_cycle() -> None:
    graph = {name: imported_modules(source, "hotclub") - {name, "hotclub"} for name, source in modules("hotclub")}
    TopologicalSorter(graph).prepare()  # raises CycleError with the cycle


PLANNED = {"layers", "compat"}
"""Packages that the tables of layers name and that are not written yet."""


def test_every_layer_names_modules_that_exist() -> None:
    assert [name for names in ENGINE for name in names - PLANNED if not exists(f"hotclub.engine.{name}")] == []
    assert [name for names in FACE for name in names - PLANNED if not exists(f"hotclub.{name}")] == []


def test_hotclub_does_not_know_the_site() -> None:
    assert [name for name, source in modules("hotclub") if imported_modules(source, "clubhouse")] == []


@pytest.mark.parametrize(("name", "source"), [pytest.param(*module, id=module[0]) for module in modules("clubhouse")])
def test_the_site_uses_public_names_and_services(name: str, source: str) -> None:
    assert site_faults(name, source) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("hotclub.engine.model", "from hotclub.engine.hub import Hub"),
        ("hotclub.engine.hub", "def f():\n    from hotclub.engine import node"),
        ("hotclub.engine.recovery", "if TYPE_CHECKING:\n    import hotclub.engine.broker.base"),
        ("hotclub.engine.node", "from django.conf import settings"),
        ("hotclub.engine.node", "from hotclub import conf"),
    ],
)
def test_a_forbidden_import_of_the_engine_is_found(name: str, source: str) -> None:
    assert len(engine_faults(name, source)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("hotclub.conf.config", "from hotclub.runtime.node import current_node"),
        ("hotclub.access.tokens", "def f():\n    from hotclub.actions.publish import publish"),
        ("hotclub.durable.broker", "if TYPE_CHECKING:\n    from hotclub.orders.messages import Disconnect"),
        ("hotclub.models", "import hotclub.channels.registry"),
        ("hotclub.hooks.subscribe", "import hotclub"),
        ("hotclub.checks.project", "from hotclub.maps import map_publish"),
    ],
)
def test_a_forbidden_import_of_the_face_is_found(name: str, source: str) -> None:
    assert len(face_faults(name, source)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("clubhouse.chat.views", "from hotclub.durable.sql import append"),
        ("clubhouse.chat.views", "import hotclub.engine.node"),
        ("clubhouse.chat.views", "from hotclub import durable"),
        ("clubhouse.chat.views", "from clubhouse.accounts.models import Profile"),
        ("clubhouse.chat.views", "from clubhouse.accounts import models"),
    ],
)
def test_a_forbidden_import_of_the_site_is_found(name: str, source: str) -> None:
    assert len(site_faults(name, source)) == 1
