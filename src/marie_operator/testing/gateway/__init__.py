"""A simulated Marie 4.0.0 gateway: the recorded behaviour of a real one, with time and failures as data.

Deliberate differences from the recordings, each pinned by a test:

* ``/openapi.json`` lists paths only.
* ``/status`` has the versions of ``marie`` alone.
* ``/api/planners`` gives each planner's name and description, not its plan.
* A validation error names the missing field, not pydantic's whole text.
"""

from marie_operator.testing.gateway.engine import Dag, Engine, Outcome, Task
from marie_operator.testing.gateway.server import Fault, SimulatedGateways, SimulatedMarie

__all__ = ["Dag", "Engine", "Fault", "Outcome", "SimulatedGateways", "SimulatedMarie", "Task"]
