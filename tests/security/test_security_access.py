"""Who gets in: nobody without a secret of ours, and with it nobody gets more than the server's own records say."""

import base64
import hashlib
import json
import re
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from gateway.services.tokens import new_secret
from gateway.settings import LimitSettings, Settings
from protocol.methods import METHODS
from protocol.records import Role
from protocol.scopes import Scope
from tests.gateway.gateway_stage import Frame, Refused, Stage, Wire
from tests.security.security_stage import CLIENT, raw, refusal_of_hello, start_line

OPEN_TO_ALL = {
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/openapi.json",
    "/v1/asyncapi.json",
    "/v1/schema.json",
}
"""What anybody who reaches the port may read: that it lives, its numbers, and the contract. No id, no content."""
FORWARDED = {
    "X_Forwarded_For": "127.0.0.1",
    "X_Real_IP": "127.0.0.1",
    "Forwarded": "for=127.0.0.1;proto=https;by=127.0.0.1",
    "X_Forwarded_User": "local",
    "X_Remote_User": "owner",
    "Remote_User": "owner",
    "X_Forwarded_Proto": "https",
}


def routes(stage: Stage) -> set[tuple[str, str]]:
    """Every route that is served, as (method, path)."""
    assert stage.gateway._server._runner is not None
    app = stage.gateway._server._runner.app
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    }


async def test_exposed_without_auth(stage: Stage) -> None:
    """MITRE ATLAS AML.CS0048; CVE-2026-25593; nanobot bridge on 0.0.0.0:3001: interfaces that act for anybody."""
    for method, path in sorted(routes(stage)):
        concrete = re.sub(r"\{[^}]+\}", "x", path.replace("{method}", "thread.list"))
        answer = await stage.http(None).request(method, concrete)
        if path in OPEN_TO_ALL:
            assert stage.owner not in answer.text
        elif path.startswith("/hooks/") or path == "/v1/ws":
            assert answer.status_code in (400, 404), path  # checked by their own credentials, below
        else:
            assert answer.status_code == 401, f"{method} {path} answers {answer.status_code} to a stranger"


async def test_every_method_needs_a_credential(stage: Stage) -> None:
    """CVE-2026-25593: one unauthenticated method was enough. Every method of the table, over HTTP and WebSocket."""
    http = stage.http(None)
    for name in METHODS:
        assert (await http.post(f"/v1/{name}", json={})).status_code == 401, name
    wire = await stage.open()
    await wire.receive()
    with pytest.raises(Refused, match=r"unauthorized|hello|-32600"):
        await wire.call("config.apply", command="id")


async def test_metrics_name_nobody(stage: Stage, wire: Wire) -> None:
    """skills.status to read-only clients (OpenClaw, 2026-02): what strangers may read tells nothing of anybody."""
    sent = await wire.call("message.send", content=[{"type": "text", "text": "say sesame"}])
    for path in OPEN_TO_ALL:
        text = (await stage.http(None).get(path)).text
        assert "sesame" not in text and sent["thread_id"] not in text and "tgate_" not in text


async def test_self_declared_scopes(stage: Stage) -> None:
    """GHSA-rqpp-rjj8-7wv8 (CVSS 10): scopes that a client declared for itself were kept."""
    viewer = await stage.token(Role.VIEWER)
    claims = [scope.value for scope in Scope]
    wire = await stage.open()
    told = await wire.say_hello(
        viewer,
        scopes=claims,
        capabilities=["scopes:*", *claims[:8]],
        role="client",
        principal={"kind": "owner"},
    )
    assert "token.write" not in told["scopes"]
    for extra in ({"scopes": claims}, {"role": "owner", "as": "local"}):
        refused = await wire.refusal("token.create", **{"role": "owner", **extra})
        assert (refused.kind, refused.data["scope"]) == ("forbidden", "token.write")
    headers = {"X-Scopes": " ".join(claims), "X-Role": "owner"}
    answer = await stage.http(viewer).post("/v1/token.list?scopes=token.read", json={}, headers=headers)
    assert (answer.status_code, answer.json()["scope"]) == (403, "token.read")


async def test_the_organization_of_a_request_is_ignored(stage: Stage, wire: Wire) -> None:
    """Cross-tenant read: an organization is never taken from a request."""
    thread = (await wire.call("thread.create", title="ours", org_id="org_other"))["thread"]
    for extra in ({"org_id": "org_other"}, {"organization": "org_other"}, {"tenant": "org_other"}):
        listed = (await wire.call("thread.list", **extra))["threads"]
        assert [one["id"] for one in listed] == [thread["id"]], "the caller's own organization is listed"


def device_hello(key: Ed25519PrivateKey, nonce: str, host: str, **changes: object) -> Frame:
    """What a device says, signed as PROTOCOL.md §3 wants it, with the given fields forged."""
    public = key.public_key().public_bytes_raw()
    signed_at = int(time.time() * 1000)
    device_id = base64.urlsafe_b64encode(hashlib.sha256(public).digest()).rstrip(b"=").decode()
    text = "\n".join(["threadgate.v1", nonce, device_id, "device", str(signed_at), host])
    device: Frame = {
        "public_key": base64.urlsafe_b64encode(public).rstrip(b"=").decode(),
        "signed_at": signed_at,
        "signature": base64.urlsafe_b64encode(key.sign(text.encode())).rstrip(b"=").decode(),
        **changes,
    }
    return {"minor": 0, "client": CLIENT, "role": "device", "auth": {"device": device}}


@pytest.mark.parametrize(
    "forged",
    [
        {"signature": ""},
        {"signature": base64.urlsafe_b64encode(bytes(64)).rstrip(b"=").decode()},
        {"signature": "A" * 86},
        {"signed_at": int(time.time() * 1000) - 3_600_000},
    ],
    ids=["blank", "zeros", "noise", "old"],
)
async def test_device_identity_that_is_only_present(stage: Stage, forged: Frame) -> None:
    """CVE-2026-28472: a device identity was accepted because it was there; its signature was not looked at."""
    wire = await stage.open()
    nonce = (await wire.receive())["params"]["nonce"]
    said = device_hello(Ed25519PrivateKey.generate(), nonce, stage.url.removeprefix("http://"), **forged)
    await wire.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": said}))
    frames, code = await wire.ended()
    assert code in (4000, 4001, 4003), "neither let in nor offered a pairing"
    assert not any("result" in frame for frame in frames)
    owner = await stage.connect()
    assert (await owner.call("pairing.list", state="all"))["pairings"] == []


async def test_brute_force_and_bogus_credentials(stage: Stage) -> None:
    """PR #57647 (a bogus deviceToken switched the rate limiter off), localhost brute force: guesses change nothing."""
    await stage.restart(limits=LimitSettings(requests_per_s=1.0, request_burst=3))
    http = stage.http(await stage.token(Role.VIEWER))
    bogus = stage.http("tgate_" + "A" * 49)
    outcomes = []
    for _ in range(6):
        assert (await bogus.post("/v1/server.info", json={})).status_code == 401
        outcomes.append((await http.post("/v1/server.info", json={})).status_code)
    assert outcomes[:3] == [200, 200, 200] and 429 in outcomes[3:], "the limit counts on beside wrong guesses"
    # One guess for each connection: a wrong hello ends it, nothing sent behind it is looked at.
    error, code = await refusal_of_hello(stage, auth={"token": new_secret()})
    assert (error["data"]["kind"], code) == ("unauthorized", 4001)


async def test_a_guess_never_reaches_the_store(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Localhost brute force (Oasis, 2026-02): guesses cost the gateway a hash, and the secret has 256 random bits."""
    asked: list[str] = []

    async def authenticate(hashed: str, now_ms: int) -> None:
        asked.append(hashed)

    monkeypatch.setattr(stage.store.identities, "authenticate", authenticate)
    for guess in (
        "hunter2",
        "tgate_" + "A" * 49,
        new_secret()[:-1] + "~",
        "Bearer",
        "null",
        "undefined",
        "0",
    ):
        assert (await stage.http(guess).post("/v1/server.info", json={})).status_code == 401
    assert asked == []
    assert len({new_secret() for _ in range(100)}) == 100 and len(new_secret()) >= 6 + 43


@pytest.mark.parametrize(
    "auth", ["", "Bearer", "Bearer ", "Bearer null", "Basic bG9jYWw6", "bearer\t", "Token x"]
)
async def test_blank_and_missing_tokens(stage: Stage, auth: str) -> None:
    """CVE-2026-44109 (a blank token was valid): what is empty or missing never equals anything."""
    said = start_line(stage, "POST", "/v1/server.info", Authorization=auth, Content_Length="0")
    assert (await raw(stage, said)).status == 401
    for token in ("", " ", None):
        error, code = await refusal_of_hello(stage, auth={"token": token})
        assert (error["data"]["kind"], code) == ("unauthorized", 4001)


async def test_token_in_a_url_is_never_read(stage: Stage) -> None:
    """CVE-2026-25253 (GHSA-g8p2-7wf7-98mq): credentials travelled in a query, where logs and pages see them."""
    for name in ("token", "access_token", "auth", "api_key", "authorization"):
        assert (await stage.http(None).post(f"/v1/server.info?{name}={stage.owner}")).status_code == 401
        assert (await stage.http(None).get(f"/v1/blobs/blb_x?{name}={stage.owner}")).status_code == 401
    wire = await stage.open(path=f"/v1/ws?token={stage.owner}")
    with pytest.raises(Refused, match="unauthorized"):
        await wire.say_hello(None)
    host, _, port = stage.url.removeprefix("http://").rpartition(":")
    answer = await raw(
        stage, start_line(stage, "POST", f"http://local:{stage.owner}@{host}:{port}/v1/server.info")
    )
    assert answer.status in (400, 401, 403, 404)


async def test_loopback_is_not_trusted(stage: Stage) -> None:
    """AML.CS0048 and CVE-2026-26316: whoever came from 127.0.0.1, a proxy for instance, was let in."""
    assert stage.url.startswith("http://127.0.0.1:")
    assert (await stage.http(None).post("/v1/thread.list", json={})).status_code == 401
    error, code = await refusal_of_hello(stage, auth={})
    assert (error["data"]["kind"], code) == ("unauthorized", 4001)


@pytest.mark.parametrize("header", FORWARDED)
async def test_forged_forwarded_headers_grant_nothing(stage: Stage, header: str) -> None:
    """AML.CS0048 (proxy misconfiguration bypassed auth): what a request says about its origin is not believed."""
    forged = {header.replace("_", "-"): FORWARDED[header]}
    answer = await stage.http(None).post("/v1/thread.list", json={}, headers=forged)
    assert answer.status_code == 401
    limited = await stage.http(await stage.token(Role.VIEWER)).post("/v1/token.list", json={}, headers=forged)
    assert limited.status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gate.example.org", "127.0.0.1.nip.io", ""])
def test_refusal_to_bind_in_public_without_tls(tmp_path: Path, host: str) -> None:
    """63,070 exposed instances (Censys, 2026-03-31): a public address is refused unless a TLS proxy is declared."""
    with pytest.raises(ValidationError, match="behind_tls_proxy"):
        Settings(host=host, data_dir=tmp_path)
    assert Settings(host="0.0.0.0", data_dir=tmp_path, behind_tls_proxy=True).behind_tls_proxy


async def test_revoked_access_ends_at_once(stage: Stage) -> None:
    """Infostealers that took openclaw.json and device.json (2026-02): a stolen token is worth nothing once revoked."""
    secret = await stage.token(name="stolen")
    thief, http = await stage.connect(secret), stage.http(secret)
    assert (await http.post("/v1/server.info", json={})).status_code == 200
    owner = await stage.connect()
    (token,) = [one for one in (await owner.call("token.list"))["tokens"] if one["name"] == "stolen"]
    await owner.call("token.revoke", token_id=token["id"])
    assert (await thief.ended())[1] == 4001
    assert (await http.post("/v1/server.info", json={})).status_code == 401


async def test_a_session_key_is_no_authorization(stage: Stage, wire: Wire) -> None:
    """Session keys taken as authorization: knowing an id opens nothing."""
    thread = (await wire.call("thread.create", title="secret"))["thread"]
    for known in (
        thread["id"],
        wire.hello["connection_id"],
        wire.hello["principal"]["id"],
        wire.hello["epoch"],
    ):
        assert (
            await stage.http(known).post("/v1/thread.get", json={"thread_id": thread["id"]})
        ).status_code == 401
