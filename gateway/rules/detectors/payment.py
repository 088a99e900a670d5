"""Numbers of accounts and cards.

IBAN: ISO 13616-1 with the country's length (SWIFT registry, release 99, read 2026-11) and the check of ISO/IEC 7064
MOD 97-10. Cards: ISO/IEC 7812-1 with the Luhn check, a known issuer's range and its length, in one piece or in the
groups that are printed on cards.
"""

import re
from collections.abc import Iterator
from typing import Final

from gateway.rules.detectors.finding import Finding

_IBAN_START: Final = re.compile(r"(?<![^\W_])[A-Za-z]{2}\d\d")
_IBAN_REST: Final = re.compile(r"(?:[ -]?[A-Za-z0-9])+")
_IBAN_COUNTRIES: Final = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
_IBAN_LENGTHS: Final = {
    country: length for length, countries in _IBAN_COUNTRIES.items() for country in countries.split()
}
_IBAN_CHARS: Final = 68
"""The longest with a blank after every character."""

_GROUPS: Final = re.compile(r"\d++(?:[ -]\d++)*+")
_GROUP: Final = re.compile(r"\d+")
_CARD_SHAPES: Final = frozenset({(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4)})
"""How card numbers are written in groups."""
_CARD_DIGITS: Final = range(13, 20)
_ISSUERS: Final = (
    # (first digits: from, to), lengths
    (("4", "4"), {13, 16, 19}),  # Visa
    (("51", "55"), {16}),  # Mastercard
    (("2221", "2720"), {16}),
    (("34", "34"), {15}),  # American Express
    (("37", "37"), {15}),
    (("6011", "6011"), {16, 19}),  # Discover
    (("644", "659"), {16, 19}),
    (("300", "305"), {14}),  # Diners Club
    (("36", "36"), {14}),
    (("38", "39"), {14}),
    (("3528", "3589"), {16, 17, 18, 19}),  # JCB
    (("62", "62"), {16, 17, 18, 19}),  # UnionPay
    (("6759", "6759"), {16, 18, 19}),  # Maestro
    (("6761", "6763"), {16, 18, 19}),
)


def ibans(text: str) -> Iterator[Finding]:
    """IBANs. The value has no blanks and is in upper case."""
    floor = 0
    for start in _IBAN_START.finditer(text):
        length = _IBAN_LENGTHS.get(start.group()[:2].upper())
        if length is None or start.start() < floor:
            continue
        end = _iban_end(text, start.start(), length)
        value = "".join(char for char in text[start.start() : end] if char not in " -").upper()
        if len(value) == length and _is_checked(value):
            yield Finding(start.start(), end, "iban", value)
            floor = end


def _iban_end(text: str, start: int, length: int) -> int:
    """Where `length` characters end that are written from `start` on, with single blanks; `start`, when they do not."""
    found = _IBAN_REST.match(text, start, start + _IBAN_CHARS + 1)
    assert found is not None, "it begins with four of them"
    place, count = start, 0
    while count < length and place < found.end():
        count += text[place] not in " -"
        place += 1
    is_cut = place < len(text) and text[place].isalnum()
    return start if count < length or is_cut else place


def _is_checked(iban: str) -> bool:
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def cards(text: str) -> Iterator[Finding]:
    """Card numbers. The value is the digits."""
    for run in _GROUPS.finditer(text):
        if run.end() - run.start() >= _CARD_DIGITS.start:
            yield from _cards_in(text, run.start(), run.end())


def _cards_in(text: str, start: int, end: int) -> Iterator[Finding]:
    """Cards among groups of digits with single blanks or hyphens between them."""
    groups = [(one.start(), one.end()) for one in _GROUP.finditer(text, start, end)]
    first = 0
    while first < len(groups):
        last = _card_from(text, groups, first)
        if last is None:
            first += 1
            continue
        place, stop = groups[first][0], groups[last][1]
        yield Finding(place, stop, "card", _digits(text[place:stop]))
        first = last + 1


def _card_from(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last group of the card that begins with the group `first`."""
    begin = groups[first][0]
    if begin and (text[begin - 1].isalnum() or text[begin - 1] in "_." or _hangs_before(text, begin)):
        return None
    shape: list[int] = []
    for last in range(first, min(first + 5, len(groups))):
        shape.append(groups[last][1] - groups[last][0])
        if sum(shape) > _CARD_DIGITS.stop:
            return None
        stop = groups[last][1]
        is_whole = len(shape) == 1 or (tuple(shape) in _CARD_SHAPES and _is_even(text[begin:stop]))
        if is_whole and not _hangs_after(text, stop) and is_card(_digits(text[begin:stop])):
            return last
    return None


def _hangs_before(text: str, begin: int) -> bool:
    """Whether a hyphen ties the number to a word before it, as in a UUID."""
    return begin > 1 and text[begin - 1] == "-" and text[begin - 2].isalpha()


def _hangs_after(text: str, stop: int) -> bool:
    """Whether more of the same follows: letters, a fraction, a hyphen with something behind it."""
    after = text[stop : stop + 2]
    if not after:
        return False
    return (
        after[0].isalnum() or after[0] == "_" or (len(after) == 2 and after[0] in ".-" and after[1].isalnum())
    )


def _is_even(written: str) -> bool:
    """Whether one sort of separator was used."""
    return not (" " in written and "-" in written)


def is_card(digits: str) -> bool:
    """Whether digits are the number of a card: length, issuer and check."""
    is_issued = any(
        len(digits) in lengths and low <= digits[: len(low)] <= high for (low, high), lengths in _ISSUERS
    )
    if not is_issued:
        return False
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(one - 9 if one > 9 else one for one in doubled)) % 10 == 0


def _digits(written: str) -> str:
    return "".join(char for char in written if char not in " -")
