"""What the bot answers."""


def reply(text: str, *, is_beta: bool) -> str:
    return f"you said: {text}"
