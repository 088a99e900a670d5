"""The daemon's life: open the store, make the first token, serve, end in order on a signal.

What runs in between is `app.Gateway`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

import structlog

from gateway import audit_start, crash_points, runtime_file
from gateway.app import Gateway
from gateway.clock import Clock
from gateway.composition.front import VERSION
from gateway.content_keys import ContentSealer
from gateway.edge.authentication import LOCAL_ACTOR
from gateway.rules.scopes import ROLE_SCOPES
from gateway.runtime_file import Runtime
from gateway.services.tokens import Tokens, new_secret
from gateway.settings import Settings
from gateway.vault_key import vault_cipher
from protocol.ids import IdPrefix
from protocol.records import ActorKind, Role
from protocol.requests import TokenCreateParams
from storage.identity_values import NewUser
from storage.store import Store
from storage.values import DEFAULT_ORG, Act

log = structlog.get_logger()

FIRST_TOKEN_NAME: Final = "first owner"


async def serve(settings: Settings, announce: Callable[[str, str | None], None]) -> None:
    """Run until SIGINT or SIGTERM; a second signal ends at once. SIGHUP reads agents and routes again.

    `announce` is called once, when everything is ready, with the address and, on the first start of a store,
    the secret of its owner token. Raises SettingsError, StoreError, SecretUnavailable and OSError when it cannot start.
    """
    crash_points.arm(os.environ, settings.data_dir)
    clock = Clock()
    stopping = asyncio.Event()
    _catch_signals(stopping)
    store = await open_store(settings, clock)
    try:
        local_secret = new_secret()
        gateway = Gateway(settings, store, clock, local_secret)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.reloading.ask)

        def tell_our_user() -> None:
            runtime_file.write(settings.data_dir, Runtime(gateway.url, os.getpid(), local_secret))

        try:
            await gateway.start(tell_our_user)
            secret = await _first_token(store, clock)
            log.info("the gateway is ready", action="gateway_ready", url=gateway.url, version=VERSION)
            announce(gateway.url, secret)
            await stopping.wait()
            log.info("the gateway is stopping", action="gateway_stopping")
        finally:
            runtime_file.remove(settings.data_dir)
            await gateway.stop()
    finally:
        await store.close()
    log.info("the gateway has stopped", action="gateway_stopped")


async def open_store(settings: Settings, clock: Clock) -> Store:
    """The store of the configured data directory with its organizations, made if need be, and compared with its last
    published checkpoint.

    Raises StoreError, SecretUnavailable and OSError.
    """
    store = await _open(settings, clock)
    try:
        await audit_start.check(settings, store, clock)
        named = {one.id: one.name for one in settings.organizations}
        if named:
            await store.ensure_organizations(named, clock.now_ms())
    except BaseException:
        await store.close()
        raise
    return store


async def _open(settings: Settings, clock: Clock) -> Store:
    cipher = await asyncio.to_thread(vault_cipher, settings.vault_key, settings.data_dir)
    return await Store.open(
        settings.data_dir,
        new_epoch=clock.new_id(IdPrefix.EPOCH),
        new_log_id=clock.new_id(IdPrefix.EPOCH),
        now_ms=clock.now_ms(),
        sealer=ContentSealer(cipher),
    )


async def rotate_audit_key(settings: Settings, clock: Clock, *, lost: bool) -> str:
    """Put another key in place of the one that signs the audit log; the gateway is stopped. Returns the public key.

    Raises StoreError, SecretUnavailable and OSError.
    """
    store = await (_open if lost else open_store)(settings, clock)
    try:
        act = Act(DEFAULT_ORG, LOCAL_ACTOR, "cli", clock.now_ms())
        return await audit_start.rotate(settings, store, clock, act, lost=lost)
    finally:
        await store.close()


async def _first_token(store: Store, clock: Clock) -> str | None:
    """A store without any token gets an owner; its secret is returned once and stored nowhere.

    Not "a new store": a first start that failed after making the store must not cost the owner their token.
    """
    tokens, _ = await store.identities.list_tokens(DEFAULT_ORG, 1, None)
    if tokens:
        return None
    act = Act(DEFAULT_ORG, LOCAL_ACTOR, "first start", clock.now_ms())
    user_id = clock.new_id(IdPrefix.PRINCIPAL)
    await store.users.create(act, NewUser(user_id, ActorKind.USER, FIRST_TOKEN_NAME, Role.OWNER))
    wanted = TokenCreateParams(role=Role.OWNER, name=FIRST_TOKEN_NAME, user_id=user_id)
    issued = await Tokens(store.identities, store.users, clock).issue(act, ROLE_SCOPES[Role.OWNER], wanted)
    return issued.secret


def _catch_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stopping.is_set():
            print("stopping at once", file=sys.stderr)
            os._exit(130)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
