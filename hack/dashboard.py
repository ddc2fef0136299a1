"""Writes config/monitoring/dashboard.json from the panels below.

.venv/bin/python hack/dashboard.py            write it
.venv/bin/python hack/dashboard.py --check    exit with 1 if it is stale
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parent.parent / "config/monitoring/dashboard.json"
WIDTH, HEIGHT, COLUMNS = 8, 7, 24


@dataclass(frozen=True)
class Panel:
    """A graph; with ``unit`` as Grafana names it, and a line for each series of each query."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    description: str = ""


def quantiles(metric: str, by: str, selector: str = "") -> dict[str, str]:
    """The median and the slowest percent of a histogram."""
    rate = f'sum by (le, {by}) (rate({metric}_bucket{{job="marie-operator"{selector}}}[$__rate_interval]))'
    return {
        f"{name} {{{{{by}}}}}": f"histogram_quantile({rank}, {rate})" for name, rank in (("p50", 0.5), ("p99", 0.99))
    }


def rate(metric: str, by: str, selector: str = "") -> str:
    """A counter's increase per second."""
    return f'sum by ({by}) (rate({metric}{{job="marie-operator"{selector}}}[$__rate_interval]))'


def highest(metric: str, by: str, selector: str = "") -> str:
    """A gauge, from the replica that has most of it: a standby may know less."""
    return f'max by ({by}) ({metric}{{job="marie-operator"{selector}}})'


ROWS: dict[str, tuple[Panel, ...]] = {
    "Clusters, jobs, documents": (
        Panel("Clusters by phase", {"{{phase}}": highest("marie_operator_clusters", "phase")}),
        Panel("Jobs by phase", {"{{phase}}": highest("marie_operator_jobs", "phase")}),
        Panel(
            "Conditions of jobs",
            {"{{condition}}": highest("marie_operator_job_conditions", "condition")},
            description="Jobs of which a condition is true; SLAMissed are those that were late.",
        ),
        Panel(
            "Documents in flight",
            {"{{state}}": highest("marie_operator_documents", "state")},
            description="LookingUp: it may have been submitted, and Marie is searched for it before it is again.",
        ),
        Panel("Documents that ended", {"{{state}}": rate("marie_operator_document_moves_total", "state",
              ', state=~"Succeeded|Failed|Cancelled|Refused"')}, "ops"),
        Panel("Submissions", {"{{result}}": rate("marie_operator_submissions_total", "result")}, "ops"),
    ),
    "Gateways": (
        Panel("Gateways by state", {"{{state}}": highest("marie_operator_gateways", "state")}),
        Panel(
            "Requests to gateways",
            {"{{route}} {{code}}": rate("marie_operator_gateway_requests_total", "route, code")},
            "reqps",
        ),
        Panel("Answers of gateways", quantiles("marie_operator_gateway_request_duration_seconds", "route"), "s"),
    ),
    "Reconciles": (
        Panel("Reconciles", {"{{controller}} {{result}}": rate("controller_runtime_reconcile_total",
              "controller, result")}, "ops"),
        Panel("Length of a reconcile", quantiles("controller_runtime_reconcile_time_seconds", "controller"), "s"),
        Panel(
            "Workers",
            {
                "{{controller}} busy": highest("controller_runtime_active_workers", "controller"),
                "{{controller}} of": highest("controller_runtime_max_concurrent_reconciles", "controller"),
            },
        ),
        Panel("Keys waiting", {"{{controller}} {{priority}}": highest("workqueue_depth", "controller, priority")}),
        Panel("Time in the queue", quantiles("workqueue_queue_duration_seconds", "controller"), "s"),
        Panel(
            "Oldest work in progress",
            {"{{controller}}": highest("workqueue_longest_running_processor_seconds", "controller")},
            "s",
        ),
    ),
    "API server": (
        Panel("Requests", {"{{method}} {{code}}": rate("rest_client_requests_total", "method, code")}, "reqps"),
        Panel("Answers", quantiles("rest_client_request_duration_seconds", "verb"), "s"),
        Panel(
            "Watches that ended",
            {"{{resource}} {{reason}}": rate("operator_watches_ended_total", "resource, reason")},
            "ops",
            "Closed is in good order, every five to ten minutes for each resource.",
        ),
        Panel("Objects in the cache", {"{{resource}}": highest("operator_cache_objects", "resource")}),
        Panel("Age of the cache", {"{{resource}}": highest("operator_cache_age_seconds", "resource")}, "s"),
        Panel(
            "Whole reads",
            {"{{resource}}": 'sum by (resource) (increase(operator_cache_lists_total{job="marie-operator"}[1h]))'},
            description="In the last hour. One for each resource at a start; more when a watch could not go on.",
        ),
    ),
    "Processes": (
        Panel("Leader", {"{{pod}}": highest("leader_election_master_status", "pod")}),
        Panel("Lag of the event loop", quantiles("operator_event_loop_lag_seconds", "pod"), "s"),
        Panel("CPU", {"{{pod}}": rate("process_cpu_seconds_total", "pod")}),
        Panel("Memory", {"{{pod}}": highest("process_resident_memory_bytes", "pod")}, "bytes"),
        Panel("Open files", {"{{pod}}": highest("process_open_fds", "pod")}),
        Panel("Events dropped", {"{{pod}}": rate("operator_events_dropped_total", "pod")}, "ops"),
    ),
}  # fmt: skip


def dashboard() -> dict[str, Any]:
    """As Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "gridPos": place, "panels": []})
        y += 1
        for number, panel in enumerate(row):
            x = number * WIDTH % COLUMNS
            place = {"x": x, "y": y + number * WIDTH // COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT}
            panels.append({"id": len(panels) + 1, "gridPos": place, **_graph(panel)})
        y += -(-len(row) * WIDTH // COLUMNS) * HEIGHT
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    return {
        "uid": "marie-operator",
        "title": "Marie Operator",
        "tags": ["marie", "kubernetes", "operator"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source]},
        "panels": panels,
    }


def _graph(panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": source, "expr": query, "legendFormat": legend}
            for number, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def main(arguments: list[str]) -> int:
    """Write the file, or say that it is stale."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    content = json.dumps(dashboard(), indent=1) + "\n"
    if not parser.parse_args(arguments).check:
        DASHBOARD.write_text(content, encoding="utf-8")
    elif DASHBOARD.read_text(encoding="utf-8") != content:
        print("stale: config/monitoring/dashboard.json; run: make manifests", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
