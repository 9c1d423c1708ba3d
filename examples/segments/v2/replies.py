"""What the bot answers."""


def reply(text: str, *, is_beta: bool) -> str:
    if is_beta:
        return f"you said, in {len(text.split())} words: {text}"
    return f"you said: {text}"
