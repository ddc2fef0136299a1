"""The executor of the recordings, steered by reference ids."""

from marie_operator.testing.gateway import NEVER, Document, Outcome


def wire_executor(document: Document) -> Outcome:
    """What the recordings' executor makes of a reference id such as ``x__t=8__fail=1``."""
    options = dict(option.split("=") for option in document.ref_id.split("__")[1:])
    return Outcome(float(options.get("t", 0.3)), NEVER if "fail" in options else 0)
