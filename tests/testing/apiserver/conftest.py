"""Tests of the embedded API server run with what runs on it."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("controlplane") is None:
            item.add_marker(pytest.mark.embedded)
