"""Data directories with migrated databases, and the marker of the tests that take long on purpose."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import clubhouse
from tests.support.postgres import Cluster, postgres
from tests.support.processes import PROJECT, Server


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "soak: as long as one likes; run by `make soak`, never by `make test`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "soak" in config.option.markexpr:
        return
    soaks = [item for item in items if item.get_closest_marker("soak")]
    if soaks:
        config.hook.pytest_deselected(items=soaks)
        items[:] = [item for item in items if item not in soaks]


@pytest.fixture(scope="session")
def clubhouse_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clubhouse.prepare(tmp_path_factory.mktemp("clubhouse") / "template")


@pytest.fixture
def clubhouse_dir(clubhouse_template: Path, tmp_path: Path) -> Path:
    return clubhouse.copy_of(clubhouse_template, tmp_path / "clubhouse")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    # Not in pytest's own folder: every pytest that starts closes that to the database's user.
    with tempfile.TemporaryDirectory(prefix="hotclub-postgres-") as directory, postgres(Path(directory)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the migrated database of the tests' own project."""
    directory = tmp_path_factory.mktemp("project")
    Server(directory, PROJECT).manage("migrate", "-v", "0")
    return directory


@pytest.fixture(scope="session")
def postgres_template(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of the same on PostgreSQL."""
    url = cluster.create()
    Server(tmp_path_factory.mktemp("project"), PROJECT, {"PROJECT_DATABASE_URL": url}).manage("migrate", "-v", "0")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    """The tests' own project, migrated and not started, on each database."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        return Server(clubhouse.copy_of(template, tmp_path / "project"), PROJECT)
    url = request.getfixturevalue("cluster").create(request.getfixturevalue("postgres_template"))
    return Server(tmp_path, PROJECT, {"PROJECT_DATABASE_URL": url})
