"""Who a token is: `auth.*`, `team.info`, `bots.info`, and OAuth from the code to the bot's token.

Pure. https://docs.slack.dev/authentication/installing-with-oauth
"""

from dataclasses import dataclass

from channels.emulators.slack import events
from channels.emulators.slack.arguments import Arguments
from channels.emulators.slack.records import AppAccount, Bot, Json, Person, Workspace
from channels.emulators.slack.refusals import Refusal
from channels.emulators.slack.wire import bot_profile
from channels.emulators.slack.world import World

CODE_LIFE_S = 600.0


@dataclass(slots=True)
class Grant:
    """What somebody agreed to; exchanged once for a token."""

    app: AppAccount
    team: Workspace
    user: str
    scopes: frozenset[str]
    redirect_uri: str
    expires_at: float


class Grants:
    """The codes that were given out and not exchanged yet."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._by_code: dict[str, Grant] = {}

    def give(
        self, app: AppAccount, team: Workspace, user: Person, scopes: frozenset[str], redirect_uri: str
    ) -> str:
        """Somebody agreed: the code for the app."""
        self._world.add_person(team, user)
        code = f"{self._world.new_id('code')}.emulated"
        expires_at = self._world.now() + CODE_LIFE_S
        self._by_code[code] = Grant(app, team, user.id, scopes, redirect_uri, expires_at)
        return code

    def exchange(self, arguments: Arguments) -> Json:
        """`oauth.v2.access`: a bot token for a code. Raises Refusal."""
        app = self._app(arguments)
        grant = self._by_code.get(arguments.text("code"))
        if grant is None or grant.app is not app or self._world.now() > grant.expires_at:
            raise Refusal("invalid_code")
        if grant.redirect_uri and arguments.text("redirect_uri") not in ("", grant.redirect_uri):
            raise Refusal("bad_redirect_uri")
        del self._by_code[arguments.text("code")]
        bot = self._world.install(app, grant.team, grant.scopes)
        return {
            "access_token": bot.token,
            "token_type": "bot",
            "scope": ",".join(sorted(bot.scopes)),
            "bot_user_id": bot.user_id,
            "app_id": app.id,
            "team": {"id": grant.team.id, "name": grant.team.name},
            "enterprise": None,
            "authed_user": {"id": grant.user},
            "is_enterprise_install": False,
        }

    def _app(self, arguments: Arguments) -> AppAccount:
        client_id = arguments.text("client_id")
        app = next((one for one in self._world.apps.values() if one.client_id == client_id), None)
        if app is None:
            raise Refusal("invalid_client_id")
        if arguments.text("client_secret") != app.client_secret:
            raise Refusal("bad_client_secret")
        return app


def auth_test(world: World, bot: Bot, arguments: Arguments) -> Json:
    return {
        "url": f"https://{bot.team.domain}.slack.com/",
        "team": bot.team.name,
        "user": bot.app.name.lower(),
        "team_id": bot.team.id,
        "user_id": bot.user_id,
        "bot_id": bot.bot_id,
        "is_enterprise_install": False,
    }


def auth_revoke(world: World, bot: Bot, arguments: Arguments) -> Json:
    if arguments.flag("test"):
        return {"revoked": False}
    revoke(world, bot)
    return {"revoked": True}


def team_info(world: World, bot: Bot, arguments: Arguments) -> Json:
    if arguments.text("team", bot.team.id) != bot.team.id:
        raise Refusal("team_not_found")
    team = bot.team
    return {
        "team": {
            "id": team.id,
            "name": team.name,
            "url": f"https://{team.domain}.slack.com/",
            "domain": team.domain,
            "email_domain": "",
            "icon": {"image_default": True},
        }
    }


def bots_info(world: World, bot: Bot, arguments: Arguments) -> Json:
    wanted = arguments.text("bot", bot.bot_id)
    for one in world.bots.values():
        if one.bot_id == wanted and one.team is bot.team:
            return {"bot": bot_profile(one)}
    raise Refusal("bot_not_found")


def revoke(world: World, bot: Bot) -> None:
    """The token opens nothing any more; the app hears of it."""
    bot.refusal = "token_revoked"
    events.tokens_revoked(world, bot)


def uninstall(world: World, bot: Bot) -> None:
    """The app leaves the workspace."""
    bot.refusal = "account_inactive"
    for channel in world.channels.values():
        if channel.kind != "im":
            channel.members.discard(bot.user_id)
    events.uninstalled(world, bot)
