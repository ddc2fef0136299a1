"""When a document's DAG is looked at whole, which costs requests, and when it is not."""

from collections.abc import Sequence

from marie_operator.marie.client import Submission
from marie_operator.marie.document import RETRACE, STILL, Document
from marie_operator.marie.replies import Node, NodeState, successors
from marie_operator.marie.ticket import DocumentState, Ticket

DAG = "06904972-5932-7dca-8000-36cda241d09e"
START, EXTRACT, END = (name for name, _ in zip(successors(DAG), range(3), strict=False))


def node(node_id: str, state: NodeState) -> Node:
    executor = "extract_executor" if node_id == EXTRACT else "noop"
    return Node(id=node_id, dag_id=DAG, name="extract", state=state, executor=executor, ref_id="r")


def whole(extract: NodeState, end: NodeState) -> Sequence[Node]:
    return [node(START, NodeState.COMPLETED), node(EXTRACT, extract), node(END, end)]


def followed() -> Document:
    ticket = Ticket("r", Submission("s3://b/k", "extract", "extract", "extract"), dag_id=DAG)
    return Document.of(ticket, 0.0)


def where(document: Document) -> DocumentState:
    return document.state


def test_one_that_goes_its_way_is_looked_at_once() -> None:
    document = followed()
    assert not document.listed([node(EXTRACT, NodeState.CREATED), node(END, NodeState.CREATED)], 0.0)
    assert not document.listed([node(EXTRACT, NodeState.ACTIVE), node(END, NodeState.CREATED)], 1.0)
    assert where(document) is DocumentState.RUNNING
    assert not document.listed([node(END, NodeState.CREATED)], 2.0)
    assert document.listed([], 3.0)
    document.walked(whole(NodeState.COMPLETED, NodeState.COMPLETED), 3.0)
    assert where(document) is DocumentState.SUCCEEDED


def test_one_whose_task_failed_stands_still_and_is_looked_at() -> None:
    document = followed()
    document.listed([node(EXTRACT, NodeState.ACTIVE), node(END, NodeState.CREATED)], 0.0)
    assert not document.listed([node(END, NodeState.CREATED)], 1.0)
    assert document.listed([node(END, NodeState.CREATED)], 1.0 + STILL)
    document.walked(whole(NodeState.FAILED, NodeState.CREATED), 4.0)
    assert where(document) is DocumentState.FAILED


def test_one_that_failed_before_anybody_looked_is_found_out() -> None:
    document = followed()
    assert not document.listed([node(END, NodeState.CREATED)], 0.0)
    assert document.listed([node(END, NodeState.CREATED)], RETRACE)


def test_what_was_completed_is_not_asked_for_again_unless_somebody_reset_it() -> None:
    document = followed()
    document.listed([node(EXTRACT, NodeState.ACTIVE), node(END, NodeState.CREATED)], RETRACE)
    document.walked(whole(NodeState.ACTIVE, NodeState.CREATED), RETRACE)
    assert [each.id for each in document.known if each.state is NodeState.COMPLETED] == [START]
    document.listed([node(START, NodeState.CREATED), node(END, NodeState.CREATED)], 20.0)
    assert document.known == ()


def test_a_look_that_failed_is_due_again() -> None:
    document = followed()
    document.listed([node(END, NodeState.CREATED)], 0.0)
    document.listed([node(END, NodeState.CREATED)], RETRACE)
    document.unlooked()
    assert document.listed([node(END, NodeState.CREATED)], RETRACE + 1)


def test_what_is_asked_for_is_what_the_job_said_last() -> None:
    first, corrected = (Submission("s3://b/k", "extract", planner, "extract") for planner in ("extrakt", "extract"))
    document = Document.of(Ticket("r", first, fresh=True), 0.0)
    document.expect(Ticket("r", corrected), 1.0)
    assert document.ticket.submission.planner == "extract"
    assert where(document) is DocumentState.WAITING
