# Write events through Elixir's Logger: `elixir elixir_formats.exs NAME`.
require Logger

defmodule Economy do
  def pay(account), do: Map.fetch!(account, :balance)
end

defmodule Bot do
  use GenServer
  def init(state), do: {:ok, state}
  def handle_call(:pay, _from, state), do: {:reply, Economy.pay(state), state}
end

failure = fn ->
  try do
    Economy.pay(%{})
  rescue
    error -> Exception.format(:error, error, __STACKTRACE__)
  end
end

case System.argv() do
  ["events"] ->
    Logger.info("ready with 3 shards")
    Logger.warning("rate limited for 1.5 s")
    Logger.info("message from <alice>: FATAL: help")
    Logger.error("pay failed for 42")
    Logger.error("order failed\n" <> failure.())
    Logger.warning("cache is cold\n" <> failure.())
    Logger.critical("no database")

  ["genserver"] ->
    {:ok, pid} = GenServer.start(Bot, %{})
    Logger.info("ready with 3 shards")

    try do
      GenServer.call(pid, :pay)
    catch
      :exit, _ -> Logger.info("going on")
    end

  ["uncaught"] ->
    Logger.info("ready with 3 shards")
    Logger.flush()
    Economy.pay(%{})
end

Logger.flush()
