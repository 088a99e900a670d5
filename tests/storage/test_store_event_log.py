"""Reading a thread's log through its port: history in both directions, replay, search, what was said."""

import pytest
from store_stage import OTHER_ORG, Scene

from storage.values import DEFAULT_ORG, LogPage


@pytest.fixture
async def thread_id(scene: Scene) -> str:
    """A thread of 21 events: its making, then ten times a message and its run."""
    made = await scene.thread()
    for number in range(1, 11):
        await scene.say(f"message {number}", made)
    return made


def seqs(page: LogPage) -> list[int]:
    return [event.seq for event in page.events]


# --- history ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "expected", "more"),
    [
        ({}, [18, 19, 20, 21], True),
        ({"before": 22}, [18, 19, 20, 21], True),
        ({"before": 10}, [6, 7, 8, 9], True),
        ({"before": 5}, [1, 2, 3, 4], False),
        ({"before": 3}, [1, 2], False),
        ({"before": 1}, [], False),
        ({"after": 0}, [1, 2, 3, 4], True),
        ({"after": 10}, [11, 12, 13, 14], True),
        ({"after": 17}, [18, 19, 20, 21], False),
        ({"after": 20}, [21], False),
        ({"after": 21}, [], False),
        ({"after": 999}, [], False),
    ],
)
async def test_history_goes_both_ways_in_order(
    scene: Scene, thread_id: str, place: dict[str, int], expected: list[int], more: bool
) -> None:
    page = await scene.store.threads.history(DEFAULT_ORG, thread_id, limit=4, **place)
    assert (seqs(page), page.more) == (expected, more)
    assert (page.first_seq, page.head_seq) == (1, 21)


@pytest.mark.parametrize(
    ("place", "expected", "more"),
    [
        ({}, [16, 18, 20], True),
        ({"before": 7}, [2, 4, 6], False),
        ({"before": 9}, [4, 6, 8], True),
        ({"after": 0}, [2, 4, 6], True),
        ({"after": 15}, [16, 18, 20], False),
        ({"after": 16}, [18, 20], False),
    ],
)
async def test_history_of_some_kinds(
    scene: Scene, thread_id: str, place: dict[str, int], expected: list[int], more: bool
) -> None:
    kinds = frozenset({"message.created"})
    page = await scene.store.threads.history(DEFAULT_ORG, thread_id, limit=3, kinds=kinds, **place)
    assert (seqs(page), page.more) == (expected, more)
    assert {event.kind for event in page.events} == kinds


async def test_rare_kinds_are_found_however_far_away(scene: Scene) -> None:
    thread_id = await scene.thread()
    for number in range(80):
        await scene.say(f"m{number}", thread_id, queue_max=100)
    kinds = frozenset({"thread.created"})
    page = await scene.store.threads.history(DEFAULT_ORG, thread_id, limit=5, kinds=kinds)
    assert (seqs(page), page.more) == ([1], False)
    nothing = await scene.store.threads.history(
        DEFAULT_ORG, thread_id, limit=5, kinds=frozenset({"redacted"}), after=0
    )
    assert (seqs(nothing), nothing.more) == ([], False)


@pytest.mark.parametrize("limit", [1, 3, 7, 21, 50])
async def test_pages_put_together_are_the_log(scene: Scene, thread_id: str, limit: int) -> None:
    forwards, after, more = [], 0, True
    while more:
        page = await scene.store.threads.history(DEFAULT_ORG, thread_id, after=after, limit=limit)
        forwards, more = forwards + seqs(page), page.more
        after = forwards[-1]
    backwards, before, more = [], None, True
    while more:
        page = await scene.store.threads.history(DEFAULT_ORG, thread_id, before=before, limit=limit)
        backwards, more = seqs(page) + backwards, page.more
        before = backwards[0]
    assert forwards == backwards == list(range(1, 22))


# --- replay -----------------------------------------------------------------------------------------


async def test_replay_is_bounded_in_number(scene: Scene, thread_id: str) -> None:
    page = await scene.store.threads.replay(DEFAULT_ORG, thread_id, 5, 4, 10**9)
    assert (seqs(page), page.more) == ([6, 7, 8, 9], True)
    rest = await scene.store.threads.replay(DEFAULT_ORG, thread_id, 19, 4, 10**9)
    assert (seqs(rest), rest.more) == ([20, 21], False)
    beyond = await scene.store.threads.replay(DEFAULT_ORG, thread_id, 21, 4, 10**9)
    assert (seqs(beyond), beyond.more, beyond.head_seq) == ([], False, 21)


async def test_replay_is_bounded_in_size(scene: Scene, thread_id: str) -> None:
    every = (await scene.store.threads.replay(DEFAULT_ORG, thread_id, 0, 50, 10**9)).events
    sizes = [len(event.params) for event in every]
    exactly = await scene.store.threads.replay(DEFAULT_ORG, thread_id, 0, 50, sum(sizes[:3]))
    assert (seqs(exactly), exactly.more) == ([1, 2, 3], True)
    a_byte_less = await scene.store.threads.replay(DEFAULT_ORG, thread_id, 0, 50, sum(sizes[:3]) - 1)
    assert seqs(a_byte_less) == [1, 2]
    one_at_least = await scene.store.threads.replay(DEFAULT_ORG, thread_id, 0, 50, 1)
    assert (seqs(one_at_least), one_at_least.more) == ([1], True)


async def test_replay_and_history_give_the_same_bytes(scene: Scene, thread_id: str) -> None:
    history = await scene.store.threads.history(DEFAULT_ORG, thread_id, after=0, limit=50)
    replay = await scene.store.threads.replay(DEFAULT_ORG, thread_id, 0, 50, 10**9)
    assert replay.events == history.events


# --- search -----------------------------------------------------------------------------------------


async def found(scene: Scene, query: str, thread_id: str | None = None) -> list[int]:
    matches, cursor = await scene.store.threads.search(DEFAULT_ORG, query, thread_id, 50, None)
    assert cursor is None
    return [match.seq for match in matches]


async def test_search_finds_every_word_newest_first(scene: Scene) -> None:
    thread_id = await scene.thread("Garden")
    for text in ("apples and pears", "only apples", "pears, then APPLES", "nothing"):
        await scene.say(text, thread_id)
    assert await found(scene, "apples pears") == [6, 2]
    assert await found(scene, "pears apples") == [6, 2]
    (newest, _), _ = await scene.store.threads.search(DEFAULT_ORG, "apples pears", None, 50, None)
    assert (newest.thread_id, newest.title) == (thread_id, "Garden")
    assert newest.snippet == "**pears**, then **APPLES**"


async def test_the_last_word_may_be_a_beginning(scene: Scene) -> None:
    thread_id = await scene.thread()
    await scene.say("internationalization matters", thread_id)
    assert await found(scene, "intern") == [2]
    assert await found(scene, "matters intern") == [2]
    assert await found(scene, "intern matters") == [], "only the last one"
    assert await found(scene, "nationalization") == [], "and only a beginning"


@pytest.mark.parametrize(
    "query",
    [
        "AND", "apples AND pears", "NOT apples", "apples OR nothing", "NEAR(apples pears)", "text:apples",
        "(apples", "apples)", '"apples', 'app"les', "apples*", "*", "^apples", "-apples", "+", "apples -",
        "' OR 1=1 --", "{text}: apples", "apples\x00pears", "\x00", "…", "🍎", "a" * 200, "  ", "\\", "%",
    ],
)  # fmt: skip
async def test_nothing_in_a_query_is_an_operator(scene: Scene, query: str) -> None:
    thread_id = await scene.thread()
    await scene.say("apples here", thread_id)
    await scene.say("pears there", thread_id)
    assert len(await found(scene, query)) <= 1, "no operator widens or breaks a search"


async def test_words_that_look_like_operators_are_words(scene: Scene) -> None:
    thread_id = await scene.thread()
    await scene.say("apples OR pears", thread_id)
    await scene.say("apples", thread_id)
    assert await found(scene, "apples OR") == [2]
    assert await found(scene, "apples OR pears") == [2]
    assert await found(scene, "c++ apples") == []


async def test_search_is_paged(scene: Scene) -> None:
    thread_id = await scene.thread()
    for number in range(5):
        await scene.say(f"word {number}", thread_id)
    seen, cursor = [], None
    for _ in range(3):
        matches, cursor = await scene.store.threads.search(DEFAULT_ORG, "word", None, 2, cursor)
        seen += [match.seq for match in matches]
    assert (seen, cursor) == ([10, 8, 6, 4, 2], None)


async def test_search_stays_in_its_thread_and_organization(scene: Scene) -> None:
    here, there = await scene.thread(), await scene.thread()
    await scene.say("word", here)
    await scene.say("word", there)
    await scene.say("word", org_id=OTHER_ORG)
    everywhere, _ = await scene.store.threads.search(DEFAULT_ORG, "word", None, 50, None)
    assert [match.thread_id for match in everywhere] == [there, here]
    only_here, _ = await scene.store.threads.search(DEFAULT_ORG, "word", here, 50, None)
    assert [match.thread_id for match in only_here] == [here]


async def test_answers_are_found_too_and_text_of_all_parts(scene: Scene) -> None:
    parts = [{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]
    sent = await scene.say("first\nsecond", content=parts)
    await scene.answer(await scene.claim(sent.thread_id), "the reply")
    assert await found(scene, "first second", sent.thread_id) == [sent.seq]
    assert len(await found(scene, "reply", sent.thread_id)) == 1


# --- what was said ----------------------------------------------------------------------------------


async def test_agents_read_the_last_messages_up_to_a_place(scene: Scene) -> None:
    first = await scene.say("question")
    await scene.answer(await scene.claim(first.thread_id), "answer")
    second = await scene.say("another", first.thread_id)
    await scene.say("not yet to be read", first.thread_id)
    said = await scene.store.threads.said(first.thread_id, second.seq, 10)
    assert [(line.role, line.text) for line in said] == [
        ("user", "question"),
        ("assistant", "answer"),
        ("user", "another"),
    ]
    last = await scene.store.threads.said(first.thread_id, second.seq, 2)
    assert [line.text for line in last] == ["answer", "another"]


async def test_a_page_of_history_has_a_largest_size(scene: Scene) -> None:
    thread_id = await scene.thread()
    for number in range(4):
        await scene.say(str(number) * 200_000, thread_id)
    seen: list[int] = []
    more, after = True, 0
    while more:
        page = await scene.store.threads.history(DEFAULT_ORG, thread_id, after=after, limit=500)
        assert page.events, "one at least, however large"
        assert len(page.events) == 1 or sum(len(event.params) for event in page.events) <= 512 * 1024
        seen += seqs(page)
        more, after = page.more, seen[-1]
    assert seen == list(range(1, page.head_seq + 1))
    newest = await scene.store.threads.history(DEFAULT_ORG, thread_id, limit=500)
    assert seqs(newest)[-1] == page.head_seq
    assert newest.more
