"""Which documents under a prefix are a job's: as ``aws s3 ls`` and ``cp`` would say of one filter."""

import pytest

from marie_operator.controllers.mariejob.selection import Selection
from marie_operator.controllers.mariejob.source import Prefix

SOURCE = Prefix("bucket", "in/")


@pytest.mark.parametrize(
    ("include", "exclude", "key", "taken"),
    [
        ((), (), "in/a.pdf", True),
        (("*.pdf",), (), "in/a.pdf", True),
        (("*.pdf",), (), "in/deep/er/a.pdf", True),
        (("*.pdf",), (), "in/a.PDF", False),
        (("*.pdf", "*.tif"), (), "in/a.tif", True),
        (("in/*",), (), "in/a.pdf", False),
        (("2026/*",), (), "in/2026/01/a.pdf", True),
        (("page?.tif",), (), "in/page10.tif", False),
        (("[a-c]*",), (), "in/b.pdf", True),
        (("[!a-c]*",), (), "in/b.pdf", False),
        (("[*]",), (), "in/*", True),
        ((), ("draft/*",), "in/draft/a.pdf", False),
        ((), ("draft/*",), "in/a.pdf", True),
        (("*.pdf",), ("*-old.pdf",), "in/a-old.pdf", False),
        (("*\n*",), (), "in/a\nb", True),
    ],
)
def test_a_document_is_taken_when_a_filter_includes_and_none_excludes_it(
    include: tuple[str, ...], exclude: tuple[str, ...], key: str, taken: bool
) -> None:
    assert Selection(include, exclude).takes(SOURCE, key) is taken


def test_globs_of_an_attacker_take_no_time() -> None:
    selection = Selection(("*a" * 500 + "b",) * 32)
    assert not any(selection.takes(SOURCE, f"in/{'a' * 1000}{number}") for number in range(20))
