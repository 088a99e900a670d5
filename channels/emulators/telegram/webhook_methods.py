"""setWebhook, deleteWebhook and getWebhookInfo: where updates are to go. The posting itself is in `webhooks.py`.

Pure. Only addresses on this machine are taken, by plain HTTP as a local Bot API server allows; any other is
refused with a text that says so: the emulator never talks to anything beyond loopback.
"""

import ipaddress
import re
from urllib.parse import urlsplit

from channels.emulators.telegram.arguments import Arguments
from channels.emulators.telegram.parameters import Method
from channels.emulators.telegram.records import BotAccount, Json, Webhook
from channels.emulators.telegram.refusals import Refusal, bad_request, not_emulated
from channels.emulators.telegram.updates import DEFAULT_KINDS
from channels.emulators.telegram.world import World

# https://core.telegram.org/bots/api#setwebhook: 1-256 characters; 1-100 connections, 40 by default.
SECRET_MAX = 256
CONNECTIONS_MAX = 100
CONNECTIONS_DEFAULT = 40
_SECRET = re.compile(r"[A-Za-z0-9_-]*")


def set_webhook(world: World, bot: BotAccount, arguments: Arguments) -> object:
    url = arguments.text("url")
    if not url:
        return delete_webhook(world, bot, arguments)
    _check_address(url)
    secret = arguments.text("secret_token")
    if len(secret) > SECRET_MAX:
        raise bad_request("secret token is too long")
    if not _SECRET.fullmatch(secret):
        raise bad_request("secret token contains unallowed characters")
    if arguments.upload("certificate") is not None:
        raise not_emulated("webhook certificates")
    connections = arguments.integer("max_connections", CONNECTIONS_DEFAULT)
    if arguments.flag("drop_pending_updates"):
        world.queues[bot.id].clear()
    world.queues[bot.id].allow(update_kinds(arguments))
    world.webhooks[bot.id] = Webhook(url, secret, min(max(connections, 1), CONNECTIONS_MAX))
    return True


def delete_webhook(world: World, bot: BotAccount, arguments: Arguments) -> object:
    world.webhooks[bot.id] = Webhook()
    if arguments.flag("drop_pending_updates"):
        world.queues[bot.id].clear()
    return True


def get_webhook_info(world: World, bot: BotAccount, arguments: Arguments) -> object:
    queue, webhook = world.queues[bot.id], world.webhooks[bot.id]
    wire: Json = {
        "url": webhook.url,
        "has_custom_certificate": False,
        "pending_update_count": len(queue.pending(world.now())),
    }
    if webhook.last_error_at is not None:
        wire |= {"last_error_date": int(webhook.last_error_at), "last_error_message": webhook.last_error}
    if webhook.url:
        wire["max_connections"] = webhook.max_connections
    if queue.allowed != DEFAULT_KINDS:
        wire["allowed_updates"] = sorted(queue.allowed)
    return wire


def update_kinds(arguments: Arguments) -> list[str] | None:
    """`allowed_updates`; None (keep what was set) when it is missing or unreadable, as in the real server."""
    try:
        raw = arguments.parsed("allowed_updates", "allowed updates")
    except Refusal:
        return None
    if not isinstance(raw, list) or not all(isinstance(kind, str) for kind in raw):
        return None
    return raw


def is_deliverable(url: str) -> bool:
    """Whether this emulator posts to an address: plain HTTP on loopback."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme == "http" and port != 0 and _is_loopback(parts.hostname or "")


WEBHOOK_METHODS: dict[str, Method] = {
    "setwebhook": set_webhook,
    "deletewebhook": delete_webhook,
    "getwebhookinfo": get_webhook_info,
}


def _check_address(url: str) -> None:
    if is_deliverable(url):
        return
    if not url.startswith("https://"):
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    raise not_emulated("delivery to webhooks beyond loopback (use http:// there, or getUpdates)")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
