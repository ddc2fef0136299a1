"""What an input URI names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marie_operator.controllers.mariejob.source import Prefix, SingleDocument, Source, SourceError, parse


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("s3://bucket/a.pdf", SingleDocument("s3://bucket/a.pdf")),
        ("s3://bucket/a b/ü#?%41.pdf", SingleDocument("s3://bucket/a b/ü#?%41.pdf")),
        ("s3://bucket/documents/", Prefix("bucket", "documents/")),
        ("s3://bucket/", Prefix("bucket", "")),
        ("gs://bucket/a b/ü#?%41.pdf", SingleDocument("gs://bucket/a b/ü#?%41.pdf")),
        ("gs://bucket/documents/", Prefix("bucket", "documents/", "gs")),
        ("az://container/", Prefix("container", "", "az")),
    ],
)
def test_an_object_is_one_document_and_a_slash_at_the_end_makes_a_prefix(uri: str, source: Source) -> None:
    assert parse(uri) == source


def test_documents_under_a_prefix_keep_their_keys_verbatim() -> None:
    assert Prefix("bucket", "a/").document("a/ü #?.pdf") == "s3://bucket/a/ü #?.pdf"
    assert SingleDocument("s3://bucket/a/ü #?.pdf").key == "a/ü #?.pdf"


@pytest.mark.parametrize(
    "uri", ["", "bucket/a.pdf", "http://bucket/a.pdf", "s3://", "s3:///a.pdf", "s3://bucket", "s3://../a.pdf",
            "s3://a..b/", "s3://bucket/a\n.pdf", "s3://bucket/a//b/", "s3://bucket/../", "s3://bucket/./a/", "gcs://bucket/",
            "azure://container/a/", "az://container@account/a/", "gs://bucket", "gs://bucket/a//b.pdf",
            "az://container/../b.pdf", "gs://bucket/."],
)  # fmt: skip
def test_what_names_no_documents_is_refused(uri: str) -> None:
    with pytest.raises(SourceError):
        parse(uri)


@given(st.text(max_size=30).map(lambda rest: f"s3://{rest}") | st.text(max_size=30))
def test_any_text_names_documents_or_is_refused(uri: str) -> None:
    try:
        source = parse(uri)
    except SourceError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
    else:
        assert uri == source.uri
