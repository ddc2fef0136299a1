"""The page of what is known of Marie, and who goes by it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/marie.md").read_text(encoding="utf-8")
FACTS = re.findall(r"^\| (MA-\d+) \| .* \| (.*) \|$", PAGE, re.MULTILINE)
SOURCES = [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py")]


def test_a_fact_that_is_cited_is_on_the_page_and_none_is_there_for_nobody() -> None:
    texts = (source.read_text(encoding="utf-8") for source in SOURCES if source != Path(__file__))
    cited = {fact for text in texts for fact in re.findall(r"\bMA-\d+", text)}
    assert cited == {fact for fact, _ in FACTS}


def test_recordings_that_are_named_are_there() -> None:
    named = re.findall(r"`(\d\w*-[^`]+\.(?:http|jsonl|txt))`", PAGE)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "tests/recordings" / name).exists()] == []
