"""Samples and pages lead to each other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = {str(file.relative_to(ROOT)) for file in (ROOT / "config/samples").rglob("marie*.yaml")}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WITHOUT = {
    "campaigns.md": "about tests",
    "conditions.md": "generated: conditions, reasons and events",
    "dialects.md": "about what gateways answer; nothing in an object depends on it",
    "faults.md": "about what happens to the operator, not about what is applied",
    "fields.md": "generated: every field",
    "guarantees.md": "about the runtime",
    "install.md": "config/default is what is applied",
    "kuberay.md": "generated: defects of KubeRay's",
    "marie.md": "about Marie",
    "observability.md": "config/monitoring is what is applied",
    "reference.md": "generated: public names",
    "semantics.md": "generated: the runtime's semantics",
    "simulation.md": "about tests",
    "testing.md": "about tests",
    "upstream.md": "generated: others' tests",
    "your-own-operator.md": "docs/examples is its sample",
}


def named(page: Path) -> set[str]:
    """The samples that a page leads to, by their paths from the root."""
    links = re.findall(r"\]\(([^)#]*config/samples/[^)#]+)\)", page.read_text(encoding="utf-8"))
    return {str((page.parent / link).resolve().relative_to(ROOT)) for link in links}


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in WITHOUT], ids=lambda page: page.name)
def test_a_page_about_a_capability_leads_to_a_sample(page: Path) -> None:
    assert named(page)


def test_pages_without_a_sample_are_there() -> None:
    assert WITHOUT.keys() <= {page.name for page in PAGES}


def test_every_sample_is_led_to_and_there_is_no_other() -> None:
    assert set().union(*map(named, PAGES)) == SAMPLES
