"""Every code block of the documentation is checked in the way of its language; a new language or program fails here."""

import ast
import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import click
import pytest
import uvicorn
from django.core.management import CommandError, get_commands, load_command_class
from django.template import Engine

from hotclub.conf.problems import SETTINGS
from hotclub.conf.values import RateLimits
from hotclub.engine.limits import Limits
from tests.packaging import snippets
from tests.packaging.blocks import PAGES, ROOT, Block, all_blocks, blocks_of, commands_of, prose_of, python_modules

pytestmark = pytest.mark.timeout(400)
"""The type checkers share the processor with everything else."""

BLOCKS: Final = all_blocks()

UNCHECKED: Final = {
    "text": "what a server says, with identifiers shortened",
    "dart": "needs the Flutter SDK: only its brackets are counted",
    "go": "compiled by hand with centrifuge-go, as the page says: only its brackets are counted",
    "java": "compiled by hand with centrifuge-java, as the page says: only its brackets are counted",
    "kotlin": "needs the Android SDK: only its brackets are counted",
    "swift": "needs Apple's SDK: only its brackets are counted",
    "caddyfile": "tried by hand with the version that the page names: only its brackets are counted",
}
"""Language → why its blocks are not checked further."""

CHECKED: Final = {"python", "sh", "console", "js", "ts", "html", "json", "nginx", "ini"}

RUN: Final = {
    "docs/how-to/testing.md": "test_how_to_testing.py runs it",
    "docs/tutorial.md": "test_wheel.py follows it, in a browser, too",
}
"""Page → why its Python and its scripts need no type checker."""

UNTRIED: Final = {
    **dict.fromkeys(
        ["gunicorn", "daphne", "hypercorn", "granian"], "tried by hand with the version that the page names"
    ),
    **dict.fromkeys(["systemctl", "journalctl"], "needs a running systemd"),
    **dict.fromkeys(["curl"], "answers depend on a running site"),
    **dict.fromkeys(["pip", "npm", "django-admin"], "test_wheel.py follows the tutorial word for word"),
    **dict.fromkeys([".", "cd", "cp", "mkdir", "export"], "a shell's own affair"),
}
"""Program → why its arguments are not checked."""


def written_in(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def never_run(*languages: str) -> list[Block]:
    return [block for block in written_in(*languages) if block.page not in RUN]


def finished(command: list[str], folder: Path, **environment: str) -> str:
    """What a program printed; "" when it has succeeded."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


def test_every_block_has_a_language_that_is_checked_or_has_a_reason() -> None:
    assert {block.language for block in BLOCKS} <= CHECKED | set(UNCHECKED)
    assert [str(block) for block in BLOCKS if block.language not in CHECKED | set(UNCHECKED)] == []


def test_no_fence_is_left_out() -> None:
    fences = sum(len(re.findall(r"^ *```", page.read_text(), re.MULTILINE)) for page in PAGES)
    assert fences == 2 * len(BLOCKS)


# ------------------------------------------------------------------------------------------------------------ Python


MYPY: Final = f"""[mypy]
python_version = 3.11
mypy_path = {ROOT / "src"}:{ROOT}:.
check_untyped_defs = true
disable_error_code = empty-body, var-annotated
follow_imports = silent
plugins = mypy_django_plugin.main
[mypy.plugins.django-stubs]
django_settings_module = tests.settings
[mypy-channels.*]
ignore_missing_imports = true
"""
"""What readers annotate is up to them; that names exist and calls fit is not."""


def type_errors(blocks: list[Block], folder: Path) -> list[str]:
    """What mypy says about blocks, and the names that nothing declares."""
    modules, unknown = python_modules(blocks, snippets.PYTHON)
    files = {f"{name}.py": source for name, source in modules.items()} | snippets.MODULES | {"mypy.ini": MYPY}
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    names = [f"{name}.py" for name in modules]
    cache = str(ROOT / ".mypy_cache" / "docs")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        "mypy.ini",
        "--cache-dir",
        cache,
        "--no-error-summary",
        *names,
    ]
    said = finished(command, folder, PYTHONPATH=f"{ROOT / 'src'}{os.pathsep}{ROOT}")
    return unknown + said.splitlines()


def test_python_is_accepted_by_the_type_checker(tmp_path: Path) -> None:
    assert type_errors(never_run("python"), tmp_path) == []


def test_a_wrong_name_and_a_wrong_call_are_found(tmp_path: Path) -> None:
    page = "```python\nimport hotclub\nhotclub.publsh('a', 1)\n```\n\n```python\nhotclub.publish('a')\nnobody()\n```\n"
    name, attribute, argument, _ = type_errors(list(blocks_of(Path("page.md"), page)), tmp_path)
    assert name == "page.md:7: nobody"
    assert 'page_2.py:3: error: Module has no attribute "publsh"' in attribute
    assert 'page_7.py:7: error: Missing positional argument "data"' in argument


def settings_of(block: Block) -> Iterator[tuple[str, str]]:
    """Name and key of every entry of a `HOTCLUB` dictionary that is written out, however deep."""

    def walk(name: str, value: ast.expr) -> Iterator[tuple[str, str]]:
        for key, inner in zip(value.keys, value.values, strict=True) if isinstance(value, ast.Dict) else ():
            if isinstance(key, ast.Constant):
                yield name, str(key.value)
                yield from walk(str(key.value), inner)

    for statement in ast.walk(ast.parse(block.text)):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "HOTCLUB":
            yield from walk("HOTCLUB", statement.value)


def test_settings_that_are_shown_exist() -> None:
    shown = [(block, name, key) for block in written_in("python") for name, key in settings_of(block)]
    assert [f"{block}: {key}" for block, name, key in shown if name == "HOTCLUB" and key not in SETTINGS] == []
    assert [f"{block}: {key}" for block, name, key in shown if key != key.upper()] == []
    assert len(shown) > 5


def test_settings_that_the_prose_names_exist() -> None:
    named = [(page, key) for page in PAGES for key in re.findall(r"HOTCLUB\[.(\w+).\]", prose_of(page))]
    assert [f"{page.name}: {key}" for page, key in named if key not in SETTINGS] == []
    assert named


def test_keys_inside_of_settings_are_upper_case_in_the_prose() -> None:
    keys = {field.name for kind in (Limits, RateLimits) for field in fields(kind)}
    spelled = [(page, word) for page in PAGES for word in re.findall(r"`([a-z_]+)`", prose_of(page))]
    assert [f"{page.name}: {word}" for page, word in spelled if word in keys and "_" in word] == []


# ------------------------------------------------------------------------------------------------------------- shell


def shell_problems(block: Block) -> Iterator[str]:
    """Programs, management commands, targets and options that do not exist."""
    text = commands_of(block).replace("\\\n", " ")
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"\w+=.*", words[0], re.DOTALL):
            words = words[1:]
        if words:
            yield from (f"{block}: {problem}" for problem in command_problems(words))


def command_problems(words: list[str]) -> Iterator[str]:
    program, *arguments = words
    if Path(program).name.startswith("python"):
        yield from python_problems(arguments)
    elif program == "make":
        yield from make_problems(arguments)
    elif program == "uvicorn":
        yield from uvicorn_problems(arguments)
    elif program not in UNTRIED:
        yield f"{program} is a program that nobody has said how to check"


def python_problems(arguments: list[str]) -> Iterator[str]:
    match arguments:
        case ["manage.py", name, *options] | ["-m", "clubhouse", name, *options]:
            yield from management_problems(name, options)
        case ["-m", "venv", *_] | ["-m", "benchmarks", "--help"]:
            pass
        case _:
            yield f"python {' '.join(arguments)} is not checked"


def management_problems(name: str, options: list[str]) -> Iterator[str]:
    if name not in get_commands():
        yield f"there is no management command {name}"
        return
    command = load_command_class(get_commands()[name], name)
    try:
        command.create_parser("manage.py", name).parse_args(options)
    except CommandError as error:
        yield f"{name}: {error}"


def make_problems(arguments: list[str]) -> Iterator[str]:
    makefile = (ROOT / "Makefile").read_text()
    scripts = makefile + "".join(path.read_text() for path in (ROOT / "scripts").iterdir() if path.is_file())
    for word in arguments:
        name, variable, _ = word.partition("=")
        if variable and name not in scripts:
            yield f"make {word}: nothing reads {name}"
        if not variable and f"\n{word}:" not in makefile:
            yield f"there is no target {word}"


def uvicorn_problems(arguments: list[str]) -> Iterator[str]:
    try:
        uvicorn.main.make_context("uvicorn", list(arguments))
    except click.ClickException as error:
        yield f"uvicorn: {error.format_message()}"


def test_shell_commands_exist_with_their_options() -> None:
    assert [problem for block in written_in("sh", "console") for problem in shell_problems(block)] == []


def test_shell_blocks_are_syntax_that_a_shell_reads(tmp_path: Path) -> None:
    for block in written_in("sh", "console"):
        (tmp_path / f"{block.module}.sh").write_text(commands_of(block))
    said = [finished(["bash", "-n", path.name], tmp_path) for path in sorted(tmp_path.iterdir())]
    assert [text for text in said if text] == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("python manage.py hotclub_serv", "there is no management command hotclub_serv"),
        ("python manage.py hotclub_serve --prot 8000", "unrecognized arguments: --prot 8000"),
        ("make tset", "there is no target tset"),
        ("make run PROT=1", "nothing reads PROT"),
        ("uvicorn a:b --prot 1", "No such option"),
        ("rsync a b", "nobody has said how to check"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str, problem: str) -> None:
    (found,) = shell_problems(Block("page.md", 1, "sh", line))
    assert problem in found


def test_commands_that_the_prose_names_exist() -> None:
    known = {*get_commands(), "runworker"}  # the latter is of Channels
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    unknown = []
    for page in [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md"]:
        prose = prose_of(page)
        unknown += [f"{page.name}: {name}" for name in re.findall(r"manage\.py\s(\w+)", prose) if name not in known]
        unknown += [
            f"{page.name}: make {name}" for name in re.findall(r"`make ([a-z-]+)", prose) if name not in targets
        ]
    assert unknown == []


# -------------------------------------------------------------------------------------------- JavaScript, TypeScript


TSCONFIG: Final[dict[str, Any]] = {
    "compilerOptions": {
        "target": "ES2022",
        "lib": ["ES2023", "DOM", "DOM.Iterable"],
        "module": "ESNext",
        "moduleResolution": "bundler",
        "strict": False,
        "allowJs": True,
        "checkJs": True,
        "noEmit": True,
        "skipLibCheck": True,
        "types": [],
        "paths": {"centrifuge": [str(ROOT / "node_modules/centrifuge/build/index.d.ts")]},
    },
    "include": ["*"],
}


def scripts_of(block: Block) -> str:
    """The script of a block; of a page, its inline ones on the lines where they stand."""
    if block.language != "html":
        return block.text
    inline = re.sub(r"<script[^>]*>|</script>", "\0", block.text).split("\0")
    return "".join("\n" * part.count("\n") if index % 2 == 0 else part for index, part in enumerate(inline))


def script_errors(blocks: list[Block], folder: Path) -> list[str]:
    """What the TypeScript compiler says about blocks."""
    for block in blocks:
        ending = "ts" if block.language == "ts" else "js"
        # The export makes it a module, with names and `await` of its own.
        (folder / f"{block.module}.{ending}").write_text("\n" * (block.line - 1) + scripts_of(block) + "\nexport {};\n")
    files = {"context.d.ts": snippets.TYPESCRIPT, "tsconfig.json": json.dumps(TSCONFIG), **snippets.TYPESCRIPT_MODULES}
    for name, text in files.items():
        (folder / name).write_text(text)
    command = ["node", str(ROOT / "node_modules/typescript/bin/tsc"), "--project", str(folder), "--pretty", "false"]
    return finished(command, folder).splitlines()


def test_scripts_are_accepted_by_the_compiler(tmp_path: Path) -> None:
    assert script_errors(never_run("js", "ts", "html"), tmp_path) == []


def test_a_wrong_call_of_the_sdk_is_found(tmp_path: Path) -> None:
    page = "```js\nclient.newSubscripton('a');\n```\n\n```html\n<p></p>\n<script>\n  nobody();\n</script>\n```\n"
    method, name = script_errors(list(blocks_of(Path("page.md"), page)), tmp_path)
    assert method.startswith("page_2.js(2,8)")
    assert "newSubscripton" in method
    assert name.startswith("page_6.js(8,3)")
    assert "nobody" in name


# ------------------------------------------------------------------------------------------------- pages, data, files


class Elements(HTMLParser):
    """Finds elements that are closed in the wrong order, or not at all."""

    OPEN: Final = {"input", "meta", "link", "br", "hr", "img", "!doctype", "html"}

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.OPEN:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.OPEN:
            return
        if not self._open or self._open.pop() != tag:
            self.problems.append(f"</{tag}> closes something else")

    def close(self) -> None:
        super().close()
        self.problems += [f"<{tag}> is not closed" for tag in self._open]


def page_problems(block: Block) -> list[str]:
    elements = Elements()
    elements.feed(block.text)
    elements.close()
    Engine(libraries={"static": "django.templatetags.static"}, builtins=["django.templatetags.static"]).from_string(
        block.text
    )
    return elements.problems


@pytest.mark.parametrize("block", written_in("html"), ids=str)
def test_pages_are_templates_with_closed_elements(block: Block) -> None:
    assert page_problems(block) == []


@pytest.mark.parametrize("block", written_in("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    for line in block.text.splitlines():
        json.loads(line)


@pytest.mark.parametrize("block", written_in("ini"), ids=str)
def test_units_have_sections_and_known_keys(block: Block) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    assert unit.sections() == ["Unit", "Service", "Install"]
    command = shlex.split(unit["Service"]["ExecStart"])
    assert list(command_problems(command)) == []


NGINX: Final = {
    *("map", "upstream", "server", "listen", "server_name", "return", "ssl_certificate", "ssl_certificate_key"),
    *("location", "proxy_pass", "proxy_http_version", "proxy_set_header", "proxy_read_timeout", "proxy_buffering"),
    *("gzip", "access_log", "keepalive", "client_max_body_size", "worker_rlimit_nofile", "events"),
    *("worker_connections", "alias", "expires", "limit_conn_zone", "limit_conn", "limit_conn_status"),
    *("client_body_timeout", "client_header_timeout", "send_timeout", "reset_timedout_connection"),
}
"""The directives that have been tried with nginx itself."""


def nginx_problems(text: str) -> Iterator[str]:
    """Directives that nobody tried, statements without an end, and brackets without a partner."""
    words = re.sub(r"#.*", "", text)
    for number, line in enumerate(filter(None, map(str.strip, words.splitlines())), start=1):
        if not line.endswith((";", "{", "}")):
            yield f"line {number} has no end: {line}"
    pattern = r"(?:^|[;{}])\s*([a-z_]+)\s"
    inside_map = re.sub(r"map [^{]*\{[^}]*\}", "map {}", words)
    yield from (f"{name} has not been tried" for name in re.findall(pattern, inside_map) if name not in NGINX)


@pytest.mark.parametrize("block", written_in("nginx"), ids=str)
def test_nginx_configurations_are_well_formed(block: Block) -> None:
    assert list(nginx_problems(block.text)) == []


def test_a_mistake_in_an_nginx_configuration_is_found() -> None:
    assert list(nginx_problems("server {\n    listn 80;\n    gzip on\n}\n")) == [
        "line 3 has no end: gzip on",
        "listn has not been tried",
    ]


CLOSING: Final = {")": "(", "]": "[", "}": "{"}


def brackets_match(text: str) -> bool:
    """Whether every bracket outside of string literals has its partner."""
    stack: list[str] = []
    for character in re.sub(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\\n])*'|//.*", "", text):
        if character in "([{":
            stack.append(character)
        elif character in CLOSING and (not stack or stack.pop() != CLOSING[character]):
            return False
    return not stack


@pytest.mark.parametrize(
    "block", written_in("swift", "java", "kotlin", "dart", "go", "nginx", "caddyfile", "json"), ids=str
)
def test_brackets_match(block: Block) -> None:
    assert brackets_match(block.text)
