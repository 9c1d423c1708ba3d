"""A Telegram bot that answers what it is told. Chats in BETA_CHATS get what is new."""

import asyncio
import logging
import os
import signal

from replies import reply
from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters

BETA_CHATS = os.environ.get("BETA_CHATS", "").split(",")
"""Ids of chats, or `all`."""
FAREWELL_S = float(os.environ.get("FAREWELL_S", "0"))
"""How long the bot goes on after it was told to stop: talks come to their end."""


async def answer(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
    is_beta = "all" in BETA_CHATS or str(update.effective_chat.id) in BETA_CHATS
    await update.message.reply_text(reply(update.message.text, is_beta=is_beta))
    logging.info("answered chat %s", update.effective_chat.id)


async def main() -> None:
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel("WARNING")  # it logs each question, with the token
    builder = Application.builder().token(os.environ["TELEGRAM_TOKEN"])
    if "TELEGRAM_API" in os.environ:  # a stand-in, in tests
        builder = builder.base_url(os.environ["TELEGRAM_API"] + "/bot")
    bot = builder.build()
    bot.add_handler(MessageHandler(filters.TEXT, answer))
    told_to_stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_stop.set)
    async with bot:
        await bot.start()
        await bot.updater.start_polling()
        print("READY", flush=True)
        await told_to_stop.wait()
        await asyncio.sleep(FAREWELL_S)
        await bot.updater.stop()
        await bot.stop()


asyncio.run(main())
