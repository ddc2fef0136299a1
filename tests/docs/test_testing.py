"""The page for who tests another operator: its examples are Python, and what they import is there."""

import ast
import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_python_that_imports_what_there_is(example: str) -> None:
    tree = compile(example, "testing.md", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for each in ast.walk(tree):
        if isinstance(each, ast.ImportFrom):
            module = importlib.import_module(each.module or "")
            assert [name.name for name in each.names if not hasattr(module, name.name)] == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 6
