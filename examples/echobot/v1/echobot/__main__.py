"""Start the bot: ``python3 -m echobot``."""

from echobot import life

if __name__ == "__main__":
    # The lock on the token comes first, before anything heavy is imported.
    with life.only_one():
        from echobot import bot

        bot.main()
