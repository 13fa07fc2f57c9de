"""What can go wrong with stored content; each message says what to do next."""


class StorageError(Exception):
    """Base of all errors of this package."""


class NotStored(StorageError):
    """The store does not hold a block or file."""


class CorruptBlock(StorageError):
    """Stored bytes that no longer have the hash they are named by."""


class StoreFull(StorageError):
    """The disk is full; nothing was left half-written."""


class BadDag(StorageError):
    """Blocks that are no file of the profile, or a file above the size allowed."""


class PeerError(StorageError):
    """A peer or daemon that did not answer, or answered wrongly."""


class NoPeer(StorageError):
    """No peer could give a block."""
