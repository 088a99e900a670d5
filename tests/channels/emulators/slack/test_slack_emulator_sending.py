"""The Web API with the unmodified client: what is sent, what is refused, what is read back."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from slack_emulator_stage import ADA, Clock, client_of, code_of
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from channels.emulators.slack import Person, SlackEmulator

Json = dict[str, Any]
META = {"event_type": "gate", "event_payload": {"op": "1"}}


def button(action_id: str = "go", text: str = "Go", **more: object) -> Json:
    return {"type": "button", "action_id": action_id, "text": {"type": "plain_text", "text": text}, **more}


def actions(*elements: Json, **more: object) -> Json:
    return {"type": "actions", "elements": list(elements), **more}


def section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


async def refused(call: Awaitable[object]) -> SlackApiError:
    with pytest.raises(SlackApiError) as caught:
        await call
    return caught.value


async def test_auth_test_names_the_bot_and_its_scopes(
    emulator: SlackEmulator, client: AsyncWebClient
) -> None:
    answer = await client.auth_test()

    bot = emulator.bot()
    assert (answer["user_id"], answer["bot_id"], answer["team_id"]) == (bot.user_id, bot.bot_id, bot.team.id)
    assert "chat:write" in answer.headers["x-oauth-scopes"].split(",")


async def test_a_message_is_posted_echoed_and_read_back_with_its_metadata(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    answer = await client.chat_postMessage(channel=general, text="hello", metadata=META)

    (delivery,) = emulator.undelivered()
    echo = delivery.payload["event"]
    assert (echo["metadata"], echo["app_id"]) == (META, emulator.bot().app.id)
    plain = await client.conversations_history(channel=general)
    full = await client.conversations_history(channel=general, include_all_metadata=True)
    assert [one["ts"] for one in plain["messages"]] == [answer["ts"]]
    assert "metadata" not in plain["messages"][0]
    assert full["messages"][0]["metadata"] == META


@pytest.mark.parametrize(
    ("token", "code"), [("", "not_authed"), ("xoxb-wrong", "invalid_auth"), ("app", "not_allowed_token_type")]
)
async def test_a_token_must_be_good(emulator: SlackEmulator, token: str, code: str) -> None:
    app_token = emulator.bot().app.app_token
    client = client_of(emulator, app_token if token == "app" else token)

    assert code_of(await refused(client.chat_postMessage(channel="C1", text="hello"))) == code


async def test_a_token_that_was_taken_away_says_so(emulator: SlackEmulator, client: AsyncWebClient) -> None:
    emulator.revoke_token()
    assert code_of(await refused(client.auth_test())) == "token_revoked"
    emulator.uninstall()
    assert code_of(await refused(client.auth_test())) == "account_inactive"
    kinds = [one.payload["event"]["type"] for one in emulator.undelivered()]
    assert kinds == ["tokens_revoked", "tokens_revoked", "app_uninstalled"]


async def test_a_missing_scope_is_named(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    emulator.remove_scope("reactions:write")
    message = emulator.say("hello", channel=general)

    error = await refused(client.reactions_add(channel=general, name="eyes", timestamp=message.ts))

    assert code_of(error) == "missing_scope"
    assert error.response["needed"] == "reactions:write"
    assert "chat:write" in error.response["provided"].split(",")


async def test_reading_back_needs_the_scope_of_the_kind_of_channel(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    emulator.set_scopes({"im:history"})
    direct = emulator.direct()

    assert (await client.conversations_history(channel=direct))["messages"] == []
    error = await refused(client.conversations_history(channel=general))
    assert (code_of(error), error.response["needed"]) == ("missing_scope", "channels:history")


async def test_a_channel_must_be_known_and_joined(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    emulator.open_channel("secret", kind="group", with_bots=False)
    secret = emulator.channel("secret").id
    emulator.leave(general, emulator.bot().user_id)

    for channel, code in (
        ("C9", "channel_not_found"),
        (secret, "channel_not_found"),
        (general, "not_in_channel"),
    ):
        assert code_of(await refused(client.chat_postMessage(channel=channel, text="hi"))) == code


async def test_a_person_as_the_target_means_the_direct_conversation(
    emulator: SlackEmulator, client: AsyncWebClient
) -> None:
    direct = emulator.direct(ADA)

    assert (await client.chat_postMessage(channel=ADA.id, text="hi"))["channel"] == direct
    assert (await client.conversations_open(users=[ADA.id]))["channel"]["id"] == direct


REFUSED_CONTENT: list[tuple[Json, str]] = [
    ({}, "no_text"),
    ({"text": "a", "markdown_text": "b"}, "markdown_text_conflict"),
    ({"markdown_text": "x" * 12_001}, "msg_too_long"),
    ({"blocks": [{"type": "nonsense"}]}, "invalid_blocks"),
    ({"blocks": [section("x" * 3_001)]}, "invalid_blocks"),
    ({"blocks": [section("")]}, "invalid_blocks"),
    ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
    ({"blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "a"}}]}, "invalid_blocks"),
    ({"blocks": [actions(button(text="x" * 76))]}, "invalid_blocks"),
    ({"blocks": [actions(button(value="x" * 2_001))]}, "invalid_blocks"),
    ({"blocks": [actions(button(style="loud"))]}, "invalid_blocks"),
    ({"blocks": [actions(button("a"), button("a"))]}, "invalid_blocks"),
    ({"blocks": [actions(button("a")), actions(button("a"))]}, "invalid_blocks"),
    ({"blocks": [actions(*(button(str(n)) for n in range(26)))]}, "invalid_blocks"),
    ({"blocks": [section("a") | {"block_id": "b"}, section("a") | {"block_id": "b"}]}, "invalid_blocks"),
    ({"blocks": [{"type": "markdown", "text": "x" * 12_001}]}, "invalid_blocks"),
    ({"blocks": [{"type": "markdown", "text": "x" * 6_001}] * 2}, "msg_blocks_too_long"),
    ({"blocks": [section("x" * 2_900)] * 5}, "msg_blocks_too_long"),
    ({"blocks": "{not json"}, "invalid_blocks_format"),
    ({"text": "a", "metadata": {"event_type": ""}}, "invalid_metadata_schema"),
    ({"text": "a", "thread_ts": "1.000001"}, "thread_not_found"),
]


@pytest.mark.parametrize(("content", "code"), REFUSED_CONTENT)
async def test_what_slack_would_refuse_is_refused_without_an_effect(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, content: Json, code: str
) -> None:
    error = await refused(client.api_call("chat.postMessage", json={"channel": general, **content}))

    assert code_of(error) == code
    assert emulator.messages(general) == []


async def test_a_refusal_says_where(client: AsyncWebClient, general: str) -> None:
    blocks = [section("a"), actions(button(text="x" * 76))]
    error = await refused(client.chat_postMessage(channel=general, text="a", blocks=blocks))

    (line,) = error.response["response_metadata"]["messages"]
    assert line == "[ERROR] must be less than 76 characters [json-pointer:/blocks/1/elements/0/text/text]"


async def test_what_is_just_within_the_limits_is_taken(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    blocks = [
        {"type": "markdown", "text": "x" * 12_000},
        actions(*(button(str(n), "x" * 20) for n in range(25))),
        {"type": "table", "rows": [[{"type": "raw_text", "text": "a"}] * 20] * 10},
    ]
    await client.chat_postMessage(channel=general, text="fallback", blocks=blocks)
    await client.chat_postMessage(channel=general, text="x" * 50_000)

    first, second = emulator.messages(general)
    assert [block["block_id"] for block in first.blocks] == ["b0", "b1", "b2"]
    assert len(second.text) == 40_000


async def test_escaped_text_notifies_nobody_and_the_rest_is_recorded(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    await client.chat_postMessage(channel=general, text="&lt;!channel&gt; @here", blocks=[section("`ok`")])
    await client.chat_postMessage(channel=general, text="<!here>", blocks=[section("<@U0ADA>")])
    await client.chat_postMessage(channel=general, markdown_text="`<!here>` <!everyone>")
    await client.chat_postMessage(channel=general, text="@channel", link_names=True)
    attachments = [{"text": "<!here>", "blocks": [section("<@U0ADA>")]}]
    await client.chat_postMessage(channel=general, text="old style", attachments=attachments)

    quiet, loud, markdown, named, attached = emulator.messages(general)
    assert quiet.mentions == ()
    assert loud.mentions == ("!here", "U0ADA")
    assert markdown.mentions == ("!everyone",)
    assert named.mentions == ("!channel",)
    assert attached.mentions == ("!here", "U0ADA")


async def test_an_update_without_blocks_and_metadata_takes_them_away(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    posted = await client.chat_postMessage(
        channel=general, text="a", blocks=[actions(button())], metadata=META
    )
    await client.chat_update(channel=general, ts=posted["ts"], text="done")

    (message,) = emulator.messages(general)
    assert (message.text, message.blocks, message.metadata) == ("done", [], None)
    assert message.edits[0].text == "a"
    error = await refused(client.chat_update(channel=general, ts=posted["ts"], text="x" * 4_001))
    assert code_of(error) == "msg_too_long"


async def test_only_own_messages_can_be_changed_or_deleted(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    theirs = emulator.say("mine", channel=general)
    own = await client.chat_postMessage(channel=general, text="own")

    calls: list[tuple[Awaitable[object], str]] = [
        (client.chat_update(channel=general, ts=theirs.ts, text="x"), "cant_update_message"),
        (client.chat_delete(channel=general, ts=theirs.ts), "cant_delete_message"),
        (client.chat_update(channel=general, ts="1.000001", text="x"), "message_not_found"),
    ]
    for call, code in calls:
        assert code_of(await refused(call)) == code
    await client.chat_delete(channel=general, ts=own["ts"])
    assert code_of(await refused(client.chat_delete(channel=general, ts=own["ts"]))) == "message_not_found"
    assert emulator.messages(general)[1].deleted_at is not None


async def test_an_ephemeral_message_is_for_one_person_and_not_in_the_history(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    await client.chat_postEphemeral(channel=general, user=ADA.id, text="psst")

    (message,) = emulator.ephemerals(general)
    assert (message.text, message.ephemeral_to) == ("psst", ADA.id)
    assert (await client.conversations_history(channel=general))["messages"] == []
    assert emulator.undelivered() == []
    error = await refused(client.chat_postEphemeral(channel=general, user="U0BOB", text="psst"))
    assert code_of(error) == "user_not_in_channel"


async def test_a_thread_is_read_from_its_root_on(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    root = emulator.say("root", channel=general)
    replies = [await client.chat_postMessage(channel=general, text=one, thread_ts=root.ts) for one in "abc"]

    first = await client.conversations_replies(channel=general, ts=root.ts, limit=2)
    rest = await client.conversations_replies(
        channel=general, ts=root.ts, limit=2, cursor=first["response_metadata"]["next_cursor"]
    )
    later = await client.conversations_replies(channel=general, ts=root.ts, oldest=replies[1]["ts"])

    assert [one["text"] for one in first["messages"]] == ["root", "a", "b"]
    assert first["messages"][0]["reply_count"] == 3
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert [one["text"] for one in rest["messages"]] == ["root", "c"]
    assert [one["text"] for one in later["messages"]] == ["root", "c"]
    history = await client.conversations_history(channel=general)
    assert [one["text"] for one in history["messages"]] == ["root"]
    error = await refused(client.conversations_replies(channel=general, ts="1.000001"))
    assert code_of(error) == "thread_not_found"


async def test_the_history_goes_back_from_the_newest_and_forward_from_oldest(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, clock: Clock
) -> None:
    stamps = []
    for text in "abcde":
        clock.now += 1
        stamps.append(emulator.say(text, channel=general).ts)

    async def texts(**arguments: Any) -> tuple[str, str]:
        page = await client.conversations_history(channel=general, **arguments)
        return "".join(one["text"] for one in page["messages"]), page["response_metadata"]["next_cursor"]

    assert (await texts(limit=2))[0] == "ed"
    assert (await texts(oldest=stamps[1]))[0] == "edc"
    assert (await texts(oldest=stamps[1], inclusive=True))[0] == "edcb"
    assert (await texts(latest=stamps[2], limit=10))[0] == "ba"
    page, cursor = await texts(oldest=stamps[0], limit=2)
    assert page == "cb"
    assert (await texts(oldest=stamps[0], limit=2, cursor=cursor))[0] == "ed"
    page, cursor = await texts(limit=2)
    emulator.say("f", channel=general)
    assert (await texts(limit=2, cursor=cursor))[0] == "cb"


async def test_a_deleted_root_leaves_a_tombstone_while_replies_hang_on_it(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    root = emulator.say("root", channel=general)
    emulator.say("reply", channel=general, thread_ts=root.ts)
    emulator.delete(general, root.ts)

    thread = await client.conversations_replies(channel=general, ts=root.ts)

    assert [one.get("subtype", one["text"]) for one in thread["messages"]] == ["tombstone", "reply"]


async def test_reactions_are_idempotent_by_their_errors(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    message = emulator.say("hello", channel=general)
    mark = {"channel": general, "timestamp": message.ts, "name": "eyes"}

    await client.reactions_add(**mark)
    assert code_of(await refused(client.reactions_add(**mark))) == "already_reacted"
    answer = await client.reactions_get(channel=general, timestamp=message.ts)
    assert answer["message"]["reactions"] == [{"name": "eyes", "users": [emulator.bot().user_id], "count": 1}]
    await client.reactions_remove(**mark)
    assert code_of(await refused(client.reactions_remove(**mark))) == "no_reaction"


async def test_people_places_and_apps_are_described(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    await client.conversations_open(users=ADA.id)
    user = (await client.users_info(user=ADA.id))["user"]
    bot = (await client.users_info(user=emulator.bot().user_id))["user"]
    listed = await client.conversations_list(types="public_channel,im")
    members = (await client.conversations_members(channel=general))["members"]

    assert (user["real_name"], user["is_bot"], bot["is_bot"]) == ("Ada", False, True)
    assert [one["is_im"] for one in listed["channels"]] == [False, True]
    assert set(members) == {ADA.id, emulator.bot().user_id}
    assert (await client.conversations_info(channel=general))["channel"]["name"] == "general"
    assert (await client.team_info())["team"]["domain"] == "acme"
    assert (await client.bots_info(bot=emulator.bot().bot_id))["bot"]["app_id"] == emulator.bot().app.id
    assert code_of(await refused(client.users_info(user="U9"))) == "user_not_found"


async def test_a_permalink_leads_into_the_thread(
    emulator: SlackEmulator, client: AsyncWebClient, general: str
) -> None:
    root = emulator.say("root", channel=general)
    reply = emulator.say("reply", channel=general, thread_ts=root.ts)

    link = (await client.chat_getPermalink(channel=general, message_ts=reply.ts))["permalink"]

    assert link.endswith(f"/p{reply.ts.replace('.', '')}?thread_ts={root.ts}&cid={general}")


async def test_status_title_and_prompts_are_shown_until_a_message_comes(
    emulator: SlackEmulator, client: AsyncWebClient, clock: Clock
) -> None:
    channel = emulator.direct()
    root = emulator.say("hello")
    where = {"channel_id": channel, "thread_ts": root.ts}
    await client.assistant_threads_setStatus(**where, status="is thinking", loading_messages=["…"])
    await client.assistant_threads_setTitle(**where, title="Greeting")
    await client.agents_sessions_setStatus(**where, status="processing")
    prompts = [{"title": "Help", "message": "What can you do?"}]
    await client.assistant_threads_setSuggestedPrompts(channel_id=channel, prompts=prompts)

    threads = emulator.channel(channel).agent_threads
    assert threads[root.ts].status == "is thinking"
    await client.chat_postMessage(channel=channel, thread_ts=root.ts, text="hi")
    assert (threads[root.ts].status, threads[root.ts].title) == ("", "Greeting")
    assert threads[root.ts].session_status == "processing"
    assert threads[""].prompts == prompts
    await client.assistant_threads_setStatus(**where, status="is thinking")
    clock.now += 121
    emulator.messages(channel)
    assert threads[root.ts].status == ""
    error = await refused(client.agents_sessions_rename(**where, title="x" * 201))
    assert code_of(error) == "invalid_arguments"


@pytest.mark.parametrize(("verb", "place"), [("GET", "params"), ("POST", "params"), ("POST", "data")])
async def test_arguments_come_in_a_query_or_a_form_with_the_token_among_them(
    emulator: SlackEmulator, general: str, verb: str, place: str, http: Any
) -> None:
    arguments = {"token": emulator.bot().token, "channel": general, "text": "hello", "blocks": "[]"}
    async with http.request(verb, f"{emulator.api_url}chat.postMessage", **{place: arguments}) as response:
        body = await response.json()

    assert body["ok"] is True
    assert emulator.calls.select("chat.postMessage")[0].arguments == {
        "channel": general,
        "text": "hello",
        "blocks": "[]",
    }


async def test_what_does_not_exist_is_unknown(client: AsyncWebClient) -> None:
    assert code_of(await refused(client.api_call("chat.nonsense"))) == "unknown_method"


async def test_rate_tiers_are_off_unless_asked_for(
    emulator: SlackEmulator, client: AsyncWebClient, general: str, clock: Clock
) -> None:
    async def post() -> object:
        return await client.chat_postMessage(channel=general, text="x")

    async def pour(call: Callable[[], Awaitable[object]], times: int) -> None:
        for _ in range(times):
            await call()

    await pour(post, 10)
    emulator.tiers.is_on = True
    await pour(post, 5)
    error = await refused(post())

    assert (error.response.status_code, code_of(error)) == (429, "ratelimited")
    assert error.response.headers["Retry-After"] == "5"
    clock.now += 5
    await post()
    assert len(emulator.messages(general)) == 16


async def test_two_people_are_two_direct_conversations(emulator: SlackEmulator) -> None:
    assert emulator.direct(ADA) == emulator.direct(ADA)
    assert emulator.direct(ADA) != emulator.direct(Person("U0BOB", "bob"))
