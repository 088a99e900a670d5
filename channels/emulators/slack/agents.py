"""`assistant.threads.*` and `agents.sessions.*`: status, titles, suggested prompts and session states.

Pure. https://docs.slack.dev/ai. With the agent experience prompts belong to the whole conversation and need no
thread; in the older experience every thread has its own.
"""

from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.lookups import joined_channel, thread_root
from channels.emulators.slack.records import AgentThread, Bot, Channel, Json
from channels.emulators.slack.refusals import Refusal
from channels.emulators.slack.showing import agent_thread_view
from channels.emulators.slack.streams import SESSION_STATES
from channels.emulators.slack.world import World

LOADING_MESSAGES_MAX = 10
PROMPTS_MAX = 4
TITLE_MAX = 200
# A status that is not renewed disappears (the method's page).
STATUS_LIFE_S = 120.0


def set_status(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel, thread = _thread(world, bot, arguments)
    loading = arguments.nested("loading_messages", "invalid_arguments") or []
    if not isinstance(loading, list) or len(loading) > LOADING_MESSAGES_MAX:
        raise Refusal("invalid_arguments", f"no more than {LOADING_MESSAGES_MAX} loading_messages")
    thread.status = arguments.text("status")
    thread.status_at = world.now()
    thread.loading_messages = [str(one) for one in loading]
    return _shown(world, channel, thread, "status")


def set_title(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel, thread = _thread(world, bot, arguments)
    thread.title = arguments.required("title")
    return _shown(world, channel, thread, "title")


def set_suggested_prompts(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel, thread = _thread(world, bot, arguments, needs_ts=bot.app.messaging != "agent")
    prompts = arguments.objects("prompts", "invalid_arguments")
    if not 1 <= len(prompts) <= PROMPTS_MAX:
        raise Refusal("invalid_arguments", f"1 to {PROMPTS_MAX} prompts")
    if not all(prompt.get("title") and prompt.get("message") for prompt in prompts):
        raise Refusal("invalid_arguments", "a prompt has a title and a message")
    thread.prompts, thread.prompts_title = prompts, arguments.text("title")
    return _shown(world, channel, thread, "prompts")


def set_session_status(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel, thread = _thread(world, bot, arguments, needs_ts=False)
    status = arguments.required("status")
    if status not in SESSION_STATES:
        raise Refusal("invalid_arguments", f"status must be one of {', '.join(SESSION_STATES)}")
    thread.session_status = status
    thread.title = arguments.text("title") or thread.title
    return _shown(world, channel, thread, "session")


def rename_session(world: World, bot: Bot, arguments: Arguments) -> Json:
    channel, thread = _thread(world, bot, arguments, needs_ts=False)
    title = arguments.required("title")
    if len(title) > TITLE_MAX:
        raise Refusal("invalid_arguments", f"title must be less than {TITLE_MAX + 1} characters")
    thread.title = title
    return _shown(world, channel, thread, "title")


def drop_stale_status(world: World, channel: Channel) -> None:
    """A status that was not renewed for two minutes is gone."""
    for thread in channel.agent_threads.values():
        if thread.status and world.now() - thread.status_at >= STATUS_LIFE_S:
            thread.status = ""


def _thread(
    world: World, bot: Bot, arguments: Arguments, needs_ts: bool = True
) -> tuple[Channel, AgentThread]:
    channel = joined_channel(world, bot, arguments.required("channel_id"))
    if needs_ts:
        arguments.required("thread_ts")
    if not needs_ts and channel.kind != "im" and bot.app.messaging != "agent":
        raise Refusal("channel_type_not_supported")
    thread_ts = thread_root(channel, arguments) or ""
    return channel, channel.agent_threads.setdefault(thread_ts, AgentThread(thread_ts))


def _shown(world: World, channel: Channel, thread: AgentThread, kind: str) -> Json:
    world.note(kind, channel, lambda: agent_thread_view(thread))
    return {}
