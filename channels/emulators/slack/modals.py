"""`views.*`: modals, which need a trigger that is a few seconds old at most, and App Homes.

Pure. https://docs.slack.dev/surfaces/modals
"""

import json

from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.blocks import check_view, with_ids
from channels.emulators.slack.records import Bot, Json, View
from channels.emulators.slack.refusals import Refusal
from channels.emulators.slack.showing import view_view
from channels.emulators.slack.wire import view_to_wire
from channels.emulators.slack.world import World

VIEW_BYTES_MAX = 250 << 10


def open_view(world: World, bot: Bot, arguments: Arguments) -> Json:
    content = _content(arguments, "modal")
    trigger = world.triggers.get(arguments.required("trigger_id"))
    if trigger is None or trigger.bot is not bot:
        raise Refusal("invalid_trigger_id")
    if trigger.is_used:
        raise Refusal("exchanged_trigger_id")
    if world.now() > trigger.expires_at:
        raise Refusal("expired_trigger_id")
    if any(
        one.is_open
        and content.get("external_id")
        and one.content.get("external_id") == content["external_id"]
        for one in world.views.values()
    ):
        raise Refusal("duplicate_external_id")
    trigger.is_used = True
    return {"view": view_to_wire(show_view(world, bot, trigger.user, content))}


def update_view(world: World, bot: Bot, arguments: Arguments) -> Json:
    content = _content(arguments, None)
    view = _named(world, bot, arguments)
    if arguments.text("hash") and arguments.text("hash") != view.hash:
        raise Refusal("hash_conflict")
    replace_view(world, view, content)
    return {"view": view_to_wire(view)}


def publish_view(world: World, bot: Bot, arguments: Arguments) -> Json:
    content = _content(arguments, "home")
    user = arguments.required("user_id")
    if (bot.team.id, user) not in world.people:
        raise Refusal("invalid_arguments", "invalid user_id")
    view = next(
        (
            one
            for one in world.views.values()
            if one.content["type"] == "home" and one.bot is bot and one.user == user
        ),
        None,
    )
    if view is None:
        view = show_view(world, bot, user, content)
    else:
        if arguments.text("hash") and arguments.text("hash") != view.hash:
            raise Refusal("hash_conflict")
        replace_view(world, view, content)
    return {"view": view_to_wire(view)}


def checked_view(content: object, kind: str | None) -> Json:
    """A view that may be shown, with ids. Raises Refusal."""
    if not isinstance(content, dict):
        raise Refusal("invalid_arguments", "missing required field: view")
    check_view(content)
    if kind is not None and content["type"] != kind:
        raise Refusal("invalid_arguments", f"the view must be a {kind}")
    if len(json.dumps(content).encode()) > VIEW_BYTES_MAX:
        raise Refusal("view_too_large")
    return {**content, "blocks": with_ids(content["blocks"])}


def show_view(world: World, bot: Bot, user: str, content: Json, below: View | None = None) -> View:
    """Show a new view to a person, on top of another one or alone."""
    view_id = world.new_id("V")
    root_id = below.root_id if below is not None else view_id
    view = View(view_id, bot, user, content, _hash(world), root_id, below.id if below is not None else None)
    world.views[view_id] = view
    world.note("view", world.direct(bot, user), lambda: view_view(view))
    return view


def replace_view(world: World, view: View, content: Json) -> None:
    """Show something else in the same place."""
    view.content, view.hash, view.errors = content, _hash(world), {}
    world.note("view", world.direct(view.bot, view.user), lambda: view_view(view))


def close_view(world: World, view: View) -> None:
    """Take a view away."""
    view.is_open = False
    world.note("view", world.direct(view.bot, view.user), lambda: view_view(view))


def _content(arguments: Arguments, kind: str | None) -> Json:
    return checked_view(arguments.nested("view", "invalid_arguments"), kind)


def _named(world: World, bot: Bot, arguments: Arguments) -> View:
    external_id = arguments.text("external_id")
    for view in world.views.values():
        is_meant = view.id == arguments.text("view_id") or (
            external_id and view.content.get("external_id") == external_id
        )
        if is_meant and view.bot is bot and view.is_open:
            return view
    raise Refusal("not_found")


def _hash(world: World) -> str:
    return f"{int(world.now())}.{world.new_id('h').lower()}"
