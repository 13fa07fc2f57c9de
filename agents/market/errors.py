"""What can go wrong between a name and what it stands for; each message says what to do."""


class MarketError(Exception):
    """Base of what this package raises."""


class BadReference(MarketError):
    """A text that names no model, whatever the chain says."""


class NoModel(MarketError):
    """A model that is unknown, or whose files can't be had or are not what they should be."""


class BadSetting(MarketError):
    """A setting is missing or out of range; the text names it, its variable and its flag."""


class NoAccount(MarketError):
    """Nobody said which account to act for."""


class BadAmount(MarketError):
    """A text that is no amount of the payment token."""


class BadEvidence(MarketError):
    """What a court logged can't be read as a case with its evidence."""
