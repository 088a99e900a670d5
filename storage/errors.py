"""What can go wrong with the store itself; refusals of a request are `protocol.errors.Fault`."""


class StoreError(Exception):
    """Base; the text tells an operator what to do."""


class StoreUnavailable(StoreError):
    """Nothing was stored: the disk is full, read-only or failing. The same write may succeed later."""


class StoreLocked(StoreError):
    """Another process writes to this data directory."""


class StoreTooNew(StoreError):
    """The store was written by a newer version of the product."""


class StoreDamaged(StoreError):
    """The file is not a store of ours, or its pages are damaged."""


class BlobTooLarge(StoreError):
    """A file has more bytes than its taker's limit; nothing of it is kept."""


class StaleFence(StoreError):
    """The writer no longer owns the run: it was cancelled, or somebody else took it over."""


class ContentUnreadable(StoreError):
    """Content behind an audit entry does not open: its key is gone, or the key outside the store is another one."""
