"""Every attempt tells the whole answer; followers read nothing twice and see in the end what was said."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.telling import Instead, More, Telling

pieces = st.lists(st.text(alphabet="ab ", max_size=4), max_size=8)


class Follower:
    """Sees what is shown."""

    def __init__(self, text: str = "") -> None:
        self.text = text
        self.replacements = 0

    def see(self, change: More | Instead | None) -> None:
        if isinstance(change, More):
            self.text += change.text
        elif isinstance(change, Instead):
            self.text = change.text
            self.replacements += 1


def test_a_first_attempt_is_simply_shown() -> None:
    telling = Telling()
    assert telling.say("Hello ") == More("Hello ")
    assert telling.say("there") == More("there")
    assert (telling.text, telling.chars) == ("Hello there", 11)


def test_what_was_shown_is_not_shown_again() -> None:
    telling = Telling("Hello th")
    assert telling.say("Hello ") is None
    assert telling.say("there") == More("ere")


def test_what_differs_takes_the_place_of_what_was_shown() -> None:
    telling = Telling("Hello there")
    assert telling.say("Hello ") is None
    assert telling.say("you") == Instead("Hello you")
    assert telling.say("!") == More("!")


def test_nothing_is_shown_for_nothing() -> None:
    assert Telling("x").say("") is None


def test_after_a_rewind_the_same_words_change_nothing() -> None:
    telling = Telling()
    telling.say("one two three")
    telling.rewind(4)
    assert telling.say("two ") is None
    assert telling.say("four") == Instead("one two four")


def test_a_rewind_beyond_the_end_or_before_the_beginning_is_harmless() -> None:
    telling = Telling()
    telling.say("abc")
    telling.rewind(99)
    assert telling.text == "abc"
    telling.rewind(-1)
    assert telling.text == ""


@given(attempts=st.lists(pieces, min_size=1, max_size=4), shown=st.text(alphabet="ab ", max_size=10))
def test_followers_end_with_what_the_last_attempt_said(attempts: list[list[str]], shown: str) -> None:
    telling, follower = Telling(shown), Follower(shown)
    for attempt in attempts:
        telling.again()
        for piece in attempt:
            follower.see(telling.say(piece))
    said = "".join(attempts[-1])
    assert telling.text == said
    assert follower.text.startswith(said), "what is left behind it is replaced by the final message"


@given(said=pieces, upto=st.integers(0, 40))
def test_an_attempt_that_repeats_a_part_of_what_was_shown_replaces_nothing(
    said: list[str], upto: int
) -> None:
    whole = "".join(said)
    telling, follower = Telling(whole[:upto]), Follower(whole[:upto])
    for piece in said:
        follower.see(telling.say(piece))
    assert (follower.text, follower.replacements) == (whole, 0)
