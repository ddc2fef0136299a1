"""What a process is told that submits one document: its environment, which a user's own command can read too."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from marie_operator.marie.client import Submission

URL, KEY, REF_ID, INPUT = "MARIE_SERVER_URL", "MARIE_API_KEY", "MARIE_REF_ID", "MARIE_INPUT_URI"
QUEUE, PLANNER, REF_TYPE, OPTIONS = "MARIE_QUEUE", "MARIE_PLANNER", "MARIE_JOB_TYPE", "MARIE_OPTIONS"
SOFT, HARD = "MARIE_SOFT_SLA", "MARIE_HARD_SLA"
_NEEDED = (URL, KEY, REF_ID, INPUT, QUEUE, PLANNER, REF_TYPE)


class ErrandError(ValueError):
    """The environment does not say what to do; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One document to submit.

    Attributes:
        url: Of the gateway.
        ref_id: Names the attempt at the document; no other has it.
        submission: What Marie is asked to do.
    """

    url: str
    ref_id: str
    submission: Submission

    def environment(self) -> dict[str, str]:
        """The variables, but for ``MARIE_API_KEY``, which comes from a Secret."""
        asked = self.submission
        deadlines = {SOFT: asked.soft_sla, HARD: asked.hard_sla}
        return {
            URL: self.url,
            REF_ID: self.ref_id,
            INPUT: asked.uri,
            QUEUE: asked.queue,
            PLANNER: asked.planner,
            REF_TYPE: asked.ref_type,
            OPTIONS: json.dumps(dict(asked.options), sort_keys=True),
            **{name: at.isoformat() for name, at in deadlines.items() if at is not None},
        }

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> tuple["Errand", str]:
        """What an environment says, and the API key.

        Raises:
            ErrandError: a variable is missing or cannot be read.
        """
        if missing := [name for name in _NEEDED if not environ.get(name)]:
            raise ErrandError(
                f"{', '.join(missing)} not set: the operator sets them in the pods of submissionMode K8sJobSubmission"
            )
        try:
            options = json.loads(environ.get(OPTIONS) or "{}")
            soft, hard = (datetime.fromisoformat(environ[each]) if environ.get(each) else None for each in (SOFT, HARD))
        except ValueError as error:
            raise ErrandError(f"{OPTIONS}, {SOFT} or {HARD} cannot be read: {error}") from error
        submission = Submission(
            uri=environ[INPUT],
            queue=environ[QUEUE],
            planner=environ[PLANNER],
            ref_type=environ[REF_TYPE],
            soft_sla=soft,
            hard_sla=hard,
            options={str(name): str(value) for name, value in options.items()},
        )
        return cls(environ[URL].rstrip("/"), environ[REF_ID], submission), environ[KEY]
