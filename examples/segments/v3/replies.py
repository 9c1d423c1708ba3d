"""What the bot answers."""

COUNTED = {1: "one word", 2: "two words"}


def reply(text: str, *, is_beta: bool) -> str:
    if is_beta:
        return f"you said, in {COUNTED[len(text.split())]}: {text}"
    return f"you said: {text}"
