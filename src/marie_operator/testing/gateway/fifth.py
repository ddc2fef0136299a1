"""What Marie 5 shows beside, or instead of, what 4.0.0 does: read in its source, not recorded.

What stands in the rows of its operations API is not known, and not simulated: a DAG is there or it is not.
"""

from typing import Any

from marie_operator.testing.gateway import pages
from marie_operator.testing.gateway.engine import Engine
from marie_operator.testing.gateway.exchange import Reply
from marie_operator.testing.gateway.pool import Pool, Worker

_GATEWAY_ID = "simulated"


def endpoint(engine: Engine, pattern: str, path: str) -> Reply:
    """The answer of a page that 4.0.0 does not have.

    Args:
        engine: The scheduler.
        pattern: Which of FIFTH_PATHS.
        path: As asked for.
    """
    match pattern:
        case "/api/operations/dags/{dag_id}":
            dag_id = path.rpartition("/")[2].lower()
            if dag_id not in engine.dags:
                return Reply.of({"status": "error", "message": "DAG not found"}, 404)
            return Reply.of(pages.ok({"dag": {"id": dag_id}}))
        case "/api/operations/health":
            return Reply.of(_health(engine))
        case "/api/discovery/readiness":
            return Reply.of(_readiness(engine))
        case _:
            return Reply.of(_paused(engine, on=pattern.endswith("/pause")))


def _paused(engine: Engine, *, on: bool) -> dict[str, Any]:
    """The answer to a pause, or to its end, whatever was before (marie/serve/runtimes/servers/marie_gateway.py).

    What else its result has is not known. The state is in the memory of the process, and a new one is not paused.
    """
    engine.pause(on)
    return pages.ok({"paused": engine.paused})


def debug(engine: Engine) -> dict[str, Any]:
    """The scheduler's insides, without the queue that 4.0.0 had before its database."""
    shown = pages.debug(engine)
    result: dict[str, Any] = shown["result"]
    del result["queue_status"], result["scheduler_info"]["scheduler_mode"], result["counters"]["pending_requests"]
    del result["queues"]["request_queue_size"]
    result["scheduler_info"] |= {
        "paused": engine.paused,
        "gateway_instance_id": _GATEWAY_ID,
        "scheduler_lease_owner": _GATEWAY_ID,
    }
    return shown


def deployments(pool: Pool) -> dict[str, Any]:
    """Endpoints alone."""
    return pages.ok({"deployment_nodes": pages.deployment_nodes(pool)})


def capacity(pool: Pool) -> dict[str, Any]:
    """Slots by executor, and the workers that have them."""
    shown = pages.capacity(pool)
    shown["result"]["nodes"] = [
        {
            "executor": worker.executor,
            "address": f"grpc://{worker.address}",
            "accepting_traffic": worker.alive,
            "slot_capacity": worker.slots,
            "routing_state": "idle" if worker.alive else "unavailable",
        }
        for worker in pool.workers()
    ]
    return shown


def _readiness(engine: Engine) -> dict[str, Any]:
    """Workers by what came of probing them: who is dead and still registered is tried again and again."""
    workers = [_probed(worker, engine) for worker in engine.pool.workers()]
    ready = sum(each["ready"] for each in workers)
    dead = len(workers) - ready
    counts = {"ready": ready, "unready": 0, "checking": 0, "retrying": dead, "error": 0}
    return pages.ok(
        {
            "readiness": ("degraded" if dead else "ready") if engine.running else "initializing",
            "control_plane_ready": engine.running,
            "observed_at": pages.moment(engine.now).isoformat(),
            "summary": {"registered": len(workers), **counts},
            "gateways": workers,
        }
    )


def _probed(worker: Worker, engine: Engine) -> dict[str, Any]:
    host, _, port = worker.address.rpartition(":")
    since, now = (pages.moment(each).isoformat() for each in (worker.since, engine.now))
    return {
        "key": f"gateway/marie/{worker.address}",
        "service": "gateway/marie",
        "address": worker.address,
        "host": host,
        "port": int(port),
        "registered": True,
        "ready": worker.alive,
        "state": "ready" if worker.alive else "retrying",
        "retry_attempt": 0 if worker.alive else 1,
        "probe_attempt_limit": 3,
        "first_seen_at": since,
        "last_checked_at": now,
        "last_ready_at": now if worker.alive else since,
        "next_retry_at": None,
        "last_error": None if worker.alive else "connection refused",
        "executors": [worker.executor],
    }


def _health(engine: Engine) -> dict[str, Any]:
    """What the gateway depends on; HTTP 200 whatever it says."""
    state = "ok" if engine.database else "bad"
    named = (("postgresql", state), ("etcd", "ok"), ("discovery", "ok"), ("gateway", "ok" if engine.running else "bad"))
    dependencies = [{"name": name, "state": each, "summary": name, "details": {}} for name, each in named]
    overall = "ok" if all(each == "ok" for _, each in named) else "bad"
    return pages.ok({"schema_version": "1.0", "overall_state": overall, "partial": False, "dependencies": dependencies})
