"""What a command cannot do, in a line."""


class CommandError(Exception):
    """The command cannot be carried out; the message says why and what to do."""


class OutputError(Exception):
    """What was found cannot be printed; the message says why."""
