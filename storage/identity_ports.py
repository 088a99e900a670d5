"""What services may ask of the store about principals: tokens, users, and who of a chat network is which user.

The rules that hold for every port stand in `ports.py`, the values in `values.py` and `identity_values.py`.
"""

from typing import Protocol

from protocol.records import Actor, Role


class LinkStore(Protocol):
    """Who of a chat network is which user."""

    async def principal_of(
        self, org_id: str, channel: str, account: str, sender_id: str
    ) -> tuple[Actor, Role] | None:
        """The user that somebody of a chat network is, as an actor of kind user, and their role.

        None for who is linked to nobody, and for a user who is disabled. In a transaction, use
        `storage.chat_links.principal_of`.
        """
        ...
