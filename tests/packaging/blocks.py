"""The fenced code blocks of the documentation, and what they need from outside themselves."""

import ast
import builtins
import re
import symtable
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = sorted({*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md")})

_FENCE: Final = re.compile(
    r"^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """One fenced block. `line` is that of its first line of text, from 1 on."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def module(self) -> str:
        """A name that Python and file systems take."""
        return re.sub(r"\W", "_", f"{self.page.removesuffix('.md')}_{self.line}")


def blocks_of(page: Path, text: str) -> Iterator[Block]:
    """Every block of a page, in order, without the indentation that a list gives it."""
    name = str(page.relative_to(ROOT)) if page.is_relative_to(ROOT) else page.name
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start("text")) + 1
        indent = fence["indent"]
        inside = "".join(line.removeprefix(indent) for line in fence["text"].splitlines(keepends=True))
        yield Block(name, line, fence["language"], inside)


def all_blocks() -> list[Block]:
    """Every block of every page."""
    return [block for page in PAGES for block in blocks_of(page, page.read_text())]


def prose_of(page: Path) -> str:
    """A page without its blocks; lines keep their numbers."""
    return _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), page.read_text())


# ------------------------------------------------------------------------------------------------------------ Python


def bound_names(source: str) -> set[str]:
    """The names that a module gives a value or a type."""
    table = symtable.symtable(source, "block", "exec")
    return {
        name.get_name()
        for name in table.get_symbols()
        if name.is_assigned() or name.is_imported() or name.is_annotated()
    }


def missing_names(source: str) -> set[str]:
    """The names that a module uses and has not bound before, built-in ones left out."""
    table = symtable.symtable(source, "block", "exec")
    return (_globals_of(table) - bound_names(source) - vars(builtins).keys()) | _extended_names(source)


def _globals_of(table: symtable.SymbolTable) -> set[str]:
    """The global names that a scope and the scopes in it use."""
    top = table.get_type() == "module"
    used = {name.get_name() for name in table.get_symbols() if name.is_referenced() and (top or name.is_global())}
    return used.union(*map(_globals_of, table.get_children()))


def _extended_names(source: str) -> set[str]:
    """The names whose first assignment reads them: `X = ["a", *X]`, as settings are extended."""
    bound: set[str] = set()
    found: set[str] = set()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign):
            targets = {
                node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)
            }
            loaded = {node.id for node in ast.walk(statement.value) if isinstance(node, ast.Name)}
            found |= (targets & loaded) - bound
            bound |= targets
    return found


def python_modules(blocks: Iterable[Block], context: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The source of a module for each Python block, by its name, and the names that nothing declares.

    Line numbers are those of the page. A name that a block does not bind comes from an earlier block of the page, from
    the page's context, or from the context of all pages (`""`); the first line imports it.
    """
    modules = {context_module(page): source for page, source in context.items()}
    declared = {page: dict.fromkeys(bound_names(source), context_module(page)) for page, source in context.items()}
    earlier: dict[str, dict[str, str]] = {}
    unknown: list[str] = []
    for block in blocks:
        before = earlier.setdefault(block.page, {})
        homes = {**declared[""], **declared.get(block.page, {}), **before}
        missing = sorted(missing_names(block.text))
        unknown += [f"{block}: {name}" for name in missing if name not in homes]
        imports = "; ".join(f"from {homes[name]} import {name}" for name in missing if name in homes)
        modules[block.module] = imports + "\n" * (block.line - 1) + block.text
        before.update(dict.fromkeys(bound_names(block.text), block.module))
    return modules, unknown


def context_module(page: str) -> str:
    """The name of the module that holds what a page takes as given."""
    return "context_" + re.sub(r"\W", "_", page or "of_all_pages")


# ------------------------------------------------------------------------------------------------------------- shell


def commands_of(block: Block) -> str:
    """What somebody types: a console block without its output, and any other block as it is."""
    if block.language != "console":
        return block.text
    typed: list[str] = []
    goes_on = False
    for line in block.text.splitlines():
        if line.startswith("$ ") or goes_on:
            typed.append(line.removeprefix("$ "))
            goes_on = line.endswith("\\")
    return "\n".join(typed) + "\n"
