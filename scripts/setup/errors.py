"""The one error of set-up."""


class SetupError(Exception):
    """Set-up cannot go on. The message tells the person at the terminal what to do about it.

    Nothing half done is left behind: after that, the same command goes on where it stopped.
    """
