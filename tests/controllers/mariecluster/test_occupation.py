"""Which pods may work, where no worker speaks for them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from marie_operator.controllers.mariecluster import occupation
from marie_operator.controllers.mariecluster.scaling import Doing
from marie_operator.marie.gateways import BOOT, Occupancy

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LATER = BEGAN + timedelta(seconds=BOOT)


def pod(*states: tuple[str, dict[str, Any]], unready: datetime = BEGAN) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "uid": "u"},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": unready.isoformat()}],
            "containerStatuses": [{"name": name, "state": state} for name, state in states],
        },
    }


RUNS = {"running": {"startedAt": BEGAN.isoformat()}}
CRASHED = {"waiting": {"reason": "CrashLoopBackOff"}}
SILENT = Occupancy(workers={}, asked=BOOT)


@pytest.mark.parametrize(
    ("of", "known", "now", "doing"),
    [
        (pod(("marie", RUNS)), SILENT, LATER, Doing.IDLE),
        (pod(("marie", RUNS)), SILENT, LATER - timedelta(seconds=1), Doing.BOOTING),
        (pod(("marie", RUNS)), Occupancy(workers={}, asked=BOOT - 1), LATER, Doing.BOOTING),
        (pod(("marie", RUNS)), Occupancy(workers={}, asked=BOOT, met=frozenset({"10.0.0.1:1"})), LATER, Doing.BOOTING),
        # It was ready: its node may be lost while it works.
        (pod(("marie", RUNS), unready=BEGAN + timedelta(seconds=1)), SILENT, LATER + timedelta(hours=1), Doing.BOOTING),
        (pod(("marie", CRASHED), ("proxy", RUNS)), Occupancy(workers={}), BEGAN, Doing.IDLE),
        (pod(("proxy", CRASHED), ("own", RUNS)), Occupancy(workers={}), BEGAN, Doing.BOOTING),
    ],
)
def test_a_pod_is_idle_only_where_no_worker_can_have_come_of_it(
    of: dict[str, Any], known: Occupancy, now: datetime, doing: Doing
) -> None:
    assert occupation.member(of, known, served=True, now=now).doing is doing
