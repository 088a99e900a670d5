"""What people do with apps: press buttons, fill in modals, run commands, open the home; and what answers do.

Pure. Payloads follow https://docs.slack.dev/reference/interaction-payloads. The answer to a submission or a
command is the acknowledgement itself; answers to a `response_url` come without a token.
"""

from collections.abc import Mapping
from contextlib import suppress

from channels.emulators.errors import ControlError
from channels.emulators.slack import events
from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.blocks import elements_of
from channels.emulators.slack.chat import Content
from channels.emulators.slack.deliveries import Delivery
from channels.emulators.slack.modals import checked_view, close_view, replace_view, show_view
from channels.emulators.slack.people import live_message
from channels.emulators.slack.records import (
    AgentThread,
    Bot,
    Channel,
    Json,
    Message,
    Person,
    ResponseUrl,
    View,
)
from channels.emulators.slack.refusals import Refusal
from channels.emulators.slack.showing import view_view
from channels.emulators.slack.wire import message_to_wire, view_to_wire
from channels.emulators.slack.world import World

VIEW_STACK_MAX = 3


def press(
    world: World, channel: Channel, ts: str, action_id: str, user: Person, option: str | None = None
) -> Delivery:
    """Press a button, or choose an option of a menu. Raises ControlError when it is not there to be seen."""
    message = channel.ephemerals.get(ts)
    if message is None or message.ephemeral_to != user.id or message.deleted_at is not None:
        message = live_message(channel, ts)
    if message.bot is None:
        raise ControlError("there is no such button")
    world.add_person(channel.team, user)
    block, element = _element(message.blocks, action_id)
    bot = message.bot
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": channel.id,
        "is_ephemeral": message.ephemeral_to is not None,
    }
    if message.thread_ts:
        container["thread_ts"] = message.thread_ts
    payload = {
        **_interaction(world, bot, "block_actions", user),
        "container": container,
        "trigger_id": world.new_trigger(bot, user.id).id,
        "channel": {"id": channel.id, "name": channel.name or "directmessage"},
        "state": {"values": {}},
        "response_url": _address(world, world.new_response_url(bot, channel, user.id, message)),
        "actions": [_action(world, block, element, option)],
    }
    if message.ephemeral_to is None:
        payload["message"] = message_to_wire(channel, message, world.base_url)
    world.note("pressed", channel, lambda: {"ts": ts, "action_id": action_id, "user": user.id})
    return world.interact(bot, "interactive", payload)


def submit(world: World, view: View, values: Mapping[str, str | Json]) -> Delivery:
    """Submit a modal; `values` are texts or whole states by action id. Raises ControlError."""
    if not view.is_open or view.content["type"] != "modal":
        raise ControlError(f"{view.id} is not an open modal")
    state: dict[str, Json] = {}
    for block, element in elements_of(view.content["blocks"]):
        given = values.get(element["action_id"])
        if isinstance(given, dict):
            shown: Json = {"type": element["type"], **given}
        else:
            shown = {"type": element["type"], "value": given if given is None else str(given)}
        state.setdefault(block["block_id"], {})[element["action_id"]] = shown
    if unknown := set(values) - {one for block in state.values() for one in block}:
        raise ControlError(f"no input {min(unknown)} in {view.id}")
    view.content = {**view.content, "state": {"values": state}}
    person = world.people[(view.bot.team.id, view.user)]
    payload = {
        **_interaction(world, view.bot, "view_submission", person),
        "trigger_id": world.new_trigger(view.bot, view.user).id,
        "view": view_to_wire(view),
        "response_urls": [],
    }
    return world.interact(view.bot, "interactive", payload)


def dismiss(world: World, view: View) -> Delivery | None:
    """Close a modal without submitting; the app hears of it when it asked to. Raises ControlError."""
    if not view.is_open or view.content["type"] != "modal":
        raise ControlError(f"{view.id} is not an open modal")
    close_view(world, view)
    if not view.content.get("notify_on_close"):
        return None
    person = world.people[(view.bot.team.id, view.user)]
    payload = {
        **_interaction(world, view.bot, "view_closed", person),
        "view": view_to_wire(view),
        "is_cleared": False,
    }
    return world.interact(view.bot, "interactive", payload)


def run_command(world: World, bot: Bot, channel: Channel, user: Person, command: str, text: str) -> Delivery:
    """Run a slash command. Raises ControlError when the app has none."""
    if "commands" not in bot.scopes or not command.startswith("/"):
        raise ControlError(f"{command} is not a command of {bot.app.name}")
    world.add_person(channel.team, user)
    payload = {
        "token": bot.app.verification_token,
        "team_id": bot.team.id,
        "team_domain": bot.team.domain,
        "channel_id": channel.id,
        "channel_name": channel.name or "directmessage",
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": bot.app.id,
        "is_enterprise_install": "false",
        "response_url": _address(world, world.new_response_url(bot, channel, user.id)),
        "trigger_id": world.new_trigger(bot, user.id).id,
    }
    return world.interact(bot, "slash_commands", payload)


def open_home(world: World, bot: Bot, user: Person, tab: str, entities: list[Json] | None) -> Channel:
    """Open the app's home or its conversation; with an app of the older kind, a new thread in it."""
    world.add_person(bot.team, user)
    channel = world.direct(bot, user.id)
    if bot.app.messaging == "assistant" and tab == "messages":
        root = Message(world.next_ts(), world.now(), bot.user_id, "New Assistant Thread", [], bot)
        root.subtype = "assistant_app_thread"
        world.post(channel, root)
        channel.agent_threads[root.ts] = AgentThread(root.ts)
        events.assistant_started(world, bot, channel, user.id, root.ts)
    context = None if entities is None else {"entities": entities} if entities else {}
    events.home_opened(world, bot, channel, user.id, tab, context)
    return channel


def stop_session(world: World, bot: Bot, channel: Channel, thread_ts: str, user: Person) -> None:
    """Press Stop on a working agent: its stream ends, its session is told."""
    for ts in channel.replies.get(thread_ts, ()):
        message = channel.messages[ts]
        if message.stream is not None and message.stream.is_open and message.bot is bot:
            message.stream.is_open, message.stream.ended_by = False, "person"
            world.show("stream", channel, message)
    if events.hears(bot, "agent_session_stopped", None):
        where = {"channel": channel.id, "thread_ts": thread_ts, "user": user.id}
        world.emit(bot, {"type": "agent_session_stopped", **where, "event_ts": world.next_ts()})


def take_answer(world: World, delivery: Delivery) -> None:
    """Do what the acknowledgement of an interaction says; what makes no sense is shown to nobody."""
    answer = delivery.answer
    payload = delivery.payload
    if payload.get("type") == "view_submission":
        _answer_submission(world, world.views[payload["view"]["id"]], answer or {})
    elif delivery.kind == "slash_commands" and answer:
        key = payload["response_url"].partition("/response/")[2]
        with suppress(Refusal):
            respond(world, world.response_urls[key], answer)


def respond(world: World, target: ResponseUrl, body: Json) -> None:
    """An answer without a token: replace, delete or post. Raises Refusal."""
    if target.uses_left <= 0 or world.now() > target.expires_at:
        raise Refusal("expired_url", status=404)
    target.uses_left -= 1
    channel, bot = target.channel, target.bot
    shown = _message_at(channel, target.message_ts)
    if body.get("delete_original") and shown is not None:
        world.remove(channel, shown)
        return
    content = Content(Arguments(body))
    if body.get("replace_original") and shown is not None:
        before = message_to_wire(channel, shown, world.base_url)
        shown.mentions = content.mentions
        world.revise(channel, shown, content.text, content.blocks, bot.user_id)
        if shown.ephemeral_to is None:
            events.changed(world, channel, shown, before)
        return
    message = Message(
        ts=world.next_ts(),
        at=world.now(),
        user=bot.user_id,
        text=content.text,
        blocks=content.blocks,
        bot=bot,
        thread_ts=body.get("thread_ts"),
        mentions=content.mentions,
    )
    if body.get("response_type", "ephemeral") != "in_channel":
        message.ephemeral_to = target.user
    world.post(channel, message)
    if message.ephemeral_to is None:
        events.said(world, channel, message)


def _answer_submission(world: World, view: View, answer: Json) -> None:
    action = answer.get("response_action")
    view.errors = {}
    try:
        if action == "errors":
            errors = answer.get("errors")
            if not isinstance(errors, dict):
                raise Refusal("invalid_arguments")
            view.errors = {str(key): str(value) for key, value in errors.items()}
            world.note("view", world.direct(view.bot, view.user), lambda: view_view(view))
        elif action == "update":
            replace_view(world, view, checked_view(answer.get("view"), "modal"))
        elif action == "push":
            stack = [one for one in world.views.values() if one.root_id == view.root_id and one.is_open]
            if len(stack) < VIEW_STACK_MAX:
                show_view(world, view.bot, view.user, checked_view(answer.get("view"), "modal"), view)
        elif action == "clear":
            for one in list(world.views.values()):
                if one.root_id == view.root_id and one.is_open:
                    close_view(world, one)
        else:
            close_view(world, view)
    except Refusal as refusal:
        # The person sees that something went wrong; the app is not told.
        view.errors = {"": refusal.error}


def _message_at(channel: Channel, ts: str | None) -> Message | None:
    message = channel.ephemerals.get(ts or "") or channel.messages.get(ts or "")
    return None if message is None or message.deleted_at is not None else message


def _interaction(world: World, bot: Bot, kind: str, user: Person) -> Json:
    return {
        "type": kind,
        "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": bot.team.id},
        "api_app_id": bot.app.id,
        "token": bot.app.verification_token,
        "team": {"id": bot.team.id, "domain": bot.team.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _element(blocks: list[Json], action_id: str) -> tuple[Json, Json]:
    for block, element in elements_of(blocks):
        if element["action_id"] == action_id:
            return block, element
    raise ControlError("there is no such button")


def _action(world: World, block: Json, element: Json, option: str | None) -> Json:
    wanted = ("action_id", "type", "text", "value", "style")
    action = {name: element[name] for name in wanted if name in element}
    if options := element.get("options"):
        chosen = next((one for one in options if one["value"] == option), None)
        if chosen is None:
            raise ControlError(f"no option {option}")
        action["selected_option"] = chosen
    return {**action, "block_id": block["block_id"], "action_ts": world.next_ts()}


def _address(world: World, response_url: ResponseUrl) -> str:
    return f"{world.base_url}/response/{response_url.key}"
