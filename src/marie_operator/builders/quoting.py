"""Which texts Marie reads as they stand in its configuration: it expands variables and tags, and guesses types."""

import re

# $NAME and ${...} are taken from the environment; !word is made a tag before the file is parsed (marie/jaml).
_EXPANDED = re.compile(r"\$[A-Za-z0-9_{]|!\w|[\x00-\x1f\x7f]")


ADVICE = (
    "choose a value that is no number, is not quoted, has no blanks at its ends, "
    "and has no $ or ! before a letter, digit or brace."
)
"""What to do about a text that does not survive."""


def survives(text: str) -> bool:
    """Whether a text, such as a user's name, a password or a key, reaches Marie as it is."""
    if not text or text != text.strip() or _EXPANDED.search(text) or text.lower() in {"true", "false"}:
        return False
    if text[0] in "'\"[" and text[-1] in "'\"]":
        return False
    return _is_plain(text)


def _is_plain(text: str) -> bool:
    """Whether a text is no number, or a number that is written as it was."""
    for number in (int, float):
        try:
            return str(number(text)) == text
        except ValueError:
            continue
    return True
