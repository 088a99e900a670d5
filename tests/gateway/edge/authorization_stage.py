"""Two organizations on one gateway: what is asked for of one, by everybody of the other.

`Victim` has one of everything. `CASTS` says for every method what somebody of another organization might ask for of
hers, by id; the same with ids that nobody has is made from it.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from device_stage import Key
from gateway_stage import Frame, Stage, TelegramStage, Wire, eventually, words

from channels.emulators.telegram import TelegramEmulator
from gateway.agent_settings import DemoSettings, RemoteSettings
from gateway.rules.delivery_states import refused as refused_for_good
from gateway.services.tokens import new_secret, secret_hash
from gateway.settings import OrganizationSettings
from protocol.devices import DeviceCommand
from protocol.ids import IdPrefix
from protocol.records import Actor, ActorKind, Role
from storage.channel_values import Delivered, Entry, PairingKey, PairingOffer, Telling
from storage.device_values import DeviceGrant, DeviceOffer, NewInvocation
from storage.identity_values import NewLinkCode
from storage.values import Act, NewToken, Notice

ACME = "org_acme"
MARK = "the secret plans of acme"
"""Said in every text of the victim: it must appear in no answer to anybody else."""


def stage_of_two(directory: Any, emulator: TelegramEmulator) -> TelegramStage:
    """A gateway of two organizations; its one channel account belongs to the second."""
    stage = TelegramStage(directory, emulator, org=ACME)
    stage._given["agents"] = (DemoSettings(id="demo"), RemoteSettings(id="crew", kind="remote"))
    stage._given["organizations"] = (OrganizationSettings(id=ACME, name="Acme"),)
    return stage


async def caller(stage: Stage, role: Role, org_id: str) -> str:
    """The secret of a principal of this role."""
    if role in (Role.AGENT, Role.DEVICE):  # machines have no users; what they may is what is looked at here
        secret, clock = new_secret(), stage.clock
        act = Act(org_id, Actor(id="test", kind=ActorKind.USER, name="test"), "test", clock.now_ms())
        await stage.store.identities.create_token(
            act,
            NewToken(
                clock.new_id(IdPrefix.TOKEN),
                clock.new_id(IdPrefix.PRINCIPAL),
                role.value,
                role,
                secret_hash(secret),
                None,
                agent_id="crew" if role is Role.AGENT else None,
                principal_kind=ActorKind(role.value),
            ),
        )
        return secret
    _, secret = await stage.user(role, role.value, org_id)
    return secret


class Victim:
    """An organization with one of everything. `own` are things of the attacking organization, for params that need
    something of each."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.own: dict[str, str] = {}
        self.link: Frame = {}
        self.seq = 0

    def __getitem__(self, name: str) -> str:
        return self.ids[name]

    @classmethod
    async def filled(cls, stage: Stage) -> "Victim":
        """Fill it, through the same doors as everybody."""
        victim, wire = cls(), await stage.connect(f"{stage.owner}@{ACME}")
        await victim._talk(stage, wire)
        await victim._let_people_in(stage)
        await victim._administer(stage, wire)
        await victim._pair(stage)
        victim.seq = (await wire.call("audit.list", limit=1))["entries"][0]["seq"]
        attacker = await stage.connect()
        victim.own["thread"] = (await attacker.call("thread.create", title="ours"))["thread"]["id"]
        victim.own["user"], _ = await stage.user(Role.VIEWER)
        return victim

    async def _talk(self, stage: Stage, wire: Wire) -> None:
        sent = await wire.call("message.send", content=words(f"say {MARK}"))
        self.ids |= {"thread": sent["thread_id"], "run": sent["run_id"], "message": sent["message_id"]}
        await wire.call("thread.subscribe", thread_id=sent["thread_id"], from_="start")
        await wire.event("run.completed")
        sleeping = await wire.call("message.send", content=words("sleep 60"))
        self.ids["sleeping"] = sleeping["run_id"]
        asking = await wire.call("message.send", content=words(f"approve {MARK}"))
        await wire.call("thread.subscribe", thread_id=asking["thread_id"], from_="start")
        asked = await wire.event("approval.requested", run_id=asking["run_id"])
        self.ids["approval"] = asked["data"]["approval"]["id"]
        secret = f"{stage.owner}@{ACME}"
        uploaded = await stage.http(secret).post("/v1/blobs", content=MARK.encode())
        self.ids["blob"] = uploaded.json()["blob"]["id"]

    async def _let_people_in(self, stage: Stage) -> None:
        clock, now_ms = stage.clock, stage.clock.now_ms()
        self.ids["pairing"], self.ids["code"] = clock.new_id(IdPrefix.PAIRING), "AAAA-BBBB"
        told = Telling(notice=Notice(clock.new_id(IdPrefix.DELIVERY), '{"text":"","payload":{}}'))
        offer = PairingOffer(self["pairing"], "Eve", self["code"], now_ms + 600_000, 9, told, Telling())
        person = Actor(id="telegram:1", kind=ActorKind.PERSON, name="Eve")
        asking = Delivered(
            "asks", "accepted", None, "1", room="1", act=Act(ACME, person, "telegram:gate", now_ms),
            entry=Entry(frozenset()), offer=offer,
        )  # fmt: skip
        self.ids["delivery"] = clock.new_id(IdPrefix.DELIVERY)
        content = json.dumps({"text": MARK, "payload": {}})
        notice = Telling(notice=Notice(self["delivery"], content))
        hint = Delivered("hints", "refused", "unknown", "7", room="42", refused=notice)
        await stage.store.inbox.commit(ACME, "telegram", "none", [asking, hint], {}, now_ms)
        await stage.store.outbox.step(self["delivery"], refused_for_good("blocked"), clock.now_ms())
        self.ids["channel"] = "telegram:gate"

    async def _administer(self, stage: Stage, wire: Wire) -> None:
        made = await wire.call("user.save", name=f"Grace of {MARK}", role="viewer")
        self.ids["user"] = made["user"]["id"]
        token = await wire.call("token.create", role="viewer", name=MARK, user_id=self["user"])
        self.ids["token"] = token["token"]["id"]
        act = Act(
            ACME, Actor(id=self["user"], kind=ActorKind.USER, name="Grace"), "test", stage.clock.now_ms()
        )
        code = NewLinkCode(stage.clock.new_id(IdPrefix.LINK_CODE), "CCCC-DDDD", act.at_ms + 600_000, 3)
        await stage.store.links.begin(act, code)
        self.ids["reply"] = "EEEE-FFFF"
        self.link = {"channel": "telegram", "account": "gate", "sender_id": "77"}
        await stage.store.engine.write(
            lambda tx: tx.run(
                "INSERT INTO chat_links VALUES (:org, 'telegram', 'gate', '77', :user, 'grace', 0)",
                org=ACME,
                user=self["user"],
            )
        )

    async def _pair(self, stage: Stage) -> None:
        act = Act(
            ACME, Actor(id=self["user"], kind=ActorKind.USER, name="Grace"), "test", stage.clock.now_ms()
        )
        key, waiting = Key(bytes(range(32))), Key(bytes(range(1, 33)))
        self.ids["device"] = key.device_id
        for one in (key, waiting):
            offer = DeviceOffer(
                stage.clock.new_id(IdPrefix.PAIRING), "GGGG-HHHH", act.at_ms + 600_000, one.device_id, one.public,
                MARK, "bench", "10.0.0.1", (), (), 9, 9,
            )  # fmt: skip
            asked = await stage.store.devices.ask(act, offer)
            if one is key:
                await stage.store.pairings.approve(act, PairingKey(asked.id), None, DeviceGrant(name="hall"))
            else:
                self.ids["device_pairing"] = asked.id
        await stage.store.devices.declare(act, key.device_id, [DeviceCommand(name="echo")], MARK, "bench")
        new = NewInvocation(
            stage.clock.new_id(IdPrefix.INVOCATION),
            key.device_id,
            "claim",
            "hash",
            "echo",
            {"text": MARK},
            act.at_ms,
        )
        await stage.store.invocations.request(act, new)

    # --- what is asked of her -------------------------------------------------------------------

    def params(self, method: str) -> list[Frame]:
        """What somebody else might ask for of hers."""
        return CASTS[method](self)

    def unknown(self, params: Frame) -> Frame:
        """The same, with ids of the same shape that nobody has."""
        text = json.dumps(params)
        for value in self.ids.values():
            head, _, tail = value.partition("_")
            other = f"{head}_{tail[::-1]}" if tail else value.replace("A", "Z").replace("gate", "gone")
            text = text.replace(value, other)
        text = text.replace(
            f"audit entry {self.seq}", f"audit entry {10**9}"
        )  # refusals say the number they were asked
        unknown: Frame = json.loads(text.replace('"77"', '"78"'))
        if "seq" in unknown:
            unknown["seq"] = 10**9
        return unknown

    async def rows(self, stage: Stage) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of hers, but what runs and time change by themselves."""
        return await stage.store.engine.read(_rows_of, ACME)


def _rows_of(tx: Any, org_id: str) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for name in ("threads", "runs", "approvals", "pairings", "people", "tokens", "principals", "blobs", "chat_links",
                 "link_codes", "outbox", "messages", "vault", "devices", "device_invocations"):  # fmt: skip
        columns = [row["name"] for row in tx.all(f"PRAGMA table_info({name})")]
        kept = [column for column in columns if column not in ("lease_until", "last_used_at")]
        found[name] = [
            tuple(row)
            for row in tx.all(f"SELECT {', '.join(kept)} FROM {name} WHERE org_id = :org", org=org_id)
        ]
        assert found[name] or name in ("people", "vault"), f"there is one of everything, also in {name}"
    return found


def of(name: str, key: str | None = None, /, **more: Any) -> Callable[[Victim], list[Frame]]:
    """One request with one id of hers."""
    return lambda victim: [{key or f"{name}_id": victim[name], **more}]


def nothing(victim: Victim) -> list[Frame]:
    """The method names nothing: what it gives must have nothing of hers."""
    return [{}]


CASTS: dict[str, Callable[[Victim], list[Frame]]] = {
    "server.info": nothing,
    "auth.refresh": lambda victim: [{"auth": {"token": "tgate_nobody"}}],
    "thread.create": nothing,
    "thread.get": of("thread"),
    "thread.list": lambda victim: [{"status": "all", "limit": 500}],
    "thread.update": of("thread", title="mine now"),
    "thread.assign": lambda victim: [
        {"thread_id": victim["thread"], "action": action} for action in ("take", "give_back")
    ],
    "thread.archive": of("thread"),
    "thread.restore": of("thread"),
    "thread.delete": of("thread"),
    "thread.history": of("thread", after_seq=0),
    "thread.search": lambda victim: [
        {"query": "secret plans"},
        {"query": "secret", "thread_id": victim["thread"]},
    ],
    "thread.subscribe": of("thread", **{"from": "start"}),
    "thread.unsubscribe": of("thread"),
    "inbox.subscribe": lambda victim: [{"after_offset": 0}],
    "inbox.unsubscribe": nothing,
    "message.send": lambda victim: [
        {"thread_id": victim["thread"], "content": words("say hello")},
        {"thread_id": victim.own["thread"], "content": [{"type": "blob", "blob_id": victim["blob"]}]},
    ],
    "device.list": lambda victim: [{"state": "all", "limit": 500}],
    "device.get": of("device"),
    "device.revoke": of("device"),
    "device.rename": of("device", name="mine"),
    "device.invoke": of("device", command="echo"),
    "presence.list": nothing,
    "run.get": of("run"),
    "run.list": lambda victim: [{"limit": 500}, {"thread_id": victim["thread"]}],
    "run.cancel": of("sleeping", "run_id"),
    "run.retry": of("run"),
    "run.steps": of("run"),
    "run.diagnose": lambda victim: [{}, {"run_id": victim["sleeping"]}],
    "run.replay": of("run"),
    "run.step": of("sleeping", "run_id", fence=1, key="k", phase="begin", kind="tool"),
    "agent.list": nothing,
    "agent.get": lambda victim: [{"agent_id": "demo"}],
    "agent.reload": nothing,
    "route.explain": lambda victim: [
        {"channel": "telegram", "account": "gate", "room": "42", "text": "hello"}
    ],
    "channel.list": nothing,
    "channel.status": of("channel"),
    "approval.list": lambda victim: [{"limit": 500}, {"thread_id": victim["thread"]}],
    "approval.get": of("approval"),
    "approval.decide": of("approval", decision="approve"),
    "delivery.list": lambda victim: [
        {"limit": 500},
        {"thread_id": victim["thread"]},
        {"channel_id": victim["channel"]},
        {"channel_id": "telegram:none", "state": "failed"},
    ],
    "delivery.retry": of("delivery"),
    "delivery.settle": of("delivery"),
    "token.create": lambda victim: [
        {"role": "viewer", "user_id": victim["user"]},
        {"rotates": victim["token"]},
    ],
    "token.list": lambda victim: [{"limit": 500}],
    "token.revoke": of("token"),
    "user.list": lambda victim: [{"limit": 500}],
    "user.save": lambda victim: [
        {"user_id": victim["user"], "role": "viewer", "disabled": True},
        {"user_id": victim.own["user"], "unlink": victim.link},
    ],
    "user.link": lambda victim: [{"code": victim["reply"]}],
    "pairing.list": lambda victim: [{"state": "all", "limit": 500}],
    "pairing.approve": lambda victim: [
        {"pairing_id": victim["pairing"]},
        {"code": victim["code"]},
        {"pairing_id": victim["device_pairing"], "name": "mine"},
    ],
    "pairing.reject": lambda victim: [{"pairing_id": victim["pairing"]}],
    "usage.get": lambda victim: [
        {"by": ["day", "person"]},
        {"by": ["room"], "thread_id": victim["thread"]},
    ],
    "agent.switch": lambda victim: [{"agent_id": "demo", "on": False}, {"agent_id": "demo", "on": True}],
    "audit.checkpoint": nothing,
    "audit.prove": lambda victim: [{"seq": victim.seq}],
    "retention.run": nothing,
    "data.erase": lambda victim: [
        {"action": "preview", "person": victim["user"]},
        {"action": "preview", "person": "telegram:77"},
        {"action": "hold", "thread_id": victim["thread"], "reason": "mine"},
        {"action": "release", "thread_id": victim["thread"]},
        {"action": "list"},
    ],
    "audit.list": lambda victim: [{"limit": 500}],
}
"""Method → requests about things of the victim. A method that is missing here fails the test: give it one."""

Ask = Callable[[str, Frame], Awaitable[Frame]]
"""Asks a method; the answer as `{"result": …}` or `{"error": …}`, the same over both ways in."""


async def over_websocket(stage: Stage, secret: str, role: Role | None = None) -> Ask:
    """A connection that asks; that of an agent process for its role."""
    wire = await stage.open()
    await wire.say_hello(secret, **({"role": "agent", "worker": {}} if role is Role.AGENT else {}))

    async def ask(method: str, params: Frame) -> Frame:
        number = await wire.post(
            method, **{("from_" if key == "from" else key): value for key, value in params.items()}
        )
        frame = await wire.answer(number)
        wire.notes = [note for note in wire.notes if MARK in json.dumps(note)]
        assert not wire.notes, f"{method} told of hers in a notification"
        if "error" in frame:
            return {"error": {**frame["error"]["data"], "message": frame["error"]["message"]}}
        return {"result": frame["result"]}

    return ask


async def over_http(stage: Stage, secret: str, role: Role | None = None) -> Ask:
    """Requests that ask."""
    client = stage.http(secret)

    async def ask(method: str, params: Frame) -> Frame:
        response = await client.post(f"/v1/{method}", json=params)
        body = response.json()
        if response.status_code == 200:
            return {"result": body}
        shown = {
            key: value for key, value in body.items() if key not in ("type", "title", "status", "detail")
        }
        return {"error": {**shown, "message": body["detail"], "status": response.status_code}}

    return ask


async def settled(stage: Stage) -> None:
    """Nothing of hers changes by itself any more."""

    async def is_quiet() -> bool:
        before = await Victim.rows(Victim(), stage)
        return before == await Victim.rows(Victim(), stage)

    await eventually(is_quiet)
