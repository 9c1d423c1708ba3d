"""What fails in the bot whose loggers are recorded."""


def pay() -> int:
    """Raise a KeyError."""
    account: dict[str, int] = {}
    return account["balance"]
