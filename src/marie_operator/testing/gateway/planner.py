"""Planners: what a document is expanded into."""

from dataclasses import dataclass

NOOP = "noop"


@dataclass(frozen=True, slots=True)
class Step:
    """One task of a plan.

    Attributes:
        title: As it follows the number in the task's name.
        on: Executor and endpoint, such as ``extract_executor://document/extract``.
        layout: Goes to the executor as ``op_params.layout``.
    """

    title: str
    on: str
    layout: str | None = None

    @property
    def executor(self) -> str:
        """Who does it."""
        return self.on.partition("://")[0]


START = Step("START", f"{NOOP}://{NOOP}")


@dataclass(frozen=True, slots=True)
class Planner:
    """A chain of steps.

    Attributes:
        name: What submissions ask for.
        steps: In their order, without the START and END that every plan has.
        description: As the list of planners shows it.
        module: Where the list says it comes from.
    """

    name: str
    steps: tuple[Step, ...]
    description: str = ""
    module: str = "query_planners"

    @property
    def chain(self) -> tuple[Step, ...]:
        """All steps, from START to END."""
        return (START, *self.steps, Step("END", START.on, self.steps[-1].layout))


EXTRACT = Planner(
    "extract",
    (Step("EXTRACT data", "extract_executor://document/extract", "extract"),),
    description="Plan a structured query execution graph for document OCR extraction.",
    module="marie.query_planner.ocr_planner",
)
"""The only one that is built into Marie."""
