"""Jobs whose fields are changed while they wait, which must end as jobs that were made so."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marie_operator.testing.api import ApiStatus
from tests.simulation.campaigns import facts, state
from tests.simulation.campaigns.bases import SURROUNDINGS, base
from tests.simulation.campaigns.clusters import REST, is_sentence
from tests.simulation.campaigns.fields import Field, with_value
from tests.simulation.campaigns.scenarios import cluster, key
from tests.simulation.campaigns.stage import Object, Stage, path, run
from tests.simulation.campaigns.state import differences
from tests.simulation.campaigns.values import Expected, Value

SUSPEND = ("spec", "suspend")


@dataclass
class Outcome:
    """What became of a job.

    Attributes:
        refused: What the API server answered; empty when it accepted.
        status: What the job says; nothing when it is gone.
        documents: What Marie has of it.
    """

    refused: str
    status: Object
    documents: Sequence[tuple[str, str]]

    @property
    def told(self) -> str:
        """The sentence by which the job says that it does not come about; empty when it does."""
        failed = self.status.get("conditions", {}).get("Failed")
        submitted = self.status.get("conditions", {}).get("Submitted", ("", "", ""))
        if failed is not None:
            return str(failed[2])
        return str(submitted[2]) if submitted[0] == "False" and not self.documents else ""


@dataclass(frozen=True)
class Campaign:
    """One field of one base, with the values to give it."""

    base: str
    field: Field
    values: Sequence[Value]

    def violations(self) -> list[str]:
        """What does not hold, in sentences; what ``facts`` explain is left out."""
        outcomes, complaints = run(self._tell)
        found = list(complaints)
        original = outcomes["created-base"]
        if original.status.get("phase") != "Succeeded":
            found.append(f"the base does not succeed: {original}")
        for number, value in enumerate(self.values):
            walked, created, returned = (outcomes[f"{kind}-{number}"] for kind in ("walked", "created", "returned"))
            found += [f"{self.field} = {value}: {each}" for each in self._judged(value, walked, created)]
            if _reason(walked) not in facts.ENDS_AT_ONCE:
                unlike = _unlike(returned, original)
                found += [f"{self.field} = {value} and back: {each}" for each in unlike]
        return found

    def _judged(self, value: Value, walked: Outcome, created: Outcome) -> Iterator[str]:
        about = (str(self.field), value)
        if walked.refused and facts.chosen_at_creation(str(self.field)):
            return
        if bool(walked.refused) != bool(created.refused):
            yield f"changed: {walked.refused or 'accepted'}; created: {created.refused or 'accepted'}"
        if created.refused:
            if value.expected is Expected.WORKS and not facts.impossible(*about):
                yield f"refused: {created.refused}"
            return
        ended = _reason(created) in facts.ENDS_AT_ONCE
        yield from (
            f"not as created so: {each}"
            for each in _unlike(walked, created)
            if not (ended and facts.past(each)) and not facts.parted(str(self.field), each)
        )
        if value.expected is Expected.WORKS and created.told and not facts.impossible(*about):
            yield f"does not come about: {created.told}"
        if value.expected is Expected.REFUSED and not created.told and not facts.harmless(*about):
            yield f"accepted, and nothing is told: {created.status.get('message')}"
        if created.told and not is_sentence(created.told):
            yield f"no sentence: {created.told!r}"

    async def _tell(self, stage: Stage) -> tuple[Mapping[str, Outcome], list[str]]:
        """Make three jobs for each value: one that is changed, one that is changed back, and one that is made so."""
        pool = cluster()
        pool["metadata"]["labels"] = {"pool": "blue"}
        await stage.apply(*SURROUNDINGS, key(), pool)
        stage.operator.start()
        await stage.settle()
        original = base(self.base)
        refused: dict[str, str] = {}

        async def put(name: str, wanted: Object, *, suspended: bool | None = None) -> None:
            body = wanted if suspended is None else with_value(wanted, SUSPEND, suspended)
            try:
                await _put(stage, name, body)
            except ApiStatus as error:
                refused[name] = str(error)

        pause = None if self.field.path == SUSPEND else True
        objects = [with_value(original, self.field.path, value.value) for value in self.values]
        await put("created-base", original)
        for number, wanted in enumerate(objects):
            await put(f"created-{number}", wanted)
            await put(f"walked-{number}", original, suspended=True)
            await put(f"returned-{number}", original, suspended=True)
        await stage.settle()
        for number, wanted in enumerate(objects):
            for kind in ("walked", "returned"):
                await put(f"{kind}-{number}", wanted, suspended=pause)
        await stage.settle()
        for number, wanted in enumerate(objects):
            if f"walked-{number}" not in refused:
                await put(f"walked-{number}", wanted)
            await put(f"returned-{number}", original)
        await stage.settle()
        mark = stage.server.audit.mark()
        await asyncio.sleep(REST)
        complaints = [f"writes at rest: {each}" for each in stage.writes(mark)[:5]]
        complaints += [f"complains: {each}" for each in stage.complaints()]
        return await _outcomes(stage, refused, len(objects)), complaints


async def _put(stage: Stage, name: str, wanted: Object) -> None:
    body = {**wanted, "metadata": {**wanted["metadata"], "name": name}}
    try:
        live = await stage.get("mariejobs", name)
    except ApiStatus:
        await stage.api.create(path("mariejobs"), body)
        return
    body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
    await stage.api.call("PUT", path("mariejobs", name), body)


async def _outcomes(stage: Stage, refused: Mapping[str, str], count: int) -> Mapping[str, Outcome]:
    live = {each["metadata"]["name"]: each for each in await stage.list("mariejobs")}
    names = ["created-base", *(f"{kind}-{n}" for n in range(count) for kind in ("walked", "created", "returned"))]
    return {
        name: Outcome(
            refused.get(name, ""),
            _named_alike(state.without_ids(state.status(live[name]))) if name in live else {},
            _documents(stage, name, live.get(name, {})),
        )
        for name in names
    }


def _documents(stage: Stage, name: str, job: Object) -> Sequence[tuple[str, str]]:
    """What Marie has of a job, on the cluster that it ran on."""
    cluster = job.get("status", {}).get("clusterName", "c")
    dags = stage.gateways.cluster("default", cluster).dags
    return sorted((dag.uri, dag.state) for dag in dags if dag.ref_id.startswith(f"{name}-"))


def _named_alike(status: Any) -> Any:
    """A status that does not tell which job it is of, nor that it has once been suspended."""
    status["conditions"].pop("Suspended", None)
    return {key: _renamed(value) for key, value in status.items()}


def _renamed(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"\b(walked|created|returned)-(\d+|base)(-submit)?(-[0-9a-v]{6})?\b", "JOB", value)
    if isinstance(value, Mapping):
        return {key: _renamed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(each) for each in value]
    return value


def _reason(outcome: Outcome) -> str:
    """Why a job has failed; empty when it has not."""
    return str(outcome.status.get("conditions", {}).get("Failed", ("", "", ""))[1])


def _unlike(one: Outcome, other: Outcome) -> Iterator[str]:
    yield from differences(one.status, other.status)
    if one.documents != other.documents:
        yield f"documents at Marie: {one.documents} != {other.documents}"
