"""When a document's DAG is looked at whole, which costs requests, and what is believed of what is found."""

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


def whole(end: NodeState = NodeState.COMPLETED) -> Sequence[Node]:
    """The tasks as they are counted up, the last of them as the gateway remembers it."""
    return [node(START, NodeState.CREATED), node(EXTRACT, NodeState.FAILED), node(END, end)]


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
    document.examined_for_ends([], 3.0)
    document.walked(whole())
    assert where(document) is DocumentState.SUCCEEDED


def test_one_whose_task_failed_stands_still_and_is_looked_at() -> None:
    document = followed()
    document.listed([node(EXTRACT, NodeState.ACTIVE), node(END, NodeState.CREATED)], 0.0)
    assert not document.listed([node(END, NodeState.CREATED)], 1.0)
    assert document.listed([node(END, NodeState.CREATED)], 1.0 + STILL)
    document.examined_for_ends([node(EXTRACT, NodeState.FAILED)], 4.0)
    assert where(document) is DocumentState.FAILED


def test_one_that_failed_before_anybody_looked_is_found_out() -> None:
    document = followed()
    assert not document.listed([node(END, NodeState.CREATED)], 0.0)
    assert document.listed([node(END, NodeState.CREATED)], RETRACE)


def test_an_end_that_the_gateway_remembers_otherwise_is_believed_when_the_lists_say_it_twice() -> None:
    document = followed()
    for look in (1.0, 2.0):
        assert where(document) is DocumentState.SUBMITTED
        assert document.listed([], look)
        document.examined_for_ends([], look)
        document.walked(whole(NodeState.CREATED))
    assert where(document) is DocumentState.SUCCEEDED


def test_what_the_lists_say_between_two_of_their_silences_counts() -> None:
    document = followed()
    tasks = [node(EXTRACT, NodeState.RETRY), node(END, NodeState.CREATED)]
    for look, listed in enumerate(([], tasks, [])):
        document.listed(listed, float(look))
        document.examined_for_ends([], float(look))
        if document.over:
            document.walked(whole(NodeState.CREATED))
    assert where(document) is DocumentState.SUBMITTED


def test_lists_that_were_not_read_to_their_end_prove_nothing_by_silence() -> None:
    document = followed()
    for look in range(5):
        assert document.listed([], float(look), complete=False)
        document.examined_for_ends([], float(look))
        document.walked(whole(NodeState.CREATED))
    assert where(document) is DocumentState.SUBMITTED
    document.walked(whole())
    assert where(document) is DocumentState.SUBMITTED, "nothing was listed since"
    document.listed([], 6.0, complete=False)
    document.walked(whole())
    assert where(document) is DocumentState.SUCCEEDED


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
