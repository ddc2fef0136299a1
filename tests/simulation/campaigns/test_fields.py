"""Every field of both kinds, changed to what is valid, at its bounds and beyond them, taken away, and set back."""

import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.simulation.campaigns import chosen, clusters, jobs
from tests.simulation.campaigns.bases import BASES
from tests.simulation.campaigns.fields import ABSENT, ITEM, fields, has_place, template_fields, value_at
from tests.simulation.campaigns.values import template_values, values

PAGE = Path(__file__).parents[3] / "docs" / "campaigns.md"
SAMPLE = 12
"""One campaign in so many runs with the other tests."""
RANDOM = 25
"""Fields of a pod template that are drawn beside the chosen ones."""


CLUSTERS = ("referred", "managed", "reached", "addressed")
"""The bases of clusters, the one that is preferred first."""
OTHERWISE = {
    "batch": "batch",
    "clusterSelector": "selecting",
    "clusterSpec": "owning",
    "deletionStrategy": "owning",
    "submitterConfig": "submitted",
    "submitterPodTemplate": "submitted",
}
"""The bases of jobs by what they have that not all do."""


def of_clusters() -> Iterator[clusters.Campaign]:
    for field in fields("MarieCluster"):
        possible = [name for name in CLUSTERS if has_place(BASES[name], field.path)]
        # Beside what a base has in its stead it may not be allowed.
        having = (name for name in possible if value_at(BASES[name], field.path) is not ABSENT)
        if possible:
            yield clusters.Campaign(next(having, possible[0]), field, values(field, chosen.WORKS))


def of_templates() -> Iterator[clusters.Campaign]:
    possible = [field for field in template_fields() if has_place(BASES["templates"], field.path)]
    named = [field for field in possible if str(field) in chosen.TEMPLATE]
    others = [field for field in possible if str(field) not in chosen.TEMPLATE]
    for field in (*named, *random.Random(1).sample(others, RANDOM)):
        yield clusters.Campaign("templates", field, template_values(field, chosen.TEMPLATE))


def of_jobs() -> Iterator[jobs.Campaign]:
    for field in fields("MarieJob"):
        filtered = field.path[-1] == ITEM and field.path[1] == "input"
        name = "batch" if filtered else OTHERWISE.get(field.path[1], "job")
        if has_place(BASES[name], field.path):
            yield jobs.Campaign(name, field, values(field, chosen.JOB_WORKS))


EVERY: Sequence[clusters.Campaign | jobs.Campaign] = (*of_clusters(), *of_templates(), *of_jobs())


def _id(campaign: clusters.Campaign | jobs.Campaign) -> str:
    return f"{campaign.field.kind} {campaign.field}"


def _sampled(campaign: clusters.Campaign | jobs.Campaign) -> bool:
    return zlib.crc32(_id(campaign).encode()) % SAMPLE == 0


def test_the_page_says_how_many_there_are() -> None:
    size = f"{len(EVERY)} fields with {sum(len(each.values) for each in EVERY):,} values"
    assert size in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("campaign", [each for each in EVERY if _sampled(each)], ids=_id)
def test_a_few_fields(campaign: clusters.Campaign | jobs.Campaign) -> None:
    assert campaign.violations() == []


@pytest.mark.campaign
@pytest.mark.timeout(900)
@pytest.mark.parametrize("campaign", EVERY, ids=_id)
def test_every_field(campaign: clusters.Campaign | jobs.Campaign) -> None:
    assert campaign.violations() == []


@pytest.mark.parametrize("kind", ["MarieCluster", "MarieJob"])
def test_no_field_is_left_out(kind: str) -> None:
    covered = {campaign.field.path for campaign in EVERY if campaign.field.kind == kind}
    assert [str(field) for field in fields(kind) if field.path not in covered] == []


def test_every_chosen_field_exists() -> None:
    known = {str(field) for kind in ("MarieCluster", "MarieJob") for field in fields(kind)}
    known |= {str(field) for field in template_fields()}
    assert {*chosen.WORKS, *chosen.JOB_WORKS, *chosen.TEMPLATE} - known == set()
