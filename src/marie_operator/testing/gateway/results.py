"""What an executor stores for a document, as Marie's own pipeline does: a folder for each reference id."""

import json
from collections.abc import Mapping

from marie_operator.testing.gateway.outcome import Document


def results(document: Document) -> Mapping[str, bytes]:
    """The objects of a document, by their key in Marie's bucket.

    The folder is named by the type and by what precedes the first dot of the id, both in lower case.
    """
    name = document.ref_id.rpartition("/")[2]
    stem = name.partition(".")[0]
    kind = str(document.metadata.get("ref_type") or "").replace("/", "_").lower()
    folder = f"{kind}/{stem.lower()}"
    pages = [{"page": 0, "lines": [f"text of {document.uri}"]}]
    meta = {"ref_id": document.ref_id, "ref_type": document.metadata.get("ref_type"), "pages": len(pages)}
    return {
        f"{folder}/results/{stem}.json": json.dumps(pages).encode(),
        f"{folder}/{name}.meta.json": json.dumps(meta).encode(),
    }
