"""The example `queue`: workers on one RabbitMQ queue, a canary among them, and nothing lost."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.examples.playing import IS_LONG, Example, long
from tests.examples.wheels import wheelhouse

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.lab import Lab
    from tests.lab.plugin import NewLab

PER_SECOND = long(20, 60)
"""Messages that are published, for four workers."""
PREFETCH = 4
WORKERS = (("h2", "1"), ("h2", "2"), ("h3", "1"), ("h3", "2"))
SHARED = "/opt/worker/instances/{}/shared/data"


class Site:
    """RabbitMQ and a publisher on one machine, two workers on each of two others."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        """Start RabbitMQ, and the workers' first release; the publisher begins before it."""
        self.lab, self.rabbit = lab, lab["h1"]
        address = self.rabbit.address
        self.url = f"amqp://worker:secret@{address}/%2f"
        self.wheel = next(
            path for path in wheelhouse("pika==1.4.4").iterdir() if path.name.startswith("pika")
        )
        self.start_rabbit()
        self.played = Example(
            folder,
            lab,
            example="queue",
            machines={"192.0.2.20": "h1", "192.0.2.21": "h2", "192.0.2.22": "h3"},
            secrets={"AMQP_URL": self.url},
        )
        self.install_pika()
        self.soaks("2s")

    def soaks(self, length: str) -> None:
        """Let the canary soak for so long."""
        canary, fleet = self.played.original("rollout")["rings"]
        settle = {"settle": f"{long(10, 1)}s"}
        rings = [{**canary, **settle, "soak": length}, {**fleet, **settle}]
        self.played.write(rings=rings)

    def start_rabbit(self) -> None:
        """Configure and start Debian's RabbitMQ, with the numbers of its queues on a port."""
        text = "default_user = worker\ndefault_pass = secret\nloopback_users = none\n"
        self.rabbit.root("cat >/etc/rabbitmq/rabbitmq.conf", stdin=text)
        self.rabbit.root("cat >/etc/rabbitmq/enabled_plugins", stdin="[rabbitmq_prometheus].\n")
        self.rabbit.root("systemctl start rabbitmq-server", timeout=300)

    def install_pika(self) -> None:
        """Give each version what pip would fetch: the lab's hosts have no way to an index."""
        for place in self.played.folder.glob("v2.*"):
            (place / "wheels").mkdir(exist_ok=True)
            shutil.copy(self.wheel, place / "wheels")
        bot = self.played.original("bot")
        if IS_LONG:
            offline = "--quiet --no-index --find-links wheels"
            build = [line.replace("--quiet", offline) for line in bot["build"]]
            self.played.bot = {"build": build}
            return
        # In the short form without a virtual environment, which takes longer than the soak.
        probe = bot["probe"]["command"].replace(".venv/bin/python", "python3")
        self.played.bot = {
            "build": None,
            "env": {"PYTHONPATH": f"wheels/{self.wheel.name}"},
            "command": "/usr/bin/python3 worker.py",
            "probe": {"command": probe},
        }

    def publish(self) -> None:
        """Start the publisher, which goes on until `stop_publishing`."""
        self.rabbit.root("cat >/srv/pika.whl", stdin=self.wheel.read_bytes())
        text = (self.played.folder / "publisher.py").read_text()
        self.rabbit.root("cat >/srv/publisher.py", stdin=text)
        words = f"python3 /srv/publisher.py {self.url} {PER_SECOND} /srv/published"
        self.rabbit.root(f"systemd-run -q --unit=publisher -E PYTHONPATH=/srv/pika.whl {words}")

    def stop_publishing(self) -> None:
        """Stop it, and wait until the workers have done what waited."""
        self.rabbit.root("systemctl stop publisher")
        self.played.wait_until(lambda: not self.waiting(), "the queue is empty", 300)

    def waiting(self) -> int:
        """Ask RabbitMQ itself how many messages wait or are in work."""
        asked = "rabbitmqctl -q --no-table-headers list_queues messages"
        return int(self.rabbit.root(asked, timeout=300).stdout)

    def published(self) -> set[int]:
        """List the jobs that RabbitMQ has confirmed."""
        return set(map(int, self.rabbit.root("cat /srv/published").stdout.split()))

    def done(self) -> list[dict[str, Any]]:
        """List what all workers have done, by the work's own effect."""
        rows = []
        for host, instance in WORKERS:
            text = self.lab[host].root(f"cat {SHARED.format(instance)}/done.jsonl").stdout
            rows += [json.loads(line) for line in text.splitlines()]
        return rows

    def acknowledged_first(self) -> set[int]:
        """List the jobs that version 2.3 took: it acknowledged them before it did them."""
        read = "journalctl -q -m -u 'worker@*' -o cat"
        text = "".join(self.lab[host].root(read).stdout for host in ("h2", "h3"))
        return set(map(int, re.findall(r"^INFO took job (\d+)$", text, re.MULTILINE)))

    def figures(self, acknowledged_first: set[int]) -> None:
        """Count what became of each message; nothing is lost but what a version gave up first."""
        rows, published, waiting = self.done(), self.published(), self.waiting()
        by_job = Counter(row["job"] for row in rows)
        lost = published - by_job.keys()
        twice = {job for job, count in by_job.items() if count > 1}
        redelivered = {row["job"] for row in rows if row["redelivered"]}
        self.played.tell(
            f"{len(published)} published, {len(by_job)} done, {waiting} waiting, {len(lost)} lost;"
            f" {len(redelivered)} done after a redelivery, {len(twice)} done twice"
        )
        assert by_job.keys() <= published
        assert waiting == 0
        assert lost <= acknowledged_first
        assert len(lost) <= PREFETCH
        assert twice <= redelivered


@pytest.fixture
def site(new_lab: NewLab, tmp_path: Path) -> Site:
    """Give the example on three machines, with traffic and a release that is proven."""
    made = Site(new_lab(3, suite="bookworm+rabbitmq"), tmp_path)
    made.played.type("canary prod")
    made.soaks(f"{long(120, 40)}s")
    made.publish()
    return made


def test_each_bad_worker_is_caught_on_the_canary_and_no_job_is_lost_but_by_one(site: Site) -> None:
    """One fails on 2 % of the jobs, one acknowledges before it works and crashes."""
    played = site.played
    time.sleep(long(120, 15))  # a past
    good = played.running()
    assert len(set(good)) == 1
    played.type("canary prod --source v2.1", code=1)
    told_back(played, "v2.1", "KeyError: 'CHF'")
    played.type("canary prod --source v2.3", code=1)
    told_back(played, "v2.3", "Main process exited")
    assert played.running() == good
    site.stop_publishing()
    site.figures(site.acknowledged_first())


def told_back(played: Example, version: str, bad: str) -> None:
    """Note how long the way back took."""
    seconds = played.seconds_until_back("h2", "worker@1", bad)
    played.tell(f"version 2.0 ran again {seconds:.1f} s after the first bad line of {version}")
