"""What is told of a reconcile, as events."""

from typing import Literal

from marie_operator.api.conditions import ClusterReason, EventReason
from marie_operator.api.meta import Condition
from marie_operator.controllers.mariecluster.news import News
from marie_operator.runtime.children import Done

SERVICE = Done(EventReason.CREATED, "Service a")
DEPLOYMENT = Done(EventReason.CREATED, "Deployment b")


def turn(status: Literal["True", "False"], reason: ClusterReason) -> Condition:
    moment = "2026-01-01T00:00:00Z"
    return Condition(type="Ready", status=status, reason=reason, message="So it is.", last_transition_time=moment)


def test_all_that_was_created_is_one_event() -> None:
    assert News([SERVICE, DEPLOYMENT]).events() == [("Normal", "Created", "Created Service a, Deployment b.")]


def test_how_the_cluster_then_is_goes_with_it() -> None:
    news = News([SERVICE], turn("False", ClusterReason.SERVER_STARTING))
    assert news.events() == [("Normal", "Created", "Created Service a. So it is.")]


def test_alarms_and_good_news_are_events_of_their_own() -> None:
    for status, reason, kind in (
        ("False", ClusterReason.NAME_TAKEN, "Warning"),
        ("True", ClusterReason.READY, "Normal"),
    ):
        news = News([SERVICE], turn("True" if status == "True" else "False", reason))
        assert news.events() == [("Normal", "Created", "Created Service a."), (kind, reason, "So it is.")]


def test_a_turn_alone_is_an_event() -> None:
    assert News(turn=turn("False", ClusterReason.SERVER_STARTING)).events() == [
        ("Normal", "ServerStarting", "So it is.")
    ]


def test_different_writes_are_one_event_that_names_each() -> None:
    news = News([SERVICE, Done(EventReason.DELETED, "Ingress c"), DEPLOYMENT])
    assert news.events() == [("Normal", "Changed", "Created Service a, Deployment b. Deleted Ingress c.")]


def test_a_long_list_is_cut_short_where_an_event_ends() -> None:
    news = News([Done(EventReason.CREATED, f"Service {number:060}") for number in range(40)])
    ((_, _, note),) = news.events()
    assert len(note) < 1024
    shown = note.count("Service")
    assert note.endswith(f" and {40 - shown} more.")
    assert shown > 5


def test_advice_is_told_beside() -> None:
    news = News(advice=[(EventReason.SEVERAL_SCHEDULERS, "Set it to 1.")])
    assert news.events() == [("Warning", "SeveralSchedulers", "Set it to 1.")]
