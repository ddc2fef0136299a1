"""What is known to differ is told in the documentation, and each of it is a case of the conformance suite."""

import ast
from pathlib import Path

from tests.conformance.differences import DIFFERENCES

ROOT = Path(__file__).parents[3]


def test_the_documentation_tells_all_of_it() -> None:
    text = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    table = text.partition("| What differs | Why |\n|---|---|\n")[2].partition("\n\n")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in table.splitlines()]
    assert rows == [(each.what, each.why) for each in DIFFERENCES]


def test_there_is_little_of_it() -> None:
    assert len({each.id for each in DIFFERENCES}) == len(DIFFERENCES) < 10


def test_each_has_a_case() -> None:
    module = ast.parse((ROOT / "tests/conformance/test_differences.py").read_text(encoding="utf-8"))
    cases = {each.name for each in module.body if isinstance(each, ast.AsyncFunctionDef)}
    assert cases == {f"test_{each.id}" for each in DIFFERENCES}
