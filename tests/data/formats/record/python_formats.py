"""Write the same seven events through one logger of Python's world: ``python_formats.py NAME``.

The events are those of README.md. Without a NAME, list the names.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import economy

if TYPE_CHECKING:
    from collections.abc import Callable

WRITERS: dict[str, Callable[[], None]] = {}
STANDARD = {
    "logging_basic": None,
    "logging_level_message": "%(levelname)s %(message)s",
    "logging_brackets": "[%(levelname)s] %(message)s",
    "logging_time_name_level": "%(asctime)s %(name)s %(levelname)s %(message)s",
    "logging_dashes": "%(asctime)s - %(name)s - %(levelname)s - %(message)s",
    "logging_django": "[%(asctime)s] %(levelname)s [%(name)s.%(funcName)s:%(lineno)d] %(message)s",
    "logging_bars": "%(asctime)s | %(levelname)-8s | %(name)s:%(lineno)d | %(message)s",
    "logging_letter": "%(asctime)s %(levelname).1s %(name)s: %(message)s",
    "logging_thread": "%(asctime)s [%(threadName)s] [%(levelname)s] %(name)s: %(message)s",
    "logging_last": "%(asctime)s %(name)s %(process)d %(threadName)s %(levelname)s: %(message)s",
}


def writer(function: Callable[[], None]) -> Callable[[], None]:
    """Take a function in under its name."""
    WRITERS[function.__name__] = function
    return function


def events(log: Any, fatal: str = "critical") -> None:
    """Write the events through an object with the methods of ``logging.Logger``."""
    log.info("ready with 3 shards")
    log.warning("rate limited for 1.5 s")
    log.info("message from <alice>: FATAL: help")
    log.error("pay failed for 42")
    try:
        economy.pay()
    except KeyError:
        log.error("order failed", exc_info=True)
        log.warning("cache is cold", exc_info=True)
    getattr(log, fatal)("no database")


def standard(form: str | None) -> None:
    """Write through ``logging`` itself."""
    logging.basicConfig(level="INFO", stream=sys.stdout, **({"format": form} if form else {}))
    events(logging.getLogger("bot.main"))


def handled(handler: logging.Handler) -> None:
    """Write through a handler of a library's."""
    logging.basicConfig(level="INFO", handlers=[handler], format="%(message)s")
    events(logging.getLogger("bot.main"))


@writer
def structlog_console() -> None:
    import structlog

    events(structlog.get_logger())


@writer
def structlog_console_plain() -> None:
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    )
    events(structlog.get_logger())


def _structlog(*last: Any) -> None:
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            *last,
        ]
    )
    events(structlog.get_logger())


@writer
def structlog_json() -> None:
    import structlog

    _structlog(structlog.processors.JSONRenderer())


@writer
def structlog_logfmt() -> None:
    import structlog

    _structlog(structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]))


@writer
def structlog_keyvalue() -> None:
    import structlog

    _structlog(structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]))


class _Loguru:
    def __init__(self, log: Any) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        def say(text: str, *, exc_info: bool = False) -> None:
            getattr(self._log.opt(exception=exc_info), name)(text)

        return say


def _loguru(**options: Any) -> None:
    from loguru import logger

    logger.remove()
    logger.add(sys.stdout, level="INFO", **options)
    events(_Loguru(logger))


@writer
def loguru_default() -> None:
    _loguru()


@writer
def loguru_colours() -> None:
    _loguru(colorize=True)


@writer
def loguru_json() -> None:
    _loguru(serialize=True)


@writer
def loguru_plain() -> None:
    _loguru(format="{time} {level} {message}")


@writer
def rich_handler() -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    handled(RichHandler(console=Console(width=100), rich_tracebacks=False))


@writer
def rich_tracebacks() -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    handled(RichHandler(console=Console(width=100), rich_tracebacks=True))


@writer
def celery_worker() -> None:
    from celery import Celery

    app = Celery("bot")
    app.log.setup(loglevel="INFO", redirect_stdouts=False, colorize=False)
    events(logging.getLogger("bot.main"))


@writer
def tornado_log() -> None:
    import tornado.log

    logging.getLogger().setLevel("INFO")
    tornado.log.enable_pretty_logging()
    events(logging.getLogger("tornado.application"))


@writer
def discord_setup() -> None:
    import discord

    discord.utils.setup_logging()
    events(logging.getLogger("bot.main"))


@writer
def hikari_default() -> None:
    from hikari.internal import ux

    ux.init_logging("INFO", allow_color=False, force_color=False)
    events(logging.getLogger("bot.main"))


@writer
def hikari_colours() -> None:
    from hikari.internal import ux

    ux.init_logging("INFO", allow_color=True, force_color=True)
    events(logging.getLogger("bot.main"))


@writer
def dramatiq_worker() -> None:
    from dramatiq.cli import LOGFORMAT

    standard(LOGFORMAT)


@writer
def gunicorn_error_log() -> None:
    from gunicorn.config import Config
    from gunicorn.glogging import Logger

    config = Config()
    events(Logger(config).error_log)


@writer
def uvicorn_default() -> None:
    import copy
    import logging.config

    from uvicorn.config import LOGGING_CONFIG

    config = copy.deepcopy(LOGGING_CONFIG)
    config["formatters"]["default"]["use_colors"] = False
    logging.config.dictConfig(config)
    events(logging.getLogger("uvicorn.error"))


@writer
def rq_worker() -> None:
    from rq.logutils import setup_loghandlers

    setup_loghandlers("INFO", name="rq.worker")
    events(logging.getLogger("rq.worker"))


@writer
def huey_consumer() -> None:
    from huey.consumer_options import ConsumerConfig

    config = ConsumerConfig(simple_log=False, verbose=False)
    config.setup_logger(logging.getLogger("huey"))
    logging.getLogger("huey").setLevel("INFO")
    events(logging.getLogger("huey"))


@writer
def scrapy_default() -> None:
    from scrapy.utils.log import configure_logging

    configure_logging({"LOG_LEVEL": "INFO"})
    events(logging.getLogger("bot.main"))


@writer
def twisted_text() -> None:
    from twisted.logger import Logger, globalLogBeginner, textFileLogObserver
    from twisted.python.failure import Failure

    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    log = Logger("bot.main")
    log.info("ready with 3 shards")
    log.warn("rate limited for 1.5 s")
    log.info("message from <alice>: FATAL: help")
    log.error("pay failed for 42")
    try:
        economy.pay()
    except KeyError:
        failure = Failure()
        log.failure("order failed", failure=failure, level=log_level("error"))
        log.failure("cache is cold", failure=failure, level=log_level("warn"))
    log.critical("no database")


def log_level(name: str) -> Any:
    """Look a level of Twisted's up."""
    from twisted.logger import LogLevel

    return LogLevel.levelWithName(name)


@writer
def logbook_stream() -> None:
    import logbook

    logbook.StreamHandler(sys.stdout, level="INFO").push_application()
    events(logbook.Logger("bot.main"))


@writer
def json_logger() -> None:
    from pythonjsonlogger.json import JsonFormatter

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level="INFO", handlers=[handler])
    events(logging.getLogger("bot.main"))


@writer
def ecs_logger() -> None:
    import ecs_logging

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(ecs_logging.StdlibFormatter())
    logging.basicConfig(level="INFO", handlers=[handler])
    events(logging.getLogger("bot.main"))


@writer
def logfmter_default() -> None:
    from logfmter import Logfmter

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Logfmter())
    logging.basicConfig(level="INFO", handlers=[handler])
    events(logging.getLogger("bot.main"))


@writer
def coloredlogs_default() -> None:
    import coloredlogs

    coloredlogs.install(level="INFO", stream=sys.stdout, isatty=True)
    events(logging.getLogger("bot.main"))


@writer
def colorlog_default() -> None:
    import colorlog

    handler = colorlog.StreamHandler(sys.stdout)
    handler.setFormatter(
        colorlog.ColoredFormatter("%(log_color)s%(levelname)s:%(name)s:%(message)s", force_color=True)
    )
    logging.basicConfig(level="INFO", handlers=[handler])
    events(logging.getLogger("bot.main"))


@writer
def absl_default() -> None:
    from absl import logging as absl_logging

    absl_logging.use_absl_handler()
    absl_logging.set_verbosity(absl_logging.INFO)
    absl_logging.set_stderrthreshold("info")
    events(logging.getLogger("absl"))


@writer
def daiquiri_default() -> None:
    import daiquiri

    daiquiri.setup(level=logging.INFO)
    events(daiquiri.getLogger("bot.main"))


@writer
def aiogram_dispatcher() -> None:
    """An update whose handler fails, and the events beside it."""
    import asyncio
    import datetime

    from aiogram import Bot, Dispatcher, types

    logging.basicConfig(level="INFO", stream=sys.stdout)
    dispatcher = Dispatcher()

    @dispatcher.message()
    async def start(_: types.Message) -> None:
        economy.pay()

    async def run() -> None:
        bot = Bot("42:TOKEN")
        message = types.Message(
            message_id=1,
            date=datetime.datetime.now(tz=datetime.UTC),
            chat=types.Chat(id=1, type="private"),
            text="FATAL: help",
        )
        update = types.Update(update_id=1, message=message)
        await dispatcher._process_update(bot, update)
        await bot.session.close()

    asyncio.run(run())


@writer
def telegram_application() -> None:
    """An update whose handler fails, without an error handler."""
    import asyncio

    from telegram.ext import Application, TypeHandler

    logging.basicConfig(
        level="INFO",
        stream=sys.stdout,
        format="%(asctime)s - %(name)s - %(levelname)s - %(message)s",
    )

    async def start(_: object, __: object) -> None:
        economy.pay()

    async def run() -> None:
        application = Application.builder().token("42:TOKEN").build()
        application.add_handler(TypeHandler(str, start))
        application._initialized = True
        await application.process_update("FATAL: help")

    asyncio.run(run())


@writer
def telegram_invalid_token() -> None:
    """What an unhandled InvalidToken prints."""
    import telegram.error

    print("starting", flush=True)
    raise telegram.error.InvalidToken("The token `42:x` was rejected by the server.")


@writer
def aiogram_invalid_token() -> None:
    """What a token of a wrong form prints."""
    from aiogram import Bot

    print("starting", flush=True)
    Bot("nonsense")


@writer
def never_awaited() -> None:
    """A coroutine that nobody awaits."""
    logging.basicConfig(level="INFO", stream=sys.stdout)

    async def pay() -> None:
        pass

    logging.getLogger("bot.main").info("ready with 3 shards")
    pay()


@writer
def pika_connection() -> None:
    """A broker that is not there."""
    import pika

    logging.basicConfig(level="INFO", stream=sys.stdout)
    try:
        pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port=9))
    except pika.exceptions.AMQPConnectionError:
        logging.getLogger("bot.main").info("going on without a broker")


@writer
def slack_bolt_app() -> None:
    """A listener that fails."""
    from slack_bolt import App
    from slack_bolt.authorization import AuthorizeResult
    from slack_bolt.request import BoltRequest

    logging.basicConfig(level="INFO", stream=sys.stdout)
    app = App(
        signing_secret="x",
        authorize=lambda: AuthorizeResult(enterprise_id=None, team_id="T", bot_token="x"),
        request_verification_enabled=False,
        ssl_check_enabled=False,
        url_verification_enabled=False,
        process_before_response=True,
    )

    @app.command("/pay")
    def pay(ack: Any) -> None:
        ack()
        economy.pay()

    body = "command=%2Fpay&text=FATAL&team_id=T&user_id=U&channel_id=C&api_app_id=A"
    app.dispatch(
        BoltRequest(
            body=body, headers={"content-type": ["application/x-www-form-urlencoded"]}
        )
    )


for _name, _form in STANDARD.items():
    WRITERS[_name] = lambda _form=_form: standard(_form)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        WRITERS[sys.argv[1]]()
    else:
        print("\n".join(WRITERS))
