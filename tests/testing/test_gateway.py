"""A simulated cluster: what tests can do with it, and what they see."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.testing.gateway import (
    EXTRACT,
    NEVER,
    Outcome,
    OutcomePolicy,
    Outcomes,
    Planner,
    Request,
    SimulatedMarie,
    Step,
)
from marie_operator.testing.gateway.dag import DagState
from tests.testing.recording import KEY, recorded

OCR, LLM = "extract_executor", "llm_executor"
HERE, THERE = "10.0.0.1:52110", "10.0.0.2:52110"


class Cluster:
    """A running gateway whose clock the test moves."""

    def __init__(self, outcome: OutcomePolicy = Outcomes(), *, planners: tuple[Planner, ...] = (EXTRACT,)) -> None:  # noqa: B008
        self.now = 0.0
        self.marie = SimulatedMarie(clock=lambda: self.now, outcome=outcome, planners=planners)
        self.marie.api_keys = {KEY}
        self.marie.start()
        self.wait(10)

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def post(self, body: str) -> str:
        request = Request("POST", "/api/v1/invoke", authorization=f"Bearer {KEY}", body=body.encode())
        job_id: str = json.loads(self.marie.answer(request).body)["parameters"]["job_id"]
        return job_id

    def submit(self, ref_id: str, **metadata: str) -> str:
        given = {"project_id": "p", "ref_id": ref_id, "ref_type": "t", "uri": f"s3://b/{ref_id}", "policy": "allow_all"}
        action = {"action_type": "command", "command": "job", "action": "submit", "api_key": KEY, "name": "extract"}
        return self.post(json.dumps({"parameters": {"invoke_action": {**action, "metadata": {**given, **metadata}}}}))

    def get(self, path: str) -> Any:
        return json.loads(self.marie.answer(Request("GET", path)).body)

    def states(self, ref_id: str) -> list[str]:
        (dag,) = self.marie.by_ref_id(ref_id)
        return [dag.state, *(node.state for node in dag.nodes)]

    def cancel_last(self) -> None:
        for dag in self.marie.dags[-1:]:
            self.marie.cancel(dag.id)

    def states_of_all(self) -> list[list[str]]:
        return [[dag.ref_id, dag.state, *(node.state for node in dag.nodes)] for dag in self.marie.dags]


ACCEPTED = {
    "2-20-hard-without-soft.http": True,
    "2-29-naive-sla.http": True,
    "2-30-default-policy-first.http": False,
    "2-32-allow-all-first.http": True,
    "2-34-reject-duplicate.http": False,
    "2-35-reject-all.http": False,
    "2-36-replace.http": False,
    "2-37-allow-duplicate.http": True,
    "2-38-bogus-policy.http": False,
    "2-39-unknown-planner.http": False,
    "2-40-no-planner-unknown-queue.http": False,
    "2-41-known-planner-new-queue.http": True,
    "2-42-no-planner-queue-extract.http": True,
    "2-43-bogus-on.http": True,
    "2-44-sla-in-the-past.http": True,
    "2-45-minimal-metadata.http": True,
    "2-46-priority.http": True,
    "2-49-z-suffix-sla.http": True,
}
"""Submissions that were answered with a job id, and whether a DAG came of it."""


@pytest.mark.parametrize("name", ACCEPTED)
def test_job_id_is_a_promise_kept_only_for_what_pleases(name: str) -> None:
    cluster = Cluster()
    job_id = cluster.post(recorded(name).body)
    assert cluster.get(f"/api/jobsXX/{job_id}")["status"] == "error"
    cluster.wait(0.5)
    assert [dag.id for dag in cluster.marie.dags] == [job_id] * ACCEPTED[name]
    assert (cluster.get(f"/api/jobsXX/{job_id}")["status"] == "OK") is ACCEPTED[name]


def test_same_document_twice_makes_two_dags() -> None:
    cluster = Cluster()
    assert cluster.submit("a") != cluster.submit("a")
    cluster.wait(1)
    assert len(cluster.marie.by_ref_id("a")) == 2
    assert {dag.uri for dag in cluster.marie.dags} == {"s3://b/a"}


@given(steps=st.integers(1, 20), name=st.text("ab/", max_size=5))
def test_nodes_are_found_by_counting_up_from_the_dag(steps: int, name: str) -> None:
    chain = tuple(Step(f"STEP {number}", f"{OCR}://step/{number}") for number in range(steps))
    marie = SimulatedMarie(name, planners=[Planner("extract", chain)], clock=lambda: now)
    marie.api_keys = {KEY}
    now = 0.0
    marie.start()
    now = 10.0
    for number in (32, 33, 32):
        request = recorded(f"2-{number}-allow-all-{'first' if number == 32 else 'dup'}.http")
        marie.answer(Request("POST", "/api/v1/invoke", authorization=f"Bearer {KEY}", body=request.body.encode()))
    now = 11.0
    assert len({node.id for dag in marie.dags for node in dag.nodes}) == 3 * (steps + 2)
    for dag in marie.dags:
        first = int(dag.id.replace("-", ""), 16)
        assert [int(node.id.replace("-", ""), 16) - first for node in dag.nodes] == list(range(steps + 2))
        assert [node.name.partition(": ")[0] for node in dag.nodes] == [str(number) for number in range(steps + 2)]


def test_clusters_have_ids_of_their_own() -> None:
    ids = {SimulatedMarie(name, clock=lambda: 0.0).engine.submit({"name": "x", "metadata": {}}) for name in "abc"}
    assert len(ids) == 3


def test_outcome_is_looked_up_by_reference_id_then_by_uri() -> None:
    table = {"slow": Outcome(50), "s3://b/broken": Outcome(0.1, NEVER), "flaky": Outcome(0.1, failures=2)}
    cluster = Cluster(Outcomes(table, default=Outcome(2)))
    cluster.marie.register(OCR, HERE, slots=4)
    for ref_id in ("slow", "broken", "flaky", "other"):
        cluster.submit(ref_id)
    cluster.wait(20)
    assert cluster.states("slow") == ["active", "completed", "active", "created"]
    assert cluster.states("broken") == ["failed", "completed", "failed", "created"]
    assert cluster.states("flaky") == ["completed", "completed", "completed", "completed"]
    assert cluster.states("other") == ["completed", "completed", "completed", "completed"]
    assert [cluster.marie.by_ref_id(ref)[0].nodes[1].attempts for ref in ("broken", "flaky", "other")] == [3, 3, 1]


def test_poison_blocks_the_only_executor() -> None:
    cluster = Cluster()
    cluster.marie.register(OCR, HERE)
    cluster.submit("poison", uri="")
    cluster.wait(2)
    cluster.submit("good")
    cluster.wait(25)
    assert cluster.states("poison") == ["active", "completed", "retry", "created"]
    assert cluster.states("good") == ["created", "created", "created", "created"]
    cluster.wait(130)
    assert cluster.states("poison")[0] == "failed"
    assert cluster.states("good")[0] == "completed"


def test_nothing_moves_until_some_slot_of_some_executor_is_free() -> None:
    plans = (EXTRACT, Planner("llm", (Step("ASK", f"{LLM}://ask"),)))
    cluster = Cluster(planners=plans)
    cluster.submit("a")
    cluster.wait(100)
    assert cluster.states("a") == ["created", "created", "created", "created"]
    assert cluster.get("/api/debug")["result"]["frontier"]["summary"]["ready_by_executor"] == {"noop": 1}
    cluster.marie.register(LLM, HERE)
    cluster.wait(100)
    assert cluster.states("a") == ["active", "completed", "created", "created"]
    assert cluster.get("/api/debug")["result"]["frontier"]["summary"]["ready_by_executor"] == {OCR: 1}
    cluster.marie.register(OCR, THERE)
    cluster.wait(5)
    assert cluster.states("a")[0] == "completed"


def test_plan_of_several_executors_goes_from_one_to_the_next() -> None:
    plan = Planner("extract", (Step("READ", f"{OCR}://read"), Step("ASK", f"{LLM}://ask")))
    cluster = Cluster(planners=(plan,))
    cluster.marie.register(OCR, HERE)
    cluster.marie.register(LLM, THERE)
    cluster.submit("a")
    cluster.wait(2)
    assert cluster.states("a") == ["active", "completed", "active", "created", "created"]
    cluster.wait(2)
    assert cluster.states("a") == ["active", "completed", "completed", "active", "created"]


@pytest.mark.parametrize("executors", [0, 1])
def test_scheduler_starts_after_the_first_answers(executors: int) -> None:
    now = 0.0
    marie = SimulatedMarie(clock=lambda: now)
    if executors:
        marie.register(OCR, HERE)
    marie.start()

    def running() -> bool:
        return bool(json.loads(marie.answer(Request("GET", "/api/debug")).body)["result"]["scheduler_info"]["running"])

    assert marie.answer(Request("GET", "/status")).status == 200
    now = 1.0
    assert not running()
    now = 1.5
    assert running() is bool(executors)
    now = 5.5
    assert running()


def test_submission_before_the_scheduler_runs_waits_in_memory() -> None:
    cluster = Cluster()
    cluster.marie.start()
    cluster.submit("early")
    cluster.wait(2)
    assert cluster.marie.dags == []
    cluster.wait(4)
    assert len(cluster.marie.dags) == 1


def test_kill_just_after_the_reply_loses_the_document() -> None:
    cluster = Cluster()
    cluster.submit("lost")
    cluster.marie.kill()
    cluster.marie.start()
    cluster.wait(30)
    assert cluster.marie.dags == []


def test_kill_leaves_active_nodes_active_and_resumes_the_rest() -> None:
    cluster = Cluster(Outcomes(default=Outcome(5)))
    cluster.marie.register(OCR, HERE)
    cluster.submit("running")
    cluster.submit("queued")
    cluster.wait(2)
    cluster.marie.kill()
    assert not cluster.marie.serving
    cluster.wait(5)
    cluster.marie.start()
    cluster.wait(60)
    assert cluster.states("running") == ["active", "completed", "active", "created"]
    assert cluster.states("queued")[0] == "completed"


def test_terminated_gateway_lingers_and_records_results() -> None:
    cluster = Cluster(Outcomes(default=Outcome(5)))
    cluster.marie.register(OCR, HERE)
    cluster.submit("running")
    cluster.wait(2)
    cluster.marie.stop()
    assert not cluster.marie.serving
    cluster.wait(10)
    assert cluster.states("running") == ["active", "completed", "completed", "created"]
    cluster.marie.start()
    cluster.wait(10)
    assert cluster.states("running")[0] == "completed"


def test_restart_runs_even_the_successors_of_what_failed() -> None:
    cluster = Cluster(Outcomes(default=Outcome(0.1, NEVER)))
    cluster.marie.register(OCR, HERE)
    cluster.submit("bad")
    cluster.wait(60)
    assert cluster.states("bad") == ["failed", "completed", "failed", "created"]
    assert len(cluster.get("/api/jobs/created")["result"]) == 1
    cluster.marie.kill()
    cluster.marie.start()
    cluster.wait(10)
    assert cluster.states("bad") == ["failed", "completed", "failed", "completed"]


def test_database_down_loses_submissions_and_stops_the_rest_until_it_is_back() -> None:
    cluster = Cluster(Outcomes(default=Outcome(5)))
    cluster.marie.register(OCR, HERE)
    cluster.submit("running")
    cluster.submit("queued")
    cluster.wait(2)
    cluster.marie.engine.database = False
    lost = cluster.submit("lost")
    cluster.wait(30)
    assert cluster.get("/api/jobs/active")["code"] == "INTERNAL_ERROR"
    assert cluster.marie.answer(Request("GET", f"/api/jobsXX/{lost}")).status == 500
    assert cluster.states("running") == ["active", "completed", "active", "created"]
    cluster.marie.engine.database = True
    cluster.wait(30)
    assert [dag.ref_id for dag in cluster.marie.dags] == ["running", "queued"]
    assert {dag.state for dag in cluster.marie.dags} == {"completed"}


def test_busy_executor_that_dies_leaves_a_phantom() -> None:
    cluster = Cluster(Outcomes(default=Outcome(60)))
    cluster.marie.register(OCR, HERE)
    cluster.submit("a")
    cluster.wait(3)
    cluster.marie.unregister(OCR, HERE, crash=True)
    cluster.wait(10)
    assert cluster.marie.executors == {OCR: []}
    assert cluster.get("/api/deployment-nodes")["result"] == {OCR: []}
    (slot,) = cluster.get("/api/capacity")["result"]["slots"]
    assert (slot["capacity"], slot["used"], slot["available"]) == (1, 1, 0)
    cluster.wait(150)
    assert cluster.states("a")[0] == "failed"
    (slot,) = cluster.get("/api/capacity")["result"]["slots"]
    assert (slot["capacity"], slot["used"], slot["available"]) == (0, 0, 0)


def test_idle_executor_that_dies_is_given_work_until_its_registration_lapses() -> None:
    cluster = Cluster()
    cluster.marie.register(OCR, HERE)
    cluster.marie.unregister(OCR, HERE, crash=True)
    cluster.submit("early")
    cluster.wait(8)
    assert cluster.states("early") == ["active", "completed", "retry", "created"]
    cluster.submit("late")
    cluster.wait(20)
    assert cluster.states("late") == ["created", "created", "created", "created"]


def test_executor_that_was_never_registered_cannot_leave() -> None:
    with pytest.raises(LookupError, match=r"no extract_executor is registered at 10\.0\.0\.1:52110"):
        Cluster().marie.unregister(OCR, HERE)


def test_reset_forgets_what_is_in_memory_until_a_restart() -> None:
    cluster = Cluster(Outcomes(default=Outcome(5)))
    cluster.marie.register(OCR, HERE)
    dag_id = cluster.submit("a")
    cluster.wait(3)
    reply = json.loads(cluster.marie.answer(Request("POST", "/api/debug/reset-dags")).body)
    assert reply["result"]["cleared_dags"] == [dag_id]
    cluster.wait(60)
    assert cluster.states("a") == ["active", "completed", "completed", "created"]


# Deliberate differences from the recordings.


def test_order_of_queued_work_is_that_of_submission() -> None:
    cluster = Cluster(Outcomes(default=Outcome(5)))
    cluster.marie.register(OCR, HERE)
    for number in range(4):
        cluster.submit(str(number))
    cluster.wait(2)
    for number in range(4):
        assert cluster.get("/api/jobs/active")["result"].popitem()[1]["data"]["metadata"]["ref_id"] == str(number)
        cluster.wait(5.1)


def test_times_count_from_a_fixed_date_and_stay_after_a_retry() -> None:
    cluster = Cluster(Outcomes(default=Outcome(0.1, failures=2)))
    cluster.marie.register(OCR, HERE)
    dag_id = cluster.submit("a")
    cluster.wait(30)
    assert dag_id.startswith("06955b90")
    row = cluster.get(f"/api/jobsXX/{dag_id[:-1]}{int(dag_id[-1], 16) + 1:x}")["result"]
    assert row["start_after"] == "2026-01-01T00:00:10.200000Z"
    assert row["keep_until"] == "2026-01-03T00:00:10.200000Z"


def test_dispatched_nodes_count_as_leased_until_their_dag_ends() -> None:
    cluster = Cluster(Outcomes(default=Outcome(60)))
    cluster.marie.register(OCR, HERE)
    cluster.submit("a")
    cluster.wait(50)
    assert cluster.get("/api/debug")["result"]["frontier"]["summary"]["totals"]["leased"] == 1


def test_validation_errors_quote_no_input() -> None:
    body = recorded("2-15-missing-metadata.http").body.encode()
    reply = Cluster().marie.answer(Request("POST", "/api/v1/invoke", authorization=f"Bearer {KEY}", body=body))
    assert "metadata\n  Field required [type=missing, input_value={...}" in json.loads(reply.body)["message"]


def test_end_has_the_layout_of_the_last_step() -> None:
    plan = Planner("extract", (Step("ASK", f"{LLM}://ask", "one"), Step("READ", f"{OCR}://read", "other")))
    assert [step.layout for step in plan.chain] == [None, "one", "other", "other"]


def test_environment_is_made_up() -> None:
    assert Cluster().get("/status")["marie"]["platform"] == "Simulated"


# When one looks makes no difference.

Act = Callable[[Cluster], object]
ACTS: dict[str, Act] = {
    "submit": lambda cluster: cluster.submit(f"{cluster.now:g}"),
    "submit another": lambda cluster: cluster.submit(f"{cluster.now:g}-b", uri=""),
    "register": lambda cluster: cluster.marie.register(OCR, f"h:{cluster.now:g}"),
    "register two slots": lambda cluster: cluster.marie.register(OCR, f"h:{cluster.now:g}", 2),
    "crash": lambda cluster: depart(cluster, crash=True),
    "leave": lambda cluster: depart(cluster, crash=False),
    "kill": lambda cluster: cluster.marie.kill(),
    "start": lambda cluster: cluster.marie.start(),
    "stop": lambda cluster: cluster.marie.stop(),
    "database down": lambda cluster: setattr(cluster.marie.engine, "database", False),
    "database up": lambda cluster: setattr(cluster.marie.engine, "database", True),
    "cancel": lambda cluster: cluster.cancel_last(),
}


def depart(cluster: Cluster, *, crash: bool) -> None:
    alive = [worker for worker in cluster.marie.engine.pool.workers() if worker.alive]
    if alive:
        cluster.marie.unregister(OCR, alive[0].address, crash=crash)


def flaky(document: object) -> Outcome:
    return Outcome(seconds=len(str(document)) % 7 + 0.5, failures=len(str(document)) % 2)


@given(
    st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.floats(0.01, 40, allow_nan=False)), max_size=25),
    st.floats(0.05, 3),
)
def test_simulation_is_the_same_whenever_one_looks(script: list[tuple[str, float]], step: float) -> None:
    rare, often = Cluster(flaky), Cluster(flaky)
    for name, pause in script:
        for cluster in (rare, often):
            ACTS[name](cluster)
        end = often.now + pause
        while often.now + step < end:
            often.wait(step)
            assert often.marie.engine.now == often.now
        often.now = end
        rare.now = end
    assert [rare.states_of_all(), rare.get("/api/capacity")] == [often.states_of_all(), often.get("/api/capacity")]


@given(st.floats(0, 1e6), st.floats(0, 20))
def test_phantoms_end_whenever_the_gateway_began(began: float, pause: float) -> None:
    cluster = Cluster(Outcomes(default=Outcome(60)))
    cluster.wait(began)
    cluster.marie.start()
    cluster.marie.register(OCR, HERE)
    cluster.wait(pause)
    cluster.submit("a")
    cluster.wait(3)
    cluster.marie.unregister(OCR, HERE, crash=True)
    cluster.wait(200)
    assert cluster.marie.engine.pool.slots(OCR) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.floats(0.01, 40, allow_nan=False)), max_size=25))
def test_dags_stay_and_never_leave_an_end(script: list[tuple[str, float]]) -> None:
    cluster = Cluster(flaky)
    seen: dict[str, DagState] = {}
    for name, pause in script:
        ACTS[name](cluster)
        cluster.wait(pause)
        now = {dag.id: dag.state for dag in cluster.marie.dags}
        assert now.keys() >= seen.keys()
        for dag_id, state in seen.items():
            assert state not in {"completed", "failed"} or name == "cancel" or now[dag_id] in {state, "cancelled"}
        assert len({dag.ref_id for dag in cluster.marie.dags}) == len(cluster.marie.dags)
        seen = now
