"""Show the queue's own numbers as counters: `python probe.py http://RABBITMQ:15692`.

RabbitMQ's plugin rabbitmq_prometheus gives them without a login. They are gauges, and a verdict
counts what happens: each answer with a number that is out of bounds is one error.
"""

import json
import re
import sys
import urllib.request
from pathlib import Path

BACKLOG = 500
"""More messages than this wait only if the workers cannot keep up."""
PREFETCH = 4
KEPT = Path("data/probe.json")


def numbers(url: str) -> dict[str, int]:
    """Ask RabbitMQ for the numbers of the queue `jobs`."""
    wanted = "family=queue_coarse_metrics&family=queue_consumer_count"
    with urllib.request.urlopen(f"{url}/metrics/detailed?{wanted}", timeout=5) as answer:
        text = answer.read().decode()
    found = re.findall(r'^rabbitmq_detailed_queue_(\w+)\{.*queue="jobs".*\} (\d+)', text, re.M)
    return {name: int(value) for name, value in found}


def main(url: str) -> None:
    now = numbers(url)
    if "consumers" not in now:  # RabbitMQ counts every five seconds: the queue is new
        print("{}")
        return
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"most_consumers": 0, "errors": {}}
    kept["most_consumers"] = max(kept["most_consumers"], now["consumers"])
    out_of_bounds = {
        "backlog": now["messages_ready"] > BACKLOG,
        "consumers_missing": now["consumers"] < kept["most_consumers"] / 2,
        "unacknowledged": now["messages_unacked"] > PREFETCH * now["consumers"],
    }
    for name, is_so in out_of_bounds.items():
        kept["errors"][name] = kept["errors"].get(name, 0) + is_so
    KEPT.write_text(json.dumps(kept))
    print(json.dumps({"errors": kept["errors"]}))


main(sys.argv[1])
