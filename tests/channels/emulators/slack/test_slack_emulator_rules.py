"""The rules without a network: who is notified, who hears of what, and the ladder of repetitions."""

import pytest
from slack_emulator_stage import ADA, HASTY, Clock

from channels.emulators.slack import AppAccount, ControlError, DeliveryState, Installed, Person, SlackEmulator
from channels.emulators.slack.deliveries import Deliveries, Timing
from channels.emulators.slack.mentions import marks_in, marks_in_blocks, marks_in_markdown

BOB = Person("U0BOB", "bob")


def network(**app: object) -> SlackEmulator:
    made = SlackEmulator([AppAccount(**app)], clock=Clock(), timing=HASTY)  # type: ignore[arg-type]
    made.open_channel("general")
    return made


def event_types(emulator: SlackEmulator) -> list[str]:
    events = [one.payload["event"] for one in emulator.undelivered()]
    return [event.get("subtype", event["type"]) for event in events]


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("<!channel> and <!here|here>", ("!channel", "!here")),
        ("<@U0ADA> <@U0ADA|ada>", ("U0ADA",)),
        ("<!subteam^S123|@ops>", ("!subteam^S123",)),
        ("&lt;!channel&gt; &lt;@U0ADA&gt; @channel <https://x.y>", ()),
        ("`<!here>`", ("!here",)),
    ],
)
def test_markup_mentions_unless_it_is_escaped(text: str, marks: tuple[str, ...]) -> None:
    assert marks_in(text) == marks


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("hello <!channel>", ("!channel",)),
        ("`<!channel>`", ()),
        ("```\n<@U0ADA>\n```\n<!here>", ("!here",)),
        ("~~~py\n<@U0ADA>\n", ()),
        ("a ` b <!here>", ("!here",)),
    ],
)
def test_markdown_mentions_outside_of_code(text: str, marks: tuple[str, ...]) -> None:
    assert marks_in_markdown(text) == marks


def test_blocks_mention_in_markup_and_rich_text_but_not_in_plain_text() -> None:
    blocks = [
        {"type": "section", "text": {"type": "mrkdwn", "text": "<@U0ADA>"}},
        {"type": "header", "text": {"type": "plain_text", "text": "<!channel>"}},
        {
            "type": "rich_text",
            "elements": [
                {
                    "type": "rich_text_section",
                    "elements": [
                        {"type": "text", "text": "<@U0BOB>"},
                        {"type": "broadcast", "range": "here"},
                    ],
                }
            ],
        },
    ]

    assert marks_in_blocks(blocks) == ("U0ADA", "!here")


def test_what_a_person_types_becomes_markup() -> None:
    emulator = network()
    channel = emulator.channel("general")

    message = emulator.say("a < b & @threadgate see #general @nobody", channel="general")

    bot = emulator.bot()
    assert message.text == f"a &lt; b &amp; <@{bot.user_id}> see <#{channel.id}|general> @nobody"
    assert message.mentions == (bot.user_id,)


def test_a_mention_is_a_second_event_about_the_same_message() -> None:
    emulator = network()

    message = emulator.say("@threadgate hello", channel="general")

    first, second = (one.payload for one in emulator.undelivered())
    assert (first["event"]["type"], second["event"]["type"]) == ("message", "app_mention")
    assert first["event"]["ts"] == second["event"]["ts"] == message.ts
    assert first["event_id"] != second["event_id"]
    assert first["authorizations"][0]["user_id"] == emulator.bot().user_id


def test_in_a_direct_conversation_there_is_no_app_mention() -> None:
    emulator = network()

    emulator.say("@threadgate hello")

    assert event_types(emulator) == ["message"]
    assert emulator.undelivered()[0].payload["event"]["channel_type"] == "im"


def test_an_app_hears_only_of_channels_it_is_in() -> None:
    emulator = network()
    emulator.open_channel("elsewhere", with_bots=False)

    emulator.say("@threadgate hello", channel="elsewhere")

    assert emulator.undelivered() == []


@pytest.mark.parametrize(
    "app", [{"scopes": frozenset({"app_mentions:read"})}, {"events": frozenset({"app_mention"})}]
)
def test_an_event_needs_its_scope_and_its_subscription(app: dict[str, object]) -> None:
    emulator = network(**app)

    emulator.say("@threadgate hello", channel="general")

    assert event_types(emulator) == ["app_mention"]


def test_edits_deletions_reactions_and_arrivals_are_events() -> None:
    emulator = network()
    message = emulator.say("hello", channel="general")
    emulator.edit("general", message.ts, "hello all")
    emulator.react("general", message.ts, ":tada:", user=BOB)
    emulator.react("general", message.ts, "tada", user=BOB, is_added=False)
    emulator.delete("general", message.ts)
    emulator.say("hi", user=BOB, channel="general")

    assert event_types(emulator) == [
        *("message", "message_changed", "reaction_added", "reaction_removed", "message_deleted"),
        *("member_joined_channel", "message"),
    ]
    change = emulator.undelivered()[1].payload["event"]
    assert (change["previous_message"]["text"], change["message"]["text"]) == ("hello", "hello all")


def test_a_reply_to_a_reply_belongs_to_the_root() -> None:
    emulator = network()
    root = emulator.say("root", channel="general")
    reply = emulator.say("reply", channel="general", thread_ts=root.ts)

    second = emulator.say("again", channel="general", thread_ts=reply.ts)

    assert second.thread_ts == root.ts


def test_people_cannot_change_what_is_not_theirs_or_not_there() -> None:
    emulator = network()
    message = emulator.say("hello", channel="general")
    emulator.delete("general", message.ts)

    with pytest.raises(ControlError, match="no message"):
        emulator.edit("general", message.ts, "again")
    with pytest.raises(ControlError, match="no channel"):
        emulator.say("hello", channel="nowhere")


def test_timestamps_grow_although_the_clock_stands_still() -> None:
    emulator = network()

    stamps = [emulator.say("hello", channel="general").ts for _ in range(3)]

    assert stamps == ["1800000000.000000", "1800000000.000001", "1800000000.000002"]


def test_the_home_of_an_agent_and_of_an_older_app_open_differently() -> None:
    agent, older = network(), network(messaging="assistant")

    for emulator in (agent, older):
        emulator.open_home()
        emulator.look_at([{"type": "slack#/types/channel_id", "value": "C1"}])

    assert event_types(agent) == ["app_home_opened", "app_context_changed"]
    assert event_types(older) == ["assistant_thread_started", "app_home_opened"]


def test_a_missed_event_is_repeated_three_times_and_then_lost() -> None:
    deliveries = Deliveries(Timing(ack_s=3.0, retries_s=(0.0, 60.0, 300.0)))
    owed = deliveries.add("A1", "events_api", {}, "Ev1")
    sent_at = []
    now = 1000.0

    for _ in range(2000):
        for delivery in deliveries.due(now):
            deliveries.sent(delivery, now)
            sent_at.append((now, delivery.attempt, delivery.retry_reason))
        now += 1.0

    assert sent_at == [(1000, 0, ""), (1003, 1, "timeout"), (1066, 2, "timeout"), (1369, 3, "timeout")]
    assert owed.state is DeliveryState.LOST
    assert (deliveries.tally.lost, deliveries.open()) == (1, [])
    assert len(set(owed.envelopes)) == 4


def test_an_acknowledgement_ends_the_repetitions_even_when_it_is_late() -> None:
    deliveries = Deliveries(Timing())
    owed = deliveries.add("A1", "events_api", {}, "Ev1")
    (delivery,) = deliveries.due(0.0)
    deliveries.sent(delivery, 0.0)
    first = delivery.envelope_id
    for again in deliveries.due(3.0):
        deliveries.sent(again, 3.0)

    assert deliveries.acknowledge("A2", first, None) is None
    assert deliveries.acknowledge("A1", first, None) is owed
    assert deliveries.due(1e9) == []
    assert deliveries.next_at() is None


@pytest.mark.parametrize("kind", ["interactive", "slash_commands"])
def test_what_a_person_waits_for_is_not_repeated(kind: str) -> None:
    deliveries = Deliveries(Timing())
    owed = deliveries.add("A1", kind, {})  # type: ignore[arg-type]
    for delivery in deliveries.due(0.0):
        deliveries.sent(delivery, 0.0)

    assert deliveries.due(3.0) == []
    assert owed.state is DeliveryState.LOST


def test_held_events_are_released_in_the_order_that_is_asked_for() -> None:
    emulator = network()
    emulator.hold_events()
    for text in "abc":
        emulator.say(text, channel="general")
    a, b, c = (one.id for one in emulator.undelivered())
    deliveries = emulator.world.deliveries

    assert deliveries.due(0.0) == []
    assert emulator.release_events([c, a]) == 2
    assert [one.id for one in deliveries.due(0.0)] == [c, a]
    assert emulator.release_events() == 1
    assert [one.id for one in deliveries.due(0.0)] == [b]


def test_redelivering_keeps_the_event_and_says_that_it_is_a_repetition() -> None:
    emulator = network()
    emulator.say("hello", channel="general")
    (first,) = emulator.undelivered()

    again = emulator.redeliver(first.event_id)

    assert again.payload == first.payload
    assert (again.event_id, again.attempt) == (first.event_id, 1)
    with pytest.raises(ControlError):
        emulator.redeliver("Ev-unknown")


def test_installations_need_different_tokens_and_addresses_must_be_local() -> None:
    with pytest.raises(ValueError, match="different tokens"):
        SlackEmulator(installed=[Installed(), Installed(team_id="T0000000001")])
    with pytest.raises(ValueError, match="loopback"):
        SlackEmulator([AppAccount(request_url="https://example.com/slack/events")])


def test_a_name_is_decoration_and_the_id_is_checked() -> None:
    emulator = network()

    with pytest.raises(ControlError, match="user ids"):
        emulator.say("hello", user=Person("ada", "ada"))
    with pytest.raises(ControlError, match="is a bot"):
        emulator.say("hello", user=Person(emulator.bot().user_id, "bot"))
    assert ADA.id == "U0ADA"
