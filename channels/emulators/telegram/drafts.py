"""Drafts: a message that grows before a person's eyes in a private chat, and leaves nothing behind.

Pure. https://core.telegram.org/bots/api#sendmessagedraft: private chats only, an id other than zero, the same
id animates, a preview of 30 seconds that the bot must replace by a real message.

Not published, and so chosen here: a room shows one draft of a bot at a time, a new id replaces it; any real
message of the bot takes it away, whatever its topic; drafts do not count against the flood limits; what a zero
id is answered with.
"""

from channels.emulators.telegram.bot_calls import check_thread
from channels.emulators.telegram.records import BotAccount, Chat, Content, Draft
from channels.emulators.telegram.refusals import bad_request
from channels.emulators.telegram.views import draft_view
from channels.emulators.telegram.world import World

DRAFT_LIFE_S = 30.0


def show_draft(
    world: World, bot: BotAccount, chat: Chat, draft_id: int, content: Content, thread_id: int | None
) -> None:
    """Show a draft or change the one with this id. Idempotent. Raises Refusal."""
    if chat.type != "private" or not bot.may_stream_drafts:
        raise bad_request("TEXTDRAFT_PEER_INVALID")
    if draft_id == 0:
        raise bad_request("invalid draft identifier specified")
    thread_id = check_thread(bot, chat, thread_id)
    previous = live_draft(world, chat, bot)
    versions = previous.versions + 1 if previous is not None and previous.id == draft_id else 1
    draft = Draft(draft_id, bot, content, thread_id, world.now() + DRAFT_LIFE_S, versions)
    chat.drafts[bot.id] = draft
    world.note("draft", chat, draft_view(draft))


def live_draft(world: World, chat: Chat, bot: BotAccount) -> Draft | None:
    """What the person sees of this bot's writing now."""
    draft = chat.drafts.get(bot.id)
    return draft if draft is not None and world.now() < draft.expires_at else None
