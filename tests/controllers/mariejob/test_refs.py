"""Reference ids: unique where Marie looks, and short enough for it."""

from hypothesis import given
from hypothesis import strategies as st

from marie_operator.controllers.mariejob import refs

KEYS = st.text(min_size=1, max_size=40).filter(lambda key: not key.endswith("/"))
DOCUMENTS = st.tuples(st.uuids().map(str), st.integers(1, 10_000_000), st.integers(0, 1000))


def place(ref_id: str, ref_type: str = "ocr") -> str:
    """Where Marie 4.0.0 stores results (``s3_asset_path``)."""
    filename = ref_id.rsplit("/", maxsplit=1)[-1]
    return f"s3://marie/{ref_type}/{filename.split('.')[0].lower()}"


def ref_of(uid: str, ordinal: int, attempt: int, key: str, job: str = "scan") -> str:
    return refs.ref_id(job=job, uid=uid, ordinal=ordinal, key=key, attempt=attempt, content_type="application/pdf")


def test_an_id_reads_like_a_file_name() -> None:
    uid = "6e5c9f0a-2f6e-4a44-8c8e-0a1c2b3d4e5f"
    assert ref_of(uid, 17, 0, "in/Invoice 0017.PDF") == "scan-7b6vmh3ns9tng-17-invoice-0017.pdf"
    assert ref_of(uid, 17, 2, "in/Invoice 0017.PDF") == "scan-7b6vmh3ns9tng-17r2-invoice-0017.pdf"
    assert ref_of(uid, 1, 0, "in/README") == "scan-7b6vmh3ns9tng-1-readme.pdf"
    assert ref_of(uid, 1, 0, "in/.hidden") == "scan-7b6vmh3ns9tng-1-hidden.pdf"


@given(DOCUMENTS, KEYS, st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True))
def test_an_id_fits_where_marie_puts_it(document: tuple[str, int, int], key: str, job: str) -> None:
    ref_id = ref_of(*document, key, job)
    assert len(ref_id) <= 64
    assert ref_id == ref_id.lower()
    assert "/" not in ref_id
    assert ref_id.count(".") == 1


@given(DOCUMENTS, DOCUMENTS, KEYS, KEYS)
def test_different_documents_and_attempts_have_results_in_different_places(
    one: tuple[str, int, int], other: tuple[str, int, int], key: str, other_key: str
) -> None:
    if one[:2] == other[:2]:
        other_key = key
    same = place(ref_of(*one, key)) == place(ref_of(*other, other_key))
    assert same == (one == other)


@given(DOCUMENTS, KEYS)
def test_attempts_of_one_document_differ_wherever_its_name_is_cut(document: tuple[str, int, int], key: str) -> None:
    uid, ordinal, attempt = document
    assert place(ref_of(uid, ordinal, attempt, key)) != place(ref_of(uid, ordinal, attempt + 1, key))


@given(DOCUMENTS, KEYS)
def test_an_id_tells_its_ordinal(document: tuple[str, int, int], key: str) -> None:
    uid, ordinal, _ = document
    assert refs.ordinal(ref_of(*document, key), refs.stem("scan", uid)) == ordinal


@given(DOCUMENTS, KEYS)
def test_results_are_under_the_prefix_that_is_reported(document: tuple[str, int, int], key: str) -> None:
    assert place(ref_of(*document, key)).startswith(refs.results_uri(job="scan", uid=document[0], ref_type="OCR"))
