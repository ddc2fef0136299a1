"""A cluster whose fields are changed one at a time, and what must hold after each (the method of Acto, SOSP '23)."""

import asyncio
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from marie_operator.testing.api import ApiStatus
from tests.simulation.campaigns import facts, state
from tests.simulation.campaigns.bases import SURROUNDINGS, base
from tests.simulation.campaigns.fields import Field, with_value
from tests.simulation.campaigns.stage import Object, Stage, path, run
from tests.simulation.campaigns.state import State, differences
from tests.simulation.campaigns.values import Expected, Value

NAME = "c"
REST = 180.0
"""Seconds in which nobody may write once a world has settled."""

TOLD = frozenset(
    {
        "InvalidSpec",
        "Unreadable",
        "NameTaken",
        "ChildRefused",
        "FieldConflict",
        "PermissionDenied",
        "SecretMissing",
        "SecretKeyMissing",
        "SecretUnusable",
        "ServiceShared",
    }
)
"""Reasons by which a cluster's Ready condition says that what is asked for does not come about."""


@dataclass
class Outcome:
    """What became of a spec.

    Attributes:
        refused: What the API server answered; empty when it accepted.
        children: What there is.
        status: What the cluster says.
        told: The reason for which the spec does not come about; empty when it does.
        pods: Identities of the running pods, by workload.
        unrest: Writes after everything had settled.
        complaints: What was logged as wrong.
    """

    refused: str = ""
    children: State = field(default_factory=dict)
    status: Object = field(default_factory=dict)
    told: str = ""
    pods: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unrest: Sequence[str] = ()
    complaints: Sequence[str] = ()

    @property
    def reason(self) -> str:
        """Why Ready is as it is."""
        return str(self.status["conditions"]["Ready"][1])

    @property
    def message(self) -> str:
        """What Ready says."""
        return str(self.status["conditions"]["Ready"][2])


async def _reached(stage: Stage) -> Outcome:
    await stage.settle()
    mark = stage.server.audit.mark()
    await asyncio.sleep(REST)
    live = await stage.get("marieclusters", NAME)
    status = state.status(live)
    ready = status["conditions"].get("Ready", ("", "", ""))
    pods: dict[str, set[str]] = {}
    for each in await stage.list("pods"):
        workload = each["metadata"]["labels"].get("marie.ai/group") or each["metadata"]["labels"]["marie.ai/node-type"]
        pods.setdefault(workload, set()).add(each["metadata"]["uid"])
    return Outcome(
        children=await state.children(stage),
        status=status,
        told=ready[1] if ready[0] != "True" and ready[1] in TOLD else "",
        pods={workload: frozenset(uids) for workload, uids in pods.items()},
        unrest=[str(each) for each in stage.writes(mark)],
        complaints=stage.complaints(),
    )


@functools.cache
def _fresh(encoded: str) -> Outcome:
    async def story(stage: Stage) -> Outcome:
        await stage.apply(*SURROUNDINGS)
        stage.operator.start()
        await stage.api.create(path("marieclusters"), json.loads(encoded))
        return await _reached(stage)

    found: Outcome = run(story)
    return found


def fresh(obj: Object) -> Outcome:
    """What becomes of an object that is created in an empty stage."""
    return _fresh(json.dumps(obj, sort_keys=True))


async def _walk(stage: Stage, objects: Sequence[Object]) -> list[Outcome]:
    await stage.apply(*SURROUNDINGS)
    stage.operator.start()
    await stage.api.create(path("marieclusters"), objects[0])
    found = [await _reached(stage)]
    for wanted in objects[1:]:
        live = await stage.get("marieclusters", NAME)
        body = {**wanted, "metadata": {**wanted["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}}
        try:
            await stage.api.call("PUT", path("marieclusters", NAME), body)
        except ApiStatus as error:
            found.append(Outcome(refused=str(error)))
        else:
            found.append(await _reached(stage))
    return found


@dataclass(frozen=True)
class Campaign:
    """One field of one base, with the values to give it."""

    base: str
    field: Field
    values: Sequence[Value]

    def violations(self) -> list[str]:
        """What does not hold, in sentences; what ``facts`` explain is left out."""
        original = base(self.base)
        objects = [with_value(original, self.field.path, each.value) for each in self.values]
        walked = run(lambda stage: _walk(stage, [original, *objects, original]))
        found = list(_of_start(walked[0]))
        last = walked[0]
        for value, wanted, outcome in zip(
            (*self.values, Value("the original", Expected.WORKS)), (*objects, original), walked[1:], strict=True
        ):
            found += [f"{self.field} = {value}: {each}" for each in self._judged(value, wanted, outcome, last)]
            if not outcome.refused:
                last = outcome
        return found

    def _judged(self, value: Value, wanted: Object, outcome: Outcome, last: Outcome) -> Iterator[str]:
        if outcome.refused:
            if value.expected is Expected.WORKS:
                yield f"refused: {outcome.refused}"
            return
        about = (str(self.field), value)
        if value.expected is Expected.REFUSED and not outcome.told and not facts.harmless(*about):
            yield "accepted, and nothing is told"
        fixed = facts.unchangeable(str(self.field))
        if value.expected is Expected.WORKS and outcome.told and not fixed and not facts.impossible(*about):
            yield f"does not come about: {outcome.told}: {outcome.message}"
        if outcome.unrest:
            yield f"writes at rest: {outcome.unrest[:4]}"
        if outcome.complaints and not outcome.told:
            yield f"complains: {outcome.complaints[:2]}"
        new = fresh(wanted)
        if outcome.told or new.told:
            yield from _of_told(outcome, new, last, fixed=fixed)
        elif new.reason == "ExecutorsFailing":
            yield from _of_failing(outcome, new)
        else:
            yield from (
                f"not as created so: {each}"
                for each in differences(outcome.children, new.children)
                if not facts.kept(each)
            )
            yield from (
                f"status not as created so: {each}"
                for each in differences(outcome.status, new.status)
                if not facts.remembered(each)
            )
        yield from self._rolls(outcome, last)

    def _rolls(self, outcome: Outcome, last: Outcome) -> Iterator[str]:
        for workload, pods in outcome.pods.items():
            before = last.pods.get(workload, frozenset())
            replaced = before - pods and pods - before
            if replaced and _template(outcome, workload) == _template(last, workload):
                yield f"pods of {workload} are replaced by others alike"
            changed = _template(outcome, workload) != _template(last, workload)
            if changed and before and not facts.in_pods(str(self.field)):
                yield f"the template of {workload} changes"


def _template(outcome: Outcome, workload: str) -> Any:
    name = {"server": "deployments/c-server", "etcd": "statefulsets/c-etcd", "postgres": "statefulsets/c-postgres"}
    live = outcome.children.get(name.get(workload, f"deployments/c-executor-{workload}"))
    return live["spec"]["template"] if live else None


def _of_start(outcome: Outcome) -> Iterator[str]:
    ready = outcome.status["conditions"]["Ready"]
    if ready[0] != "True":
        yield f"the base does not become ready: {ready}"
    if outcome.complaints:
        yield f"the base complains: {outcome.complaints}"


def _of_told(outcome: Outcome, new: Outcome, last: Outcome, *, fixed: bool) -> Iterator[str]:
    """Each child is as it was, or as it would be; the sentence is one."""
    if outcome.told != new.told and not fixed:
        yield f"told {outcome.told or 'nothing'} ({outcome.message}), created so: {new.told} ({new.message})"
    was = differences(outcome.children, last.children)
    will = {_child(each) for each in differences(outcome.children, new.children)}
    yield from (
        f"neither as before nor as asked: {each}" for each in was if _child(each) in will and not facts.kept(each)
    )
    if outcome.told and not is_sentence(outcome.message):
        yield f"no sentence: {outcome.message!r}"


def _of_failing(outcome: Outcome, new: Outcome) -> Iterator[str]:
    """What is asked for is there, but for the pods, and that these do not come is told."""
    if outcome.reason != new.reason:
        yield f"that its pods do not come is not told: {outcome.reason} ({outcome.message})"
    yield from (
        f"not as created so: {each}"
        for each in differences(outcome.children, new.children)
        if not facts.kept(each) and not facts.of_pods(each)
    )


def _child(difference: str) -> str:
    return "/".join(difference.split("/")[:3]).partition(":")[0]


def is_sentence(message: str) -> bool:
    """Whether a message reads as one."""
    wrong = ("\n", "..", ". .", ":.", ": .", "None", "Traceback", "Error(", "<class", "{'")
    return (
        len(message) > 20
        and (message[0].isupper() or message.startswith("spec."))
        and message[-1] in ".)"
        and not any(each in message for each in wrong)
    )
