from collections.abc import Iterator

import pytest

from marie_operator.marie.database import Place
from marie_operator.testing.processes import free_ports
from tests.database.server import Server, running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for all tests."""
    (port,) = free_ports(1)
    with running(port) as server:
        yield server


@pytest.fixture
def place(postgres: Server) -> Place:
    """A database of the test's own."""
    return postgres.database()
