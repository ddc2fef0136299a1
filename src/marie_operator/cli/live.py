"""What the demo shows: one state of the cluster and the job, as a picture or as lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from marie_operator.builders import association

SHOWN_EVENTS, SHOWN_JOBS = 6, 5
BROAD = 100
"""Columns of a terminal that has room for addresses beside the whole names of pods."""
_ENDED = frozenset({"Succeeded", "Failed", "Cancelled"})
_COLOURS = {
    "Running": "green",
    "Succeeded": "green",
    "Ready": "green",
    "Failed": "red",
    "Creating": "yellow",
    "Pending": "yellow",
    "Starting": "yellow",
    "Initializing": "yellow",
}


@dataclass(frozen=True)
class Snapshot:
    """What the API server said at one moment."""

    cluster: dict[str, Any] = field(default_factory=dict)
    jobs: Sequence[dict[str, Any]] = ()
    pods: Sequence[dict[str, Any]] = ()
    events: Sequence[dict[str, Any]] = ()
    expected: int = 1

    @property
    def ended(self) -> bool:
        """Whether all jobs have come to their end."""
        done = [job for job in self.jobs if job.get("status", {}).get("phase") in _ENDED]
        return len(done) >= self.expected


def picture(seen: Snapshot, *, width: int) -> RenderableType:
    """The whole of it, for a terminal of so many columns."""
    # Of many jobs, those that run are worth the room.
    jobs = sorted(seen.jobs, key=lambda job: job.get("status", {}).get("phase") in _ENDED) or [{}]
    rest = len(jobs) - SHOWN_JOBS
    more = [Text(f"  and {rest} more MarieJobs", style="dim")] if rest > 0 else []
    return Group(_cluster(seen, width), *(_job(job) for job in jobs[:SHOWN_JOBS]), *more, _events(seen))


def lines(before: Snapshot, seen: Snapshot) -> Iterator[str]:
    """What has changed, one line each, where there is no terminal."""
    old = {_name(each): _told(each) for each in (before.cluster, *before.jobs) if each}
    for kind, new in (("MarieCluster", seen.cluster), *(("MarieJob", job) for job in seen.jobs)):
        if new and (now := _told(new)) != old.get(_name(new)):
            yield f"{kind} {_name(new)}: {now}"
    known = {event["metadata"]["name"] for event in before.events}
    for event in seen.events:
        if event["metadata"]["name"] not in known:
            yield f"  {event['regarding']['name']}: {event['reason']}: {event['note']}"


def _name(obj: dict[str, Any]) -> str:
    return str(obj["metadata"]["name"])


def _told(obj: dict[str, Any]) -> str:
    status = obj.get("status", {})
    message = status.get("message") or _message(status, "Ready")
    return f"{status.get('phase', 'new')}{f': {message}' if message else ''}"


def _message(status: dict[str, Any], condition: str) -> str:
    found = (each["message"] for each in status.get("conditions", ()) if each["type"] == condition)
    return str(next(found, ""))


def _cluster(seen: Snapshot, width: int) -> Panel:
    status, broad = seen.cluster.get("status", {}), width >= BROAD
    table = Table(box=None, pad_edge=False, expand=True)
    for column in ("pod", "role", "group", "state"):
        table.add_column(column)
    if broad:
        table.add_column("address", style="dim")
    for pod in sorted(seen.pods, key=lambda each: str(each["metadata"]["name"])):
        labels = pod["metadata"].get("labels", {})
        state = _state(pod)
        table.add_row(
            pod["metadata"]["name"],
            labels.get(association.NODE_TYPE_LABEL, ""),
            labels.get(association.GROUP_LABEL, ""),
            Text(state, style=_COLOURS.get(state, "")),
            *([pod.get("status", {}).get("podIP", "")] if broad else []),
        )
    heading = _heading("MarieCluster", seen.cluster)
    return Panel(Group(table, Text(_message(status, "Ready"), style="dim")), title=heading, title_align="left")


def _heading(kind: str, obj: dict[str, Any]) -> Text:
    phase = obj.get("status", {}).get("phase", "new")
    name = obj.get("metadata", {}).get("name", "…")
    return Text.assemble(f"{kind} ", (name, "bold"), "  ", (phase, _COLOURS.get(phase, "")))


def _state(pod: dict[str, Any]) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "Ending"
    conditions = {each["type"]: each["status"] for each in pod.get("status", {}).get("conditions", ())}
    if conditions.get("Ready") == "True":
        return "Ready"
    return "Starting" if conditions.get("PodScheduled") == "True" else "Pending"


def _job(job: dict[str, Any]) -> Panel:
    status = job.get("status", {})
    documents = status.get("documents", {})
    bar = ProgressBar(total=100, completed=status.get("progress", 0), width=30)
    counts = (
        f"{documents.get('succeeded', 0)} of {documents.get('total', '?')} done,"
        f" {len(documents.get('inFlight', ()))} in flight, {documents.get('failed', 0)} failed"
    )
    heading = _heading("MarieJob", job)
    progress = Table.grid(padding=(0, 2))
    progress.add_row(bar, Text(counts))
    body = Group(progress, Text(status.get("message", ""), style="dim"))
    return Panel(body, title=heading, title_align="left")


def _events(seen: Snapshot) -> Panel:
    rows = Table.grid(padding=(0, 1))
    for event in seen.events[-SHOWN_EVENTS:]:
        colour = "yellow" if event.get("type") == "Warning" else "cyan"
        rows.add_row(
            Text(event["reason"], style=colour), Text(event.get("note", ""), overflow="ellipsis", no_wrap=True)
        )
    return Panel(rows, title="Events", title_align="left")
