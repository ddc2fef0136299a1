"""Makes docs/semantics.md of the promises in docs/semantics.toml and of the tests that name them.

``python hack/semantics.py`` writes it; a test sees that it is current and that no promise is without a test.
"""

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "semantics.md"
_HEAD = """# What the runtime promises

Each line is a promise of `marie_operator.runtime`, with the tests that hold it. The ids group them by what they are
about, and tests name them: `pytest --collect-only` shows them, and `grep -rn '"R-11"' tests` finds them. Promises that
other runtimes make and this one does not are here too, with the reason.

This page is made by `python hack/semantics.py` of `docs/semantics.toml` and the tests' marks.
"""


@dataclass(frozen=True)
class Promise:
    """A promise.

    Attributes:
        id: As tests name it.
        sentence: What is promised.
        reason: Why it does not apply; empty where it does.
    """

    id: str
    sentence: str
    reason: str


@dataclass(frozen=True, order=True)
class Test:
    """A test: the file, from the root of the repository, and its name."""

    path: str
    name: str


def promises() -> Mapping[str, tuple[Promise, ...]]:
    """All promises, by the title of their section."""
    sections = tomllib.loads((ROOT / "docs" / "semantics.toml").read_text(encoding="utf-8"))
    return {
        section.pop("title"): tuple(
            Promise(name, said, "") if isinstance(said, str) else Promise(name, said["promise"], said["reason"])
            for name, said in section.items()
        )
        for section in sections.values()
    }


def tests() -> Mapping[str, tuple[Test, ...]]:
    """The tests of each id, from their marks, without importing anything."""
    found: defaultdict[str, set[Test]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for name in _marks(node):
                    found[name].add(Test(path.relative_to(ROOT).as_posix(), node.name))
    return {name: tuple(sorted(them)) for name, them in found.items()}


def _marks(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.semantics":
            yield from (argument.value for argument in decorator.args if isinstance(argument, ast.Constant))


def page() -> str:
    """The whole page."""
    proven, parts = tests(), [_HEAD]
    for title, section in promises().items():
        parts.append(f"## {title}\n\n| id | promise | shown by |\n|---|---|---|")
        parts += [_row(promise, proven.get(promise.id, ())) for promise in section]
        parts.append("")
    return "\n".join(parts)


def _row(promise: Promise, proven: tuple[Test, ...]) -> str:
    links = "<br>".join(f"[{_words(test.name)}](../{test.path})" for test in proven)
    shown = f"*Not promised.* {promise.reason}" if promise.reason else links or "*not yet*"
    return f"| {promise.id} | {promise.sentence} | {shown} |"


def _words(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
