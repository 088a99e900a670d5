"""Reading an answer: however the bytes are cut, it says the same."""

from itertools import pairwise

from completions_stage import END, USAGE, chunk
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents.completions import StreamedAnswer

TEXTS = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(marks)]


@given(texts=TEXTS, line_end=LINE_ENDS, places=st.lists(st.integers(0, 10_000), max_size=12))
def test_the_answer_does_not_depend_on_how_its_bytes_arrive(
    texts: list[str], line_end: str, places: list[int]
) -> None:
    events = "".join([": hello\n\n", *(chunk(text) for text in texts), chunk(finish="stop"), USAGE, END])
    answer = StreamedAnswer()
    said: list[str] = []
    for piece in cut(events.replace("\n", line_end).encode(), places):
        said += answer.feed(piece)
    if any(text.strip() for text in texts):
        answer.end()
    assert "".join(said) == answer.text == "".join(texts)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 3)


def test_what_follows_the_end_is_not_said() -> None:
    answer = StreamedAnswer()
    assert answer.feed((chunk("a") + END + chunk("b")).encode()) == ["a"]
    assert answer.feed(chunk("c").encode()) == []


def test_data_over_several_lines_are_one_event() -> None:
    answer = StreamedAnswer()
    said = answer.feed(
        b'event: x\nid: 1\ndata: {"choices":\ndata: [{"delta": {"content": "a"}}]}\n\n' + END.encode()
    )
    assert said == ["a"]
