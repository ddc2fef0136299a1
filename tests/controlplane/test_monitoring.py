"""Metrics, alerts and dashboard of a real operator that has run a job, read as Prometheus reads them."""

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from marie_operator.testing.processes import free_ports
from tests.controlplane.clusters import cluster, job
from tests.controlplane.processes import ServedStage, ServedWorld
from tests.controlplane.promql import ROOT, Answer, Scrape, asked, output

GOLDEN = Path(__file__).parent / "exposition.txt"
MONITORING = ROOT / "config/monitoring"
DOCS = ROOT / "docs/observability.md"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
INTERVAL = 60.0
"""Seconds between two scrapes."""

UNSEEN = {"rest_client_request_retries"}
"""Families that have a series only when something goes wrong."""

Edit = Callable[[str, int], str]
"""Changes what was exposed so many minutes ago."""


@dataclass(frozen=True)
class Seen:
    """What a real operator exposed: at its start, when its cluster was ready, when its job had ended.

    And what it showed in the end: in OpenMetrics, to probes, and for debugging.
    """

    texts: tuple[str, str, str]
    open_metrics: str
    ready: str
    debug: dict[str, Any]

    def scrapes(self, edit: Edit = lambda text, _: text, *, up: int = 1) -> list[Scrape]:
        """An hour of it: quiet at first, and at work for the last minutes."""
        found: list[Scrape] = []
        for minute in (*range(60, 20, -4), *range(20, -1, -1)):
            text = self.texts[0 if minute > 8 else 1 if minute > 4 else 2]
            time = (60 - minute) * INTERVAL
            found += [Scrape(time, edit(text, minute)), Scrape(time, f"# TYPE up gauge\n# HELP up Target\nup {up}\n")]
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seen(stage: ServedStage, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    namespace = "monitoring"
    await stage.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    world = ServedWorld(stage, namespace, tmp_path_factory.mktemp("monitoring"))
    (debug,) = free_ports(1)
    watched = world.running(f"--debug-bind-address=127.0.0.1:{debug}", lease="monitoring")
    async with watched as operator, aiohttp.ClientSession() as session:

        async def read(port: int, path: str, accept: str = "") -> str:
            async with session.get(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept}) as response:
                return await response.text()

        async def scrape(accept: str = "") -> str:
            return await read(operator.metrics, "/metrics", accept)

        async def leads() -> str:
            text = await scrape()
            return text if 'leader_election_master_status{name="monitoring"} 1.0' in text else ""

        async def started() -> str:
            try:
                return await leads()
            except aiohttp.ClientConnectionError:
                return ""

        first = await world.until("it leads", started)
        await world.key_of("c")
        await world.create(cluster("c"))
        await world.condition("marieclusters", "c", "Ready")
        second = await scrape()
        await world.create(job("j", "c"))
        await world.condition("mariejobs", "j", "Complete")

        async def counted() -> str:
            # The operator may hear of what it wrote later than others do.
            text = await scrape()
            return text if 'marie_operator_jobs{phase="Succeeded"} 1.0' in text else ""

        third = await world.until("the job is counted", counted)
        shown = {
            page.rpartition("/")[2]: json.loads(await read(debug, page, "application/json"))
            for page in json.loads(await read(debug, "/debug?format=json"))
        }
        ready = await read(operator.health, "/readyz?verbose")
        yield Seen((first, second, third), await scrape(OPEN_METRICS), ready, shown)
    await stage.api.delete(f"/api/v1/namespaces/{namespace}")


def described(text: str) -> list[str]:
    """An exposition without its values: families with type and help, then each name with its labels and buckets."""
    lines: list[str] = []
    for family in sorted(text_string_to_metric_families(text), key=lambda each: each.name):
        shapes: dict[tuple[str, ...], set[str]] = {}
        for sample in family.samples:
            names = (sample.name, *sorted(sample.labels))
            shapes.setdefault(names, set()).update({sample.labels["le"]} if "le" in sample.labels else ())
        lines.append(f"{family.name} ({family.type}): {family.documentation}")
        for (name, *labels), bounds in sorted(shapes.items()) if family.name not in UNSEEN else ():
            buckets = " ".join(sorted(bounds, key=float))
            lines.append(f"  {name}{{{','.join(labels)}}} {buckets}".rstrip())
    return lines


def value(text: str, series: str) -> float:
    """The value of a series as it is written."""
    (found,) = (line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{series} "))
    return float(found)


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "prometheus_rule.yaml").read_text())["spec"]["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


async def test_names_help_types_labels_and_buckets_of_the_whole_exposition(seen: Seen) -> None:
    found = [line for line in described(seen.texts[2]) if not line.lstrip().startswith(("process_", "python_"))]
    assert found == GOLDEN.read_text(encoding="utf-8").splitlines()


async def test_both_formats_say_the_same(seen: Seen) -> None:
    def families(found: Iterable[Any]) -> set[tuple[str, str, str]]:
        # The older format has no type for what is an info in the newer one.
        alike = (each for each in found if each.type != "info" and not each.name.endswith("_info"))
        return {(each.name, each.type, each.documentation) for each in alike}

    plain = families(text_string_to_metric_families(seen.texts[2]))
    assert plain == families(open_metrics(seen.open_metrics))  # type: ignore[no-untyped-call]


async def test_prometheus_accepts_it_and_promtool_has_nothing_to_object(seen: Seen) -> None:
    answer = await asked([Scrape(0, seen.texts[2]), Scrape(60, seen.open_metrics, OPEN_METRICS)])
    assert answer.problems == []


async def test_it_counts_what_has_happened(seen: Seen) -> None:
    last = seen.texts[2]
    assert value(last, 'marie_operator_clusters{phase="Running"}') == 1
    assert value(last, 'marie_operator_cluster_conditions{condition="Ready"}') == 1
    assert value(last, 'marie_operator_jobs{phase="Succeeded"}') == 1
    assert value(last, 'marie_operator_job_conditions{condition="Complete"}') == 1
    assert value(last, 'marie_operator_jobs_finished_total{phase="Succeeded"}') == 1
    assert value(last, "marie_operator_jobs_late_total") == 0
    assert value(last, 'marie_operator_gateways{state="running"}') == 1
    assert value(last, 'marie_operator_submissions_total{result="accepted"}') == 1
    assert value(last, 'marie_operator_document_moves_total{state="Succeeded"}') == 1
    assert value(last, "marie_operator_documents_repeated_total") == 0
    assert value(last, 'operator_cache_objects{resource="mariejobs.marie.ai"}') == 1
    assert value(last, 'operator_cache_lists_total{resource="mariejobs.marie.ai"}') == 1
    assert value(last, 'operator_cache_synced{resource="pods"}') == 1
    assert value(last, 'controller_runtime_reconcile_total{controller="mariejob",result="success"}') > 0


async def test_it_says_that_it_is_ready_and_shows_what_it_is_about(seen: Seen) -> None:
    assert seen.ready == "[+]caches ok\nreadyz check passed\n"
    assert sorted(seen.debug) == ["caches", "gateways", "leader", "queues", "tasks"]
    (gateway,) = seen.debug["gateways"]
    assert (gateway["cluster"], gateway["state"], gateway["problem"]) == ("monitoring/c", "running", "")
    assert seen.debug["leader"]["leading"] is True
    assert 0 < seen.debug["leader"]["seconds_left"] <= 15
    (jobs,) = (each for each in seen.debug["caches"] if each["resource"] == "mariejobs.marie.ai")
    assert (jobs["objects"], jobs["synced"], jobs["problem"]) == (1, True, "")
    assert [each["controller"] for each in seen.debug["queues"]] == ["mariecluster", "mariejob"]
    (monitor,) = (each for each in seen.debug["tasks"] if each["task"] == "monitor monitoring/c")
    assert "_Watched.run" in monitor["stack"][0]


async def test_no_label_has_the_name_of_an_object(seen: Seen) -> None:
    for family in text_string_to_metric_families(seen.texts[2]):
        for sample in family.samples:
            labels = {
                name: each for name, each in sample.labels.items() if (family.name, name) != ("operator_build", "name")
            }
            assert not {"c", "j", "c-server", "monitoring/c", "monitoring/j"} & set(labels.values()), sample


async def test_a_healthy_operator_raises_no_alert(seen: Seen) -> None:
    answer = await asked(seen.scrapes(prompt), *(rule["expr"] for rule in rules()))
    assert [(rule["alert"], result.samples) for rule, result in zip(rules(), answer.results, strict=True)] == [
        (rule["alert"], []) for rule in rules()
    ]


def check_selectors(answer: Answer) -> None:
    """Every selector finds series, and of the type that its function is for."""
    for result in answer.results:
        for each in result.selectors:
            assert each["series"] > 0, f"{each['selector']} finds nothing, in {result.query}"
            wanted = {"rate": ["counter"], "increase": ["counter"], "delta": ["gauge"]}.get(each["function"], ["gauge"])
            assert each["types"] == wanted, f"{each['function'] or 'the value'} of {each['selector']}: {each['types']}"


def setting(series: str, amount: float, *, minutes: int = 60) -> Edit:
    """In the last minutes, every series that begins so has this value, and a histogram's buckets count no less."""
    line = re.compile(rf"^({series}[^ ]*) [^ \n]+$", re.MULTILINE)
    return lambda text, minute: line.sub(rf"\1 {amount}", text) if minute <= minutes else text


def prompt(text: str, minute: int) -> str:
    """The event loop has always been woken at once: among so few values a single one of a busy machine's counts."""
    return setting("operator_event_loop_lag_seconds_(?:bucket|count)", 1000 * (60 - minute))(text, minute)


def slow(histogram: str) -> Edit:
    """In the last minutes, many values beyond every bound but the last."""

    def edit(text: str, minute: int) -> str:
        if minute > 5:
            return text
        pattern = re.compile(rf"^({histogram}(?:_count|_bucket)(?:{{[^}}]*}})?) ([^ \n]+)$", re.MULTILINE)

        def more(match: re.Match[str]) -> str:
            beyond = "_count" in match[1] or 'le="+Inf"' in match[1]
            return f"{match[1]} {float(match[2]) + (1000 if beyond else 0)}"

        return pattern.sub(more, text)

    return edit


def failing(text: str, minute: int) -> str:
    """In the last minutes, ever more requests that were not answered."""
    if minute > 10:
        return text
    family = "# TYPE rest_client_requests_total counter\n"
    more = f'rest_client_requests_total{{code="<error>",host="h",method="GET"}} {1000 * (11 - minute)}\n'
    return text.replace(family, family + more)


FIRES: tuple[tuple[str, Edit], ...] = (
    ("MarieOperatorNoLeader", setting("leader_election_master_status", 0)),
    ("MarieOperatorNotSynced", setting(r'operator_cache_synced\{resource="pods"', 0)),
    ("MarieOperatorCacheStale", setting(r'operator_cache_age_seconds\{resource="services"', 1000)),
    ("MarieOperatorApiErrors", failing),
    ("MarieOperatorReconcileErrors", setting("controller_runtime_reconcile_errors_total", 1000, minutes=5)),
    ("MarieOperatorDefect", setting(r'controller_runtime_reconcile_panics_total\{controller="mariejob"', 1, minutes=5)),
    ("MarieOperatorStuck", setting("workqueue_longest_running_processor_seconds", 91)),
    ("MarieOperatorStuck", setting("controller_runtime_reconcile_timeouts_total", 1, minutes=5)),
    ("MarieOperatorBehind", slow("workqueue_queue_duration_seconds")),
    ("MarieOperatorLoopSlow", slow("operator_event_loop_lag_seconds")),
    ("MarieOperatorEventsLost", setting("operator_events_dropped_total", 1, minutes=5)),
    ("MarieClustersNotRunning", setting(r'marie_operator_clusters\{phase="Creating"', 2)),
    ("MarieGatewayUnreachable", setting(r'marie_operator_gateways\{state="unreachable"', 1)),
    ("MarieSubmissionsInDoubt", setting(r'marie_operator_documents\{state="LookingUp"', 1)),
    ("MarieKeyRefused", setting(r'marie_operator_documents\{state="KeyRefused"', 1)),
    ("MarieDocumentsRepeated", setting("marie_operator_documents_repeated_total", 1, minutes=5)),
    ("MarieJobsFailed", setting(r'marie_operator_jobs_finished_total\{phase="Failed"', 1, minutes=5)),
    ("MarieJobsLate", setting("marie_operator_jobs_late_total", 1, minutes=5)),
)
"""What makes each alert fire."""


async def test_each_alert_is_raised_by_what_it_is_about(seen: Seen) -> None:
    expressions = {rule["alert"]: rule["expr"] for rule in rules()}
    tried = [("MarieOperatorDown", seen.scrapes(up=0)), *((name, seen.scrapes(edit)) for name, edit in FIRES)]
    assert {name for name, _ in tried} == expressions.keys()
    for name, scrapes in tried:
        answer = await asked(scrapes, expressions[name])
        check_selectors(answer)
        assert answer.results[0].samples, name


async def test_each_alert_says_what_to_do_and_has_a_section_in_the_docs() -> None:
    sections = re.findall(r"^### (\w+)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules()]
    for rule in rules():
        notes = rule["annotations"]
        assert notes["summary"].endswith(".")
        assert notes["description"].endswith(".")
        assert notes["runbook"] == f"docs/observability.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}


async def test_the_dashboard_shows_something_in_every_graph(seen: Seen) -> None:
    board = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    targets = [target for panel in board["panels"] for target in panel.get("targets", ())]
    answer = await asked(seen.scrapes(), *(target["expr"].replace("$__rate_interval", "10m") for target in targets))
    check_selectors(answer)
    for target, result in zip(targets, answer.results, strict=True):
        assert result.samples, target["expr"]
        wanted = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert wanted <= set(result.samples[0]["labels"]), target["legendFormat"]


async def test_every_metric_is_in_the_docs_with_its_type_and_labels(seen: Seen) -> None:
    exposed = {
        (family.name + ("_total" if family.type == "counter" else ""), family.type, _labels(family.samples))
        for family in text_string_to_metric_families(seen.texts[2])
        if family.name not in UNSEEN and not family.name.startswith(("process_", "python_"))
    }
    exposed.add(("rest_client_request_retries_total", "counter", "code, host, verb"))
    rows = re.findall(
        r"^\| `(\w+)` \| (counter|gauge|histogram) \|([^|\n]*)\|", DOCS.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(
        (name, kind, ", ".join(sorted(re.findall(r"`(\w+)`", labels)))) for name, kind, labels in rows
    ) == sorted(exposed)


def _labels(samples: Iterable[Any]) -> str:
    return ", ".join(sorted({name for sample in samples for name in sample.labels} - {"le"}))


async def test_the_dashboard_follows_from_its_source() -> None:
    await output(sys.executable, str(ROOT / "hack/dashboard.py"), "--check")
