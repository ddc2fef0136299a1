"""What must hold at every moment of a run, seen from outside: in what servers store and gateways were asked for."""

import asyncio
import json
import math
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any

from marie_operator.builders import association
from marie_operator.controllers.mariecluster.status import DETAIL_INTERVAL
from marie_operator.controllers.mariejob import refs
from marie_operator.testing.apiserver.store import Change, Key
from tests.simulation.chaos import Chaos
from tests.simulation.replica import LEASE, NAMESPACE
from tests.simulation.stored import Place
from tests.simulation.workload import KEYS, Workload
from tests.simulation.world import World

CLUSTERS, JOBS = ("marie.ai", "marieclusters"), ("marie.ai", "mariejobs")
DEPLOYMENTS, REPLICA_SETS = ("apps", "deployments"), ("apps", "replicasets")
PODS, NODES = ("", "pods"), ("", "nodes")
SUBMITTERS = ("batch", "jobs")
LEASES = ("coordination.k8s.io", "leases")
KNOWN = 1.0
"""Seconds without trouble in which what happens reaches whoever writes a status."""
TOLD = DETAIL_INTERVAL.total_seconds() + 2.0
"""Such seconds within which it stands in the status, where mere numbers wait for one another."""
MOST_WRITES = 400
"""Writes of all replicas within a minute; more is a loop that has no end."""


class ViolationError(AssertionError):
    """Something was so that must never be so."""


class Invariants:
    """Watches a world.

    Args:
        world: The world.
        workload: What its users want.
        ill: What goes wrong, which decides how late pods may go.
        elected: Whether there is a lease.

    Attributes:
        sacrificed: Names of pods that somebody else deletes.
        found: What was violated.
        written: Writes and submissions that left.
        last_write: When the last of them did.
        sent: The last of them.
    """

    def __init__(self, world: World, workload: Workload, ill: Chaos, *, elected: bool) -> None:
        self._world = world
        self._workload = workload
        self._tardiness = ill.tardiness
        self._elected = elected
        self._ready: defaultdict[str, list[tuple[float, int]]] = defaultdict(lambda: [(0.0, 0)])
        self._writes: deque[float] = deque()
        self._unwanted: dict[str, float] = {}
        self.sacrificed: set[str] = set()
        self.found: list[str] = []
        self.written = 0
        self.last_write = 0.0
        self.sent: deque[str] = deque(maxlen=20)
        self._gone: list[dict[str, Any]] = []
        store = world.server.server.store
        store.listen(DEPLOYMENTS, self._on_deployment)
        store.listen(CLUSTERS, self._on_cluster)
        store.listen(JOBS, self._on_job)
        store.listen(PODS, self._on_pod)
        world.on_send = self.on_send

    # Who writes.

    def on_send(self, who: str, what: str) -> None:
        """A write or a submission is about to leave a process."""
        # What submitters send, they send in the name of nobody who leads.
        if self._elected and who.startswith("operator-"):
            lease = self._world.server.server.store.get(LEASES, Key(NAMESPACE, LEASE))
            holder = lease.object["spec"].get("holderIdentity", "") if lease is not None else ""
            if holder != who:
                self._violated(f"{who} sends {what} while {holder or 'nobody'} holds the lease")
        now = self._now()
        self.written += 1
        self.last_write = now
        self.sent.append(f"{who} {what}")
        self._writes.append(now)
        while self._writes[0] < now - 60:
            self._writes.popleft()
        if len(self._writes) > MOST_WRITES:
            self._violated(f"{len(self._writes)} writes within a minute, the last one {what} of {who}")

    # What a status says of a cluster.

    def _on_deployment(self, change: Change) -> None:
        status = {} if change.removed else change.entry.object.get("status") or {}
        history, ready = self._ready[change.entry.key.name], int(status.get("readyReplicas", 0))
        if history[-1][1] != ready:
            history.append((self._now(), ready))

    def _lately(self, deployment: str, seconds: float) -> set[int]:
        """The numbers of ready pods that a Deployment has told of as far back as an operator may be."""
        since, found = self._world.network.troubles.before(seconds), set[int]()
        for moment, ready in reversed(self._ready[deployment]):
            found.add(ready)
            if moment < since:
                break
        return found

    def _on_cluster(self, change: Change) -> None:
        if change.removed or _is_unwanted(change.entry.object):
            self._unwanted[change.entry.key.name] = self._now()
        status = change.entry.object.get("status")
        if change.removed or not status or (change.previous and change.previous.object.get("status") == status):
            return
        self._check_cluster(change.entry.object, KNOWN)

    def look(self, *, led: bool) -> None:
        """See that what statuses say is not long out of date.

        Args:
            led: Whether there is anybody to write them.
        """
        troubles = self._world.network.troubles
        if not led:
            troubles.begin(LEASE, "holder")
            return
        troubles.end(LEASE, "holder")
        if self.found:
            # Whatever is so stays so for a while.
            return
        for entry in self._world.server.server.store.range(CLUSTERS, "default"):
            self._check_cluster(entry.object, TOLD)

    def _check_cluster(self, cluster: dict[str, Any], seconds: float) -> None:
        name = cluster["metadata"]["name"]
        server = self._lately(association.server_deployment_name(name), seconds)
        for kind in ("Ready", "ServerPodReady"):
            if condition(cluster, kind) == "True" and not any(server):
                self._violated(f"{name} is told to be {kind}, and no server has been ready")
        for group, told in ((cluster.get("status") or {}).get("executorGroupStatuses") or {}).items():
            ready = int(told.get("readyReplicas", 0))
            known = self._lately(association.executor_deployment_name(name, group), seconds)
            if ready not in known:
                self._violated(f"{name} is told to have {ready} ready pods in group {group}, which had {sorted(known)}")

    # What becomes of pods at work.

    def _on_pod(self, change: Change) -> None:
        """A pod that goes since its group is to be smaller had nothing to do when that could last be known."""
        pod, before = change.entry.object, change.previous
        name, labels = change.entry.key.name, pod["metadata"].get("labels") or {}
        if "deletionTimestamp" not in pod["metadata"] or (before and "deletionTimestamp" in before.object["metadata"]):
            return
        if labels.get(association.NODE_TYPE_LABEL) == association.SERVER or name in self.sacrificed:
            return
        cluster = labels.get(association.CLUSTER_LABEL, "")
        if self._is_unwanted(cluster) or self._is_outdated(pod) or self._is_evicted(pod):
            return
        engine = self._world.gateways.cluster("default", cluster).engine
        address = f"{pod.get('status', {}).get('podIP')}:{association.WORKER_PORT}"
        alive = any(worker.alive for worker in engine.pool.workers() if worker.address == address)
        for node in filter(None, map(engine.node, engine.in_hand(address) if alive else ())):
            if engine.now - node.dispatched > self._tardiness:
                self._violated(
                    f"{name} is deleted and has been at work on {node.id} for {engine.now - node.dispatched} s"
                )

    def _is_unwanted(self, cluster: str) -> bool:
        """Whether a cluster is deleted or suspended as a whole, or was as far as an operator may still believe."""
        found = self._world.server.server.store.get(CLUSTERS, Key("default", cluster))
        if found is None or _is_unwanted(found.object):
            return True
        return self._unwanted.get(cluster, -math.inf) >= self._world.network.troubles.before(KNOWN)

    def _is_evicted(self, pod: dict[str, Any]) -> bool:
        """Whether a pod's node is taken for lost, and its pods are told to go."""
        node = self._world.server.server.store.get(NODES, Key("", pod["spec"].get("nodeName", "")))
        return node is not None and any(
            each["effect"] == "NoExecute" for each in node.object["spec"].get("taints") or ()
        )

    def _is_outdated(self, pod: dict[str, Any]) -> bool:
        """Whether a pod is of another template than its Deployment has."""
        store = self._world.server.server.store
        reference = next((each["name"] for each in pod["metadata"].get("ownerReferences", ())), "")
        replica_set = store.get(REPLICA_SETS, Key("default", reference))
        if replica_set is None:
            return False
        owner = next((each["name"] for each in replica_set.object["metadata"].get("ownerReferences", ())), "")
        deployment = store.get(DEPLOYMENTS, Key("default", owner))
        return deployment is not None and _revision(replica_set.object) != _revision(deployment.object)

    # What a status says of a job, and what became of documents.

    def _on_job(self, change: Change) -> None:
        job = change.entry.object
        if change.removed:
            self._gone.append(job)
        status = job.get("status") or {}
        if change.removed or (change.previous and change.previous.object.get("status") == status):
            return
        counts = status.get("documents") or {}
        succeeded, failed = int(counts.get("succeeded", 0)), int(counts.get("failed", 0))
        listed, flying = int(counts.get("listed", 0)), len(counts.get("inFlight") or ())
        states = self.states(job)
        name = change.entry.key.name
        if succeeded > sum("completed" in each for each in states.values()):
            self._violated(f"{name} is told to have {succeeded} documents done, and Marie has {states}")
        if failed > sum(bool(each) and "completed" not in each for each in states.values()):
            self._violated(f"{name} is told to have {failed} failed documents, and Marie has {states}")
        if counts and succeeded + failed + flying != listed:
            self._violated(f"{name}: of {listed} documents, {succeeded} + {failed} ended and {flying} are in flight")
        if condition(job, "Complete") == "True" and (succeeded != len(expected(job)) or flying):
            self._violated(f"{name} is told to be complete with {succeeded} of {len(expected(job))} documents done")

    def states(self, job: dict[str, Any]) -> dict[str, list[str]]:
        """By document: the state of every DAG that was made of it for a job, as Marie has it."""
        found: dict[str, list[str]] = {}
        for dag in self._dags(job):
            found.setdefault(dag.uri, []).append(dag.state)
        return found

    def _dags(self, job: dict[str, Any]) -> Iterable[Any]:
        stem = refs.stem(job["metadata"]["name"], job["metadata"]["uid"])
        for cluster in self._clusters():
            for dag in self._world.gateways.cluster("default", cluster).dags:
                try:
                    refs.ordinal(dag.ref_id, stem)
                except ValueError:
                    continue
                yield dag

    def check_documents(self) -> None:
        """No document was doubled: under every reference id is one DAG, and of every document one that was done."""
        for cluster in self._clusters():
            references: dict[str, str] = {}
            for dag in self._world.gateways.cluster("default", cluster).dags:
                if dag.ref_id in references:
                    self._violated(f"{dag.ref_id} was submitted twice: {references[dag.ref_id]} and {dag.id}")
                references[dag.ref_id] = dag.id
        there = [entry.object for entry in self._world.server.server.store.range(JOBS)]
        for job in (*self._gone, *there):
            name, states = job["metadata"]["name"], self.states(job)
            twice = {uri: each for uri, each in states.items() if each.count("completed") > 1}
            if twice:
                self._violated(f"{name} had documents done twice: {twice}")
            if set(states) - set(expected(job)):
                self._violated(f"{name} submitted what it was not asked for: {states}")
        for job in there:
            self._check_results(job, self.states(job))

    def _check_results(self, job: dict[str, Any], states: dict[str, list[str]]) -> None:
        """What a job that has ended says to have copied is there, and its manifest lists each document once."""
        found = (job.get("status") or {}).get("result") or {}
        if "manifestUri" not in found:
            if "output" in job["spec"] and condition(job, "Complete") == "True":
                self._violated(f"{job['metadata']['name']} is complete and has no manifest")
            return
        name, objects = job["metadata"]["name"], self._world.objects
        place = _place(found["manifestUri"])
        lines = [json.loads(line) for line in objects[place].splitlines()] if place in objects else []
        listed = [line["document"] for line in lines]
        if len(listed) != len(set(listed)) or (condition(job, "Complete") == "True" and set(listed) != set(states)):
            self._violated(f"{name} lists {listed} in its manifest, and Marie has {states}")
        for line in lines:
            done = "completed" in states.get(line["document"], ())
            if done != (line["state"] == "Succeeded") or done != bool(line["results"]):
                self._violated(f"{name} lists {line} in its manifest, and Marie has {states}")
            if missing := [uri for uri in line["results"] if _place(uri) not in objects]:
                self._violated(f"{name} lists results that are not there: {missing}")
        if left := objects.under(place[0], place[1].removesuffix(".jsonl")):
            self._violated(f"{name} has left parts of its manifest: {left}")

    def _clusters(self) -> list[str]:
        return sorted({step.name for step in self._workload.steps if step.name.startswith("c")})

    def _violated(self, what: str) -> None:
        self._world.trace.note("VIOLATION", what)
        self.found.append(f"at {self._now():.3f} s: {what}")

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def expected(job: dict[str, Any]) -> list[str]:
    """The documents of a job."""
    uri = job["spec"]["input"]["uri"]
    return [f"s3://bucket/{key}" for key in KEYS if f"s3://bucket/{key}".startswith(uri)]


def _place(uri: str) -> Place:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def condition(found: dict[str, Any], kind: str) -> str:
    """The status of a condition; empty where there is none."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((each["status"] for each in conditions if each["type"] == kind), "")


def _is_unwanted(cluster: dict[str, Any]) -> bool:
    return "deletionTimestamp" in cluster["metadata"] or bool(cluster["spec"].get("suspend"))


def _revision(found: dict[str, Any]) -> str:
    return str((found["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", ""))
