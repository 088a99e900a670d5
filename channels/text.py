"""Plain text questions that every network asks: well-formed Unicode, length in a unit, visibility.

Pure functions on strings. Nothing here knows markup or a platform.
"""

import unicodedata

# Categories that leave nothing on a screen: control, format, and the three kinds of space.
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
# Letters and symbols by category that draw nothing all the same: Hangul fillers, the blank Braille pattern.
_INVISIBLE_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


def well_formed(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates, which no UTF-8 encoder accepts, with U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def utf16_length(text: str) -> int:
    """The length in UTF-16 code units: two for every character beyond the basic plane."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def is_visible(text: str) -> bool:
    """Whether showing `text` would show anything at all; platforms refuse messages that show nothing."""
    return any(
        character not in _INVISIBLE_LETTERS and unicodedata.category(character) not in _INVISIBLE_CATEGORIES
        for character in text
    )


def columns(text: str) -> int:
    """How many columns of a monospaced screen `text` takes: wide characters take two, marks and joiners none."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.combining(c) or unicodedata.category(c) == "Cf"
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )
