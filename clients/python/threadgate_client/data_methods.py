"""The methods about what becomes of data: erasing people, legal holds, retention. What they answer is `privacy.py`."""

from typing import Any

from threadgate_client.errors import ProtocolViolation
from threadgate_client.groups import Group, given
from threadgate_client.privacy import Erased, LegalHold, Retained


class Data(Group):
    """`data.erase` and `retention.run`. A person is `NETWORK:ID` of a chat network, or a user's id."""

    async def preview(self, person: str) -> Erased:
        """What would be erased."""
        return await self._erase(action="preview", person=person)

    async def erase(self, person: str, reason: str, *, idempotency_key: str | None = None) -> Erased:
        """Erase a person, for good. The answer has the certificate."""
        return await self._erase(
            action="erase", person=person, reason=reason, idempotency_key=idempotency_key
        )

    async def holds(self) -> tuple[LegalHold, ...]:
        """What must be kept."""
        return (await self._erase(action="list")).holds

    async def hold(
        self,
        reason: str,
        *,
        person: str | None = None,
        thread_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> LegalHold:
        """Keep a person's data, or a thread, whatever anybody does."""
        return await self._hold("hold", reason, person, thread_id, idempotency_key)

    async def release(
        self,
        reason: str,
        *,
        person: str | None = None,
        thread_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> LegalHold:
        """Let go of it again."""
        return await self._hold("release", reason, person, thread_id, idempotency_key)

    async def retention(self, *, dry_run: bool = True, idempotency_key: str | None = None) -> Retained:
        """Count, or delete, what is over its time."""
        return Retained.from_json(
            await self._engine.request(
                "retention.run", given({"dry_run": dry_run, "idempotency_key": idempotency_key})
            )
        )

    async def _hold(
        self,
        action: str,
        reason: str,
        person: str | None,
        thread_id: str | None,
        idempotency_key: str | None,
    ) -> LegalHold:
        done = await self._erase(
            action=action,
            reason=reason,
            person=person,
            thread_id=thread_id,
            idempotency_key=idempotency_key,
        )
        if not done.holds:
            raise ProtocolViolation("data.erase did not say which hold it is")
        return done.holds[0]

    async def _erase(self, **params: Any) -> Erased:
        return Erased.from_json(await self._engine.request("data.erase", given(params)))
