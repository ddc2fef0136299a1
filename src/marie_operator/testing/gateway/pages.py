"""The JSON that shows a simulated Marie, shaped as recorded."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from marie_operator.testing.gateway import exchange
from marie_operator.testing.gateway.dag import Dag, Node, NodeState, successor
from marie_operator.testing.gateway.engine import Engine
from marie_operator.testing.gateway.planner import NOOP, Planner
from marie_operator.testing.gateway.pool import Pool, Worker
from marie_operator.testing.gateway.timing import RETRY_LIMIT

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The simulation's beginning, for all times in replies."""
KEPT = timedelta(days=2)
ENDPOINTS = ("/", "_jina_dry_run_", "/status", "/document/process", "/document/extract")
STATES = ("created", "retry", "active", "completed", "skipped", "expired", "cancelled", "failed")
MAX_CONCURRENT_DAGS = 4
"""Shown, and without effect on plans that begin with a noop: all of these."""


def moment(seconds: float) -> datetime:
    """A time of the simulation as a date."""
    return EPOCH + timedelta(seconds=seconds)


def ok(result: Any) -> dict[str, Any]:
    """A result as most pages wrap it."""
    return {"status": "OK", "result": result}


def okay(result: str) -> str:
    """A result that is written already as most pages wrap it."""
    return f'{{"status":"OK","result":{result}}}'


def written(node: Node, state: NodeState) -> str:
    """A node's row in JSON: lists show each many times, and the same until its state changes."""
    if node.shown is None or node.shown[0] != state:
        node.shown = state, exchange.written({**row(node), "state": state})
    return node.shown[1]


def row(node: Node) -> dict[str, Any]:
    """A node as lists show it: the API key for all to see, and null for what the row has."""
    created, kept = _times(node.created)
    return {
        "id": node.id,
        "dag_id": node.dag_id,
        "name": node.queue,
        "priority": 0,
        "data": node.data,
        "state": node.state,
        "retry_limit": RETRY_LIMIT,
        "retry_delay": 2,
        "retry_backoff": True,
        "start_after": created,
        "expire_in_seconds": 0,
        "keep_until": kept,
        "policy": None,
        "dependencies": None,
        "job_level": node.level,
        "soft_sla": None,
        "hard_sla": None,
    }


@lru_cache(maxsize=4096)
def _times(created: float) -> tuple[str, str]:
    """When a row was entered, and until when it is kept."""
    when = moment(created)
    return _micro(when), _micro(when + KEPT)


def capacity(pool: Pool) -> dict[str, Any]:
    """Slots by executor; those that are gone stay with none, phantoms included."""
    slots: list[dict[str, Any]] = []
    for name in pool.executors():
        total, used = pool.slots(name)
        shown = {"capacity": total, "target": total, "used": used, "available": total - used}
        slots.append({"name": name, **shown, "holders": used, "notes": ""})
    totals = {key: sum(slot[key] for slot in slots) for key in ("capacity", "used", "available")}
    return ok({"slots": slots, "totals": {**totals, "holder_count": sum(slot["holders"] for slot in slots)}})


def deployment_nodes(pool: Pool) -> dict[str, list[dict[str, str]]]:
    """Every endpoint of every registered worker; executors that are gone stay with none."""
    return {
        executor: [
            {
                "address": f"grpc://{worker.address}",
                "endpoint": endpoint,
                "executor": executor,
                "gateway": worker.address,
            }
            for worker in pool.of(executor)
            for endpoint in ENDPOINTS
        ]
        for executor in pool.executors()
    }


def deployments(pool: Pool) -> dict[str, Any]:
    """Useless as in life: the status is unknown, also while busy."""
    found = {
        worker.address: {
            "prefix": "deployments/status",
            "address": worker.address,
            "executor": worker.executor,
            "status": "SERVICE_UNKNOWN",
        }
        for worker in pool.workers()
    }
    return ok({"deployments": found, "deployment_nodes": deployment_nodes(pool)})


def deployment_status(pool: Pool) -> dict[str, Any]:
    """Useless in the same way; of an executor's workers only the first is there."""
    first: dict[str, Worker] = {}
    for worker in pool.workers():
        first.setdefault(worker.executor, worker)
    desired: dict[str, Any] = {}
    status: dict[str, Any] = {}
    for worker in first.values():
        since = _seconds(moment(worker.since))
        name = f"{worker.address}/{worker.executor}"
        desired[name] = {"phase": "SCHEDULED", "epoch": 0, "params": {}, "updated_at": since}
        status[name] = {
            "status_code": 3,
            "status_name": "SERVICE_UNKNOWN",
            "owner": "",
            "epoch": 0,
            "updated_at": since,
            "heartbeat_at": since,
            "details": None,
        }
    return ok({"desired": desired, "status": status})


def planners(known: Iterable[Planner], started: float, base: str) -> dict[str, Any]:
    """The planners with their plans.

    Args:
        known: All of them.
        started: When the gateway did.
        base: An id from which those of the plans' tasks are counted.
    """
    created = moment(started).replace(tzinfo=None).isoformat(timespec="microseconds")
    shown: list[dict[str, Any]] = [
        {
            "planner_id": planner.name,
            "name": planner.name,
            "description": planner.description,
            "version": "1.0.0",
            "tags": [],
            "category": None,
            "source_type": "code",
            "source_module": planner.module,
            "plan_definition": {"nodes": _definition(planner, base)},
            "created_at": created,
            "updated_at": created,
        }
        for planner in known
    ]
    return {"planners": shown, "total": len(shown)}


def _definition(planner: Planner, base: str) -> list[dict[str, Any]]:
    return [
        {
            "task_id": successor(base, index),
            "query_str": f"{index}: {step.title}",
            "dependencies": [successor(base, index - 1)] if index else [],
            "node_type": "COMPUTE",
            "definition": {
                "method": "NOOP" if step.executor == NOOP else "EXECUTOR_ENDPOINT",
                "endpoint": NOOP if step.executor == NOOP else step.on,
                "params": {"layout": step.layout},
            },
        }
        for index, step in enumerate(planner.chain)
    ]


def debug(engine: Engine) -> dict[str, Any]:
    """The scheduler's insides."""
    active = [dag for dag in engine.memory.values() if dag.state == "active"]
    shown = {"active_dags": {dag.id: {"dag_id": dag.id, "status": "unknown"} for dag in active}} if active else {}
    up = timedelta(seconds=engine.now - engine.started)
    return ok(
        {
            "scheduler_info": {
                "running": engine.running,
                "scheduler_mode": "serial",
                "max_concurrent_dags": MAX_CONCURRENT_DAGS,
                "known_queues": sorted(engine.queues),
                "active_dags_count": len(active),
            },
            "timing_info": {
                "current_time": moment(engine.now).isoformat(timespec="microseconds"),
                "start_time": moment(engine.started).isoformat(timespec="microseconds"),
                "uptime_seconds": up.total_seconds(),
                "uptime_human": str(up),
            },
            "counters": {"fetch_counter": 0, "submission_count": engine.submissions, "pending_requests": 0},
            "queues": {"request_queue_size": 0, "event_queue_size": 0},
            "execution_planning": {"execution_planner_available": True},
            **shown,
            "queue_status": {
                "queue_size": 0,
                "pending_requests": 0,
                "total_submissions": engine.submissions,
                "workers": {"total": 5, "active": 5, "utilization": "100.0%"},
            },
            "job_state_counts": _counts(
                (node for dag in engine.unfinished.values() for node in dag.nodes), engine, tasks=True
            ),
            "dag_state_counts": _counts(engine.unfinished.values(), engine, tasks=False),
            "frontier": _frontier(engine),
        }
    )


def _counts(rows: Iterable[Dag | Node], engine: Engine, *, tasks: bool) -> dict[str, Any]:
    """How many DAGs or tasks there are by state.

    Args:
        rows: Those that are not of completed DAGs.
        engine: Knows how many others there are.
        tasks: Which of the two is counted.
    """
    if not engine.database:
        return {"queues": {}}
    queues: dict[str, Counter[str]] = {}
    for (queue, size), number in engine.completed.items():
        queues.setdefault(queue, Counter())["completed"] += number * (size if tasks else 1)
    for each in rows:
        queues.setdefault(each.queue, Counter())[each.state] += 1
    return {
        "queues": {
            queue: {**{state: count[state] for state in STATES}, "all": count.total()}
            for queue, count in queues.items()
        }
    }


def _frontier(engine: Engine) -> dict[str, Any]:
    """What is in memory; a node that was once dispatched counts as leased until its DAG ends."""
    ready = sorted(engine.ready.values(), key=lambda node: node.ready)
    ages = [engine.now - node.ready for node in reversed(ready)]
    loaded = [node for dag in engine.memory.values() for node in dag.loaded]
    waiting = [node for node in loaded if node.state in {"created", "retry"}]
    leased = sum(node.attempts > 0 for node in loaded)
    blocked = sum(node.id not in engine.ready and not node.attempts for node in waiting)
    by_executor: dict[str, list[Node]] = {}
    for node in ready:
        by_executor.setdefault(node.executor, []).append(node)
    summary: dict[str, Any] = {
        "totals": {
            "dags": len(engine.memory),
            "jobs": len(loaded),
            "edges": sum(node.index > 0 for node in loaded),
            "ready": len(ready),
            "leased": leased,
            "blocked": blocked,
        },
        "ready_by_executor": {executor: len(nodes) for executor, nodes in by_executor.items()},
        "unmet_dependencies": {
            "count_nonzero": blocked,
            "max": min(blocked, 1),
            "avg": 1.0 if blocked else 0.0,
        },
        "ready_age_seconds": {"p50": _at(ages, 0.5), "p90": _at(ages, 0.9), "max": _at(ages, 1.0)},
    }
    if ready:
        summary["stalest_ready"] = {
            executor: [
                {
                    "id": node.id,
                    "name": node.queue,
                    "priority": 0,
                    "job_level": node.level,
                    "ready_for_s": engine.now - node.ready,
                }
                for node in nodes[:10]
            ]
            for executor, nodes in by_executor.items()
        }
    return {"available": True, "summary": summary, "batch_size": 1000, "lease_ttl_seconds": 5}


def _at(ages: list[float], quantile: float) -> float:
    """A quantile of ages that are in ascending order."""
    return ages[min(int(quantile * len(ages)), len(ages) - 1)] if ages else 0.0


def _micro(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
