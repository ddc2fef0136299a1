import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-goldens", action="store_true", help="write what the builders build into tests/builders/golden"
    )


@pytest.fixture(scope="session")
def update_goldens(pytestconfig: pytest.Config) -> bool:
    # The option exists only when pytest is started on this folder.
    return bool(pytestconfig.getoption("--update-goldens", default=False))
