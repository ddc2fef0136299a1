"""Makes docs/semantics.md and docs/upstream.md of promises, of the tests that name them, and of others' tests.

``python hack/semantics.py`` writes them; a test sees that they are current and that no promise is without a test.
"""

import ast
import functools
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
_MARK = "pytest.mark.semantics"
_SEMANTICS = """# What the runtime promises

Each line is a promise of `marie_operator.runtime`, with the tests that hold it. The ids group them by what they are
about, and tests name them: `pytest --collect-only` shows them, and `grep -rn '"R-11"' tests` finds them. Promises that
other runtimes make and this one does not are here too, with the reason. [guarantees.md](guarantees.md) says the same in
prose, in the order of what a user may rely on; [upstream.md](upstream.md) lists the tests of client-go,
controller-runtime and kube-rs with what answers them here.

This page is made by `python hack/semantics.py` of `docs/semantics.toml` and the tests' marks; a promise without a test
and without a reason fails `make test`.
"""
_UPSTREAM = """# Others' tests, and what answers them here

The tests of client-go, controller-runtime and kube-rs, file by file. Each is answered by promises of
[semantics.md](semantics.md), whose tests show here what it shows there, or by the reason why it has no counterpart.

This page is made by `python hack/semantics.py` of `docs/upstream.toml`.
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


@dataclass(frozen=True)
class Answer:
    """Tests of others that are answered alike.

    Attributes:
        names: Theirs.
        by: Ids of promises.
        reason: Why there is no counterpart; empty where there is.
    """

    names: tuple[str, ...]
    by: tuple[str, ...]
    reason: str


def promises() -> Mapping[str, tuple[Promise, ...]]:
    """All promises, by the title of their section."""
    return {
        section.pop("title"): tuple(
            Promise(name, said, "") if isinstance(said, str) else Promise(name, said["promise"], said["reason"])
            for name, said in section.items()
        )
        for section in _read("semantics.toml").values()
    }


def upstream() -> Mapping[str, Mapping[str, tuple[Answer, ...]]]:
    """Others' tests, by project and file."""
    return {
        project: {
            path: tuple(
                Answer(tuple(each["tests"]), tuple(each.get("by", ())), each.get("reason", "")) for each in answers
            )
            for path, answers in files.items()
        }
        for project, files in _read("upstream.toml").items()
    }


@functools.cache
def tests() -> Mapping[str, tuple[Test, ...]]:
    """The tests of each id, from their marks, without importing anything."""
    found: defaultdict[str, set[Test]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if _MARK not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for name in _marks(node):
                    found[name].add(Test(path.relative_to(ROOT).as_posix(), node.name))
    return {name: tuple(sorted(them)) for name, them in found.items()}


def _marks(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == _MARK:
            yield from (str(argument.value) for argument in decorator.args if isinstance(argument, ast.Constant))


def semantics_page() -> str:
    """docs/semantics.md."""
    proven, parts = tests(), [_SEMANTICS]
    for title, section in promises().items():
        parts.append(f"## {title}\n\n| id | promise | shown by |\n|---|---|---|")
        parts += [_row(promise, proven.get(promise.id, ())) for promise in section]
        parts.append("")
    return "\n".join(parts)


def _row(promise: Promise, proven: tuple[Test, ...]) -> str:
    links = "<br>".join(f"[{_words(test.name)}](../{test.path})" for test in proven)
    shown = f"*Not promised.* {promise.reason}" if promise.reason else links
    anchor = f'<a id="{promise.id.lower()}"></a>{promise.id}'
    return f"| {anchor} | {promise.sentence} | {shown} |"


def _words(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")


def upstream_page() -> str:
    """docs/upstream.md."""
    parts = [_UPSTREAM]
    for project, files in upstream().items():
        parts.append(f"## {project}\n")
        for path, answers in files.items():
            parts.append(f"### `{path}`\n\n| there | here |\n|---|---|")
            parts += [f"| {'<br>'.join(answer.names)} | {_answered(answer)} |" for answer in answers]
            parts.append("")
    return "\n".join(parts)


def _answered(answer: Answer) -> str:
    return answer.reason or " ".join(f"[{name}](semantics.md#{name.lower()})" for name in answer.by)


def pages() -> Mapping[Path, str]:
    """Every page by its place."""
    return {DOCS / "semantics.md": semantics_page(), DOCS / "upstream.md": upstream_page()}


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((DOCS / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    for place, content in pages().items():
        place.write_text(content, encoding="utf-8")
