"use strict";
// Write the same seven events through one logger of Node's world: `node node_formats.js NAME`.
// Without a NAME, list the names. The packages are found through NODE_PATH.
const { pay } = require("./economy");

function failure() {
  try {
    return pay();
  } catch (error) {
    return error;
  }
}

function events(info, warn, error, fatal, trace) {
  info("ready with 3 shards");
  warn("rate limited for 1.5 s");
  info("message from <alice>: FATAL: help");
  error("pay failed for 42");
  trace(error, "order failed", failure());
  trace(warn, "cache is cold", failure());
  if (fatal) fatal("no database");
}

function bound(log, names, trace) {
  const of = (name) => (...args) => log[name](...args);
  const [info, warn, error, fatal] = names;
  events(of(info), of(warn), of(error), fatal && of(fatal), trace);
}

const objectFirst = (say, text, error) => say(error, text);
const textFirst = (say, text, error) => say(text, error);

function winston(format, levels) {
  const w = require("winston");
  const log = w.createLogger({
    level: "info",
    levels: levels || w.config.syslog.levels,
    format,
    transports: [new w.transports.Console()],
  });
  bound(log, ["info", "warning", "error", "crit"], textFirst);
}

const writers = {
  pino: () => bound(require("pino")(), ["info", "warn", "error", "fatal"], objectFirst),
  pino_label: () =>
    bound(
      require("pino")({ base: null, formatters: { level: (label) => ({ level: label }) } }),
      ["info", "warn", "error", "fatal"],
      objectFirst
    ),
  pino_pretty: () => {
    const stream = require("pino-pretty")({ colorize: true, sync: true });
    bound(require("pino")(stream), ["info", "warn", "error", "fatal"], objectFirst);
  },
  pino_pretty_plain: () => {
    const stream = require("pino-pretty")({ colorize: false, singleLine: true, sync: true });
    bound(require("pino")(stream), ["info", "warn", "error", "fatal"], objectFirst);
  },
  bunyan: () =>
    bound(require("bunyan").createLogger({ name: "bot" }), ["info", "warn", "error", "fatal"], objectFirst),
  winston_json: () => {
    const { format } = require("winston");
    winston(format.combine(format.errors({ stack: true }), format.timestamp(), format.json()));
  },
  winston_simple: () => winston(require("winston").format.simple()),
  winston_cli: () => {
    const { format } = require("winston");
    winston(
      format.combine(
        format.errors({ stack: true }),
        format.colorize({ colors: { crit: "red", warning: "yellow" } }),
        format.timestamp(),
        format.printf((one) => `${one.timestamp} ${one.level}: ${one.stack || one.message}`)
      )
    );
  },
  winston_printf: () => {
    const { format } = require("winston");
    winston(
      format.combine(
        format.errors({ stack: true }),
        format.label({ label: "bot" }),
        format.timestamp(),
        format.printf((one) => `${one.timestamp} [${one.label}] ${one.level}: ${one.stack || one.message}`)
      )
    );
  },
  log4js: () => {
    const log4js = require("log4js");
    log4js.configure({
      appenders: { out: { type: "stdout" } },
      categories: { default: { appenders: ["out"], level: "info" } },
    });
    bound(log4js.getLogger("bot"), ["info", "warn", "error", "fatal"], textFirst);
  },
  log4js_plain: () => {
    const log4js = require("log4js");
    log4js.configure({
      appenders: { out: { type: "stdout", layout: { type: "basic" } } },
      categories: { default: { appenders: ["out"], level: "info" } },
    });
    bound(log4js.getLogger("bot"), ["info", "warn", "error", "fatal"], textFirst);
  },
  signale: () => bound(require("signale"), ["info", "warn", "error", "fatal"], (say, text, error) => say(error)),
  consola: () => {
    const { createConsola } = require("consola");
    bound(createConsola({ fancy: false }), ["info", "warn", "error", "fatal"], textFirst);
  },
  tslog_pretty: () => {
    const { Logger } = require("tslog");
    bound(new Logger({ name: "bot" }), ["info", "warn", "error", "fatal"], textFirst);
  },
  tslog_json: () => {
    const { Logger } = require("tslog");
    bound(new Logger({ type: "json", name: "bot" }), ["info", "warn", "error", "fatal"], textFirst);
  },
  npmlog: () => {
    const npmlog = require("npmlog");
    npmlog.addLevel("fatal", 6000, { fg: "red" }, "FATAL");
    events(
      (text) => npmlog.info("bot", text),
      (text, error) => npmlog.warn("bot", error || text),
      (text, error) => npmlog.error("bot", error || text),
      (text) => npmlog.fatal("bot", text),
      textFirst
    );
  },
  nest: () => {
    require("reflect-metadata");
    const { ConsoleLogger } = require("@nestjs/common");
    bound(new ConsoleLogger("Bot"), ["log", "warn", "error", "fatal"], (say, text, error) => say(text, error.stack));
  },
  console: () => bound(console, ["info", "warn", "error", null], textFirst),
  unhandled_warning: () => {
    console.log("ready with 3 shards");
    Promise.reject(failure());
  },
  discord_token: () => {
    const { Client } = require("discord.js");
    console.log("starting");
    new Client({ intents: [] }).login("nonsense");
  },
};

const name = process.argv[2];
if (name) writers[name]();
else console.log(Object.keys(writers).join("\n"));
