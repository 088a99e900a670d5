"""What an attempt says against what was shown before: every attempt tells the whole answer, nobody reads it twice.

Pure. An attempt begins behind what followers have seen of earlier ones. As long as it says the same, there is
nothing to show; where it leaves that, what was shown is replaced; beyond it, it is simply more text.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class More:
    """Show this behind what is shown."""

    text: str


@dataclass(frozen=True, slots=True)
class Instead:
    """Show this, and nothing of what was shown."""

    text: str


class Telling:
    """The answer as the present attempt has said it so far."""

    def __init__(self, shown: str = "") -> None:
        self._shown = shown
        """What followers see, while the attempt is still behind it; empty afterwards."""
        self._pieces: list[str] = []
        self.chars = 0

    @property
    def text(self) -> str:
        """Everything said."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def say(self, piece: str) -> More | Instead | None:
        """The next piece; what followers must be shown now, if anything."""
        if not piece:
            return None
        begin, self.chars = self.chars, self.chars + len(piece)
        self._pieces.append(piece)
        if begin >= len(self._shown):
            return More(piece)
        known = self._shown[begin : self.chars]
        if not piece.startswith(known):
            self._shown = ""
            return Instead(self.text)
        rest = piece[len(known) :]
        return More(rest) if rest else None

    def rewind(self, chars: int) -> None:
        """Only the first `chars` characters of what was said stand. Nothing is shown before it differs."""
        text = self.text
        if chars >= len(text):
            return
        self._shown = text if len(text) >= len(self._shown) else self._shown
        self._pieces, self.chars = [text[: max(0, chars)]], max(0, chars)

    def again(self) -> None:
        """The next attempt begins: it tells everything from the beginning."""
        self.rewind(0)
