"""Data directories with migrated databases, and the marker of the tests that take long on purpose."""

from pathlib import Path

import pytest

from tests.support import clubhouse
from tests.support.postgres import Cluster, project_template, shared_cluster
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


@pytest.fixture
def clubhouse_dir(tmp_path: Path) -> Path:
    return clubhouse.prepare(tmp_path / "clubhouse")


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return shared_cluster()


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    """The tests' own project, migrated and not started, on each database."""
    if request.param == "sqlite":
        server = Server(tmp_path, PROJECT)
        server.copy_tables()
        return server
    url = request.getfixturevalue("cluster").create(project_template())
    return Server(tmp_path, PROJECT, {"PROJECT_DATABASE_URL": url})
