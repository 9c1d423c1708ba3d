# Write the seven events through Ruby's Logger.
require "logger"

def pay(account)
  account.fetch("balance")
end

def failure
  pay({})
rescue KeyError => error
  error
end

log = Logger.new($stdout, progname: ARGV[0] == "named" ? "bot" : nil)
log.info("ready with 3 shards")
log.warn("rate limited for 1.5 s")
log.info("message from <alice>: FATAL: help")
log.error("pay failed for 42")
log.error(failure)
log.warn(failure)
log.fatal("no database")
