"""Makes docs/semantics.md, docs/upstream.md and docs/kuberay.md of promises, of tests that name them, and of others'.

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
_PROMISES, _DEFECTS = "pytest.mark.semantics", "pytest.mark.kuberay"
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
_KUBERAY = """# KubeRay's defects, and what prevents them here

KubeRay's operator was read from source (version 1.7, August 2026), since this one is built after its model: what it got
wrong, or does not have, is a test here. Tests name the defects (`pytest.mark.kuberay`): `grep -rn '"KR-05"' tests`
finds them. Where a defect has no counterpart, the reason stands instead.

This page is made by `python hack/semantics.py` of `docs/kuberay.toml` and the tests' marks; a defect without a test and
without a reason fails `make test`.

| id | there | here | shown by |
|---|---|---|---|
"""
_COMPLAINTS = """
## What its users ask for and complain about

Issues of ray-project/kuberay, unless another project is named, by what stands behind them.

| id | issues | there | here | shown by |
|---|---|---|---|---|
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


@dataclass(frozen=True)
class Defect:
    """A defect of KubeRay's.

    Attributes:
        id: As tests name it.
        there: What goes wrong there.
        here: What prevents it here, or why it has no counterpart.
        counterpart: Whether it could happen here, so that tests show that it does not.
        issues: Of users who have met it; empty for what was read from source.
        shown: Defects whose tests show it too.
        page: A page that shows it; empty where tests do.
    """

    id: str
    there: str
    here: str
    counterpart: bool
    issues: str
    shown: tuple[str, ...]
    page: str


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


def defects() -> tuple[Defect, ...]:
    """All of KubeRay's defects."""
    return tuple(
        Defect(
            id=name,
            there=said["there"],
            here=said.get("here") or said["reason"],
            counterpart="here" in said,
            issues=said.get("issues", ""),
            shown=tuple(said.get("shown", ())),
            page=said.get("page", ""),
        )
        for name, said in _read("kuberay.toml").items()
    )


def tests() -> Mapping[str, tuple[Test, ...]]:
    """The tests of each promise."""
    return _marked(_PROMISES)


def tests_of_defects() -> Mapping[str, tuple[Test, ...]]:
    """The tests that show a defect to be absent."""
    return _marked(_DEFECTS)


@functools.cache
def _marked(mark: str) -> Mapping[str, tuple[Test, ...]]:
    """The tests of each id, from their marks, without importing anything."""
    found: defaultdict[str, set[Test]] = defaultdict(set)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if mark not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                for name in _marks(node, mark):
                    found[name].add(Test(path.relative_to(ROOT).as_posix(), node.name))
    return {name: tuple(sorted(them)) for name, them in found.items()}


def _marks(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, mark: str) -> Iterator[str]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == mark:
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
    shown = f"*Not promised.* {promise.reason}" if promise.reason else _links(proven)
    anchor = f'<a id="{promise.id.lower()}"></a>{promise.id}'
    return f"| {anchor} | {promise.sentence} | {shown} |"


def _links(proven: tuple[Test, ...]) -> str:
    return "<br>".join(f"[{_words(test.name)}](../{test.path})" for test in proven)


def kuberay_page() -> str:
    """docs/kuberay.md."""
    read = "".join(f"{_defect(each)}\n" for each in defects() if not each.issues)
    met = "".join(f"{_defect(each)}\n" for each in defects() if each.issues)
    return _KUBERAY + read + _COMPLAINTS + met


def _defect(defect: Defect) -> str:
    proven = tests_of_defects()
    found = dict.fromkeys(test for name in (defect.id, *defect.shown) for test in proven.get(name, ()))
    page = f"[{defect.page}]({defect.page})" if defect.page else ""
    shown = "<br>".join(filter(None, [_links(tuple(found)), page])) or "no counterpart"
    cells = [defect.id, *filter(None, [defect.issues]), defect.there, defect.here, shown]
    return f"| {' | '.join(cells)} |"


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
    return {
        DOCS / "semantics.md": semantics_page(),
        DOCS / "upstream.md": upstream_page(),
        DOCS / "kuberay.md": kuberay_page(),
    }


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((DOCS / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    for place, content in pages().items():
        place.write_text(content, encoding="utf-8")
