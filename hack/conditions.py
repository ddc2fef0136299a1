"""Makes docs/conditions.md of the conditions, reasons and events that the operator writes.

``python hack/conditions.py`` writes it; a test sees that it is current and that every reason says what to do.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from marie_operator.api import conditions

PLACE = Path(__file__).parent.parent / "docs" / "conditions.md"
_OPENING = """# Conditions, reasons and events

Everything that a status or an event says and a program may match. A condition's message, and an event's note, say the
same with names filled in. A change of a cluster's `Ready` and of any condition of a job is an event too, with the
condition's reason (`Resumed` where a job is no longer suspended). Wait for a condition with
`kubectl wait --for=condition=Ready mc/NAME`.

This page is made by `python hack/conditions.py` of `marie_operator.api.conditions`.

## Phases

The column `PHASE` is for people: it says less than the conditions, and programs watch those.

| MarieCluster | |
|---|---|
| `Creating` | not every pod has been ready yet, or the server is not |
| `Running` | the server is ready, and every pod has been |
| `Suspended` | `spec.suspend` is true |
| `Failed` | something that it is made of was refused; `MESSAGE` says what |
| `Terminating` | it is being deleted |

| MarieJob | |
|---|---|
| `Pending` | it waits for something that `MESSAGE` names, or is suspended |
| `Initializing` | it lists its documents, or submits the first |
| `Running` | an executor works, or has worked, on a document of it |
| `Succeeded`, `Failed`, `Cancelled` | its end |
"""
_TYPES = {
    "Conditions of a MarieCluster": conditions.ClusterCondition,
    "Conditions of a MarieJob": conditions.JobCondition,
}
_REASONS = {
    "Reasons of a MarieCluster's conditions": conditions.ClusterReason,
    "Reasons of a MarieJob's conditions": conditions.JobReason,
    "Events": conditions.EventReason,
}


@dataclass(frozen=True)
class Entry:
    """What one word means.

    Attributes:
        word: As it is written.
        meaning: In a sentence.
        advice: What to do about it.
    """

    word: str
    meaning: str
    advice: str


def entries(of: type[StrEnum]) -> list[Entry]:
    """The members of an enumeration with what is written below each.

    Raises:
        ValueError: a member has nothing below it.
    """
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    assert isinstance(definition, ast.ClassDef)  # noqa: S101 - by its source
    said: dict[str, str] = {}
    name = ""
    for statement in definition.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
        elif name and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            said[name] = " ".join(str(statement.value.value).split()).replace("``", "`")
            name = ""
    if without := [member.name for member in of if member.name not in said]:
        raise ValueError(f"{of.__name__} does not say what these mean: {', '.join(without)}")
    return [Entry(member.value, *_parted(said[member.name])) for member in of]


def reasons() -> Mapping[str, list[Entry]]:
    """Every reason, by the title of its section."""
    return {title: entries(of) for title, of in _REASONS.items()}


def page() -> str:
    """docs/conditions.md."""
    parts = [_OPENING]
    for title, of in _TYPES.items():
        rows = [f"| `{each.word}` | {' '.join(filter(None, [each.meaning, each.advice]))} |" for each in entries(of)]
        parts.append("\n".join([f"## {title}\n", "| type | true when |", "|---|---|", *rows, ""]))
    for title, found in reasons().items():
        rows = [f"| `{each.word}` | {each.meaning} | {each.advice} |" for each in found]
        parts.append("\n".join([f"## {title}\n", "| reason | meaning | what to do |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def _parted(text: str) -> tuple[str, str]:
    """The first sentence, and the rest."""
    first, *rest = re.split(r"(?<=\.) (?=[A-Z`])", text, maxsplit=1)
    return first, " ".join(rest)


if __name__ == "__main__":
    PLACE.write_text(page(), encoding="utf-8")
