"""What the library exports is decided, documented, and typed for who uses it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from marie_operator import runtime
from tests.docs.generated import ROOT, program

reference: Any = program("reference")
NAMES = Path(__file__).parent / "public_names.txt"


def test_the_page_is_current() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "run: make docs"


def test_public_names_are_those_that_were_decided_on() -> None:
    """Whoever adds one promises to keep it; whoever takes one away breaks somebody's operator."""
    assert sorted(runtime.__all__) == NAMES.read_text(encoding="utf-8").split()
    assert all(hasattr(runtime, name) for name in runtime.__all__)


def test_each_public_name_says_what_it_is() -> None:
    page = reference.PAGE.read_text(encoding="utf-8")
    told = [name for name in runtime.__all__ if f"### {name}\n" in page or f"`{name}`" in page]
    assert sorted(told) == sorted(runtime.__all__)
    undocumented = [
        name
        for name in runtime.__all__
        if (isinstance(getattr(runtime, name), type) or callable(getattr(runtime, name)))
        and not getattr(runtime, name).__doc__
    ]
    assert undocumented == []


WRONG = """\
from marie_operator import runtime as rt


async def by_name(name: str) -> rt.Result:
    return rt.Result(requeue_after="soon")  # arg-type


def mistakes(process: rt.Process, site: rt.Object) -> None:
    process.controller("website", by_name)  # arg-type
    rt.Cache(process.client, workers=4, clock=process.clock)  # call-arg
    rt.Resource("example.com", "v1", "Website")  # call-arg
    rt.write_status(process.writer, rt.PODS, site, {})  # unused-coroutine
    process.cache.add("pods")  # arg-type
    rt.Operator  # attr-defined
"""


@pytest.mark.typing
def test_a_users_strict_type_checker_takes_what_is_right_and_finds_what_is_wrong(tmp_path: Path) -> None:
    """The example, in a project of its own, against the package as it is installed."""
    (tmp_path / "website.py").write_text((ROOT / "docs/examples/website.py").read_text(encoding="utf-8"))
    (tmp_path / "wrong.py").write_text(WRONG)
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--show-error-codes",
         "--cache-dir", ROOT / ".mypy_cache" / "user", "website.py", "wrong.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    errors = [line for line in checked.stdout.splitlines() if ": error:" in line]
    found = [(int(line.split(":")[1]), line.rpartition("[")[2].rstrip("]")) for line in errors]
    expected = [
        (number, line.rpartition("# ")[2]) for number, line in enumerate(WRONG.splitlines(), 1) if "  # " in line
    ]
    assert [line for line in errors if not line.startswith("wrong.py:")] == [], checked.stdout + checked.stderr
    assert sorted(set(found)) == expected, checked.stdout
