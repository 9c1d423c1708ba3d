"""What an older version left on a host is read there, and today's writes the same form."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.hosts.acts.actkit import BOT, Actor, release

if TYPE_CHECKING:
    from tests.lab.host import Host
    from tests.lab.lab import Lab

STORED = Path(__file__).parents[1] / "data" / "stored"
HOST: dict[str, Any] = json.loads((STORED / "host.json").read_text())
EVIDENCE = (STORED / "evidence.json").read_bytes()
R1, R2, R3 = release("R1"), release("R2"), release("R3")
STATE = f"/var/lib/botdeploy/{BOT}"
VARIES = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+Z|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|s=[^\n]*"
    r"|\bT[0-9a-f]{7,}|\b[0-9a-f]{32}\b|(?<==)[\d.]{2,}|\b\d{16}\b|\A\d+\n\Z"
)
"""Times, boots, cursors, tokens, runs of a process and seconds."""
MEASURED = {"age_s", "ran_s", "left_s", "lease_left_s"}


@pytest.fixture
def host(lab: Lab) -> Host:
    """Give a host on R2, with R3 pending, held, approved and with evidence, as it was then."""
    host = lab["h1"]
    actor = Actor(host)
    actor.token = "T69526955e9a0"
    assert "installed" in actor.install()
    assert "state" in actor.enter()
    for made, base, run in ((R1, None, "run1"), (R2, R1, "run2")):
        assert not actor.stage(made, base).fault
        assert "switched" in actor.switch(run, made.id)
        assert "confirmed" in actor("confirm", actor.token, run)
        assert "proven" in actor("prove", actor.token, made.id, 5, "roll1")
    assert not actor.stage(R3, R2).fault
    assert "gate" in actor("gate", "hold", "ann@laptop", "the weekend")
    assert "gate" in actor("gate", "approve", "ann@laptop", "looks good", "R3", "fleet")
    assert "kept" in actor("keep", actor.token, "R2", stdin=EVIDENCE)
    assert "switched" in actor.switch("run3", "R3", 300)
    return host


def plain(text: str) -> str:
    """Leave out what differs from run to run."""
    return VARIES.sub("…", text)


def files_of(host: Host, wanted: dict[str, str]) -> dict[str, str]:
    """Read those files; what is not there is missing."""
    names = [name for name in wanted if host.root(f"test -f {name}", check=False).ok]
    return {name: host.root(f"cat {name}").stdout for name in names}


def assert_holds(found: Any, kept: Any, where: str = "") -> None:
    """Compare an older record with a newer one, which may tell more."""
    if isinstance(kept, dict):
        for name, value in kept.items():
            assert name in found, f"{where}.{name}"
            if name not in MEASURED:
                assert_holds(found[name], value, f"{where}.{name}")
    elif isinstance(kept, list):
        assert len(found) == len(kept), where
        for one, other in zip(found, kept, strict=True):
            assert_holds(one, other, where)
    else:
        assert plain(json.dumps(found)) == plain(json.dumps(kept)), where


def assert_written_alike(host: Host, step: str) -> None:
    """Each line of each older file has to be in the newer one, in whatever order."""
    kept = HOST[step]["files"]
    found = files_of(host, kept)
    assert found.keys() == kept.keys()
    for name, text in kept.items():
        lines = plain(found[name]).splitlines()
        missing = [line for line in plain(text).splitlines() if line not in lines]
        assert not missing, (name, missing, lines)


def test_files_are_written_in_the_form_that_an_older_version_reads(host: Host) -> None:
    """A pending switch with lock, lease, gates and proofs; then a return and a quarantine."""
    actor = Actor(host)
    actor.token = "T69526955e9a0"
    assert_written_alike(host, "pending")
    assert_holds(actor.state(), HOST["pending"]["record"])
    why = (
        R3.digest,
        "verdict",
        '{"fingerprint": "KeyError x", "text": "KeyError", "release": "R3"}',
    )
    assert "reverted" in actor("revert", actor.token, "back", "-", "it failed", *why)
    assert_written_alike(host, "returned")
    assert_holds(actor.state(), HOST["returned"]["record"])


def test_what_an_older_version_wrote_is_read_and_acted_on(host: Host) -> None:
    """Its pending switch is told, confirmed and proven; its evidence comes back as it was."""
    actor = Actor(host)
    actor.token = "T69526955e9a0"
    stored = HOST["pending"]["files"]
    here = files_of(host, stored)
    for name, text in stored.items():
        if name.startswith(STATE):
            host.root(f"cat >{name}", stdin=of_this_boot(text, here[name]).encode())
    assert_holds(actor.state(), HOST["pending"]["record"])
    packed = base64.b64decode(str(actor("evidence", "R2")["evidence"]))
    kept = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
    assert kept == EVIDENCE
    assert "extended" in actor("extend", actor.token, "run3", 200)
    assert "confirmed" in actor("confirm", actor.token, "run3")
    assert "proven" in actor("prove", actor.token, "R3", 5, "roll1")
    state = actor.state()
    assert (state["phase"]["phase"], state["phase"]["run"]) == ("confirmed", "run3")
    pending = of_this_boot(stored[f"{STATE}/pending"], here[f"{STATE}/pending"])
    confirmed = host.root(f"cat {STATE}/confirmed").stdout
    assert plain(confirmed) == plain(pending)


def of_this_boot(text: str, here: str) -> str:
    """Take what only this boot can know from what stands here: the boot, and seconds since it."""
    for name in ("boot", "armed_up"):
        found = re.search(rf"^{name}=.*$", here, re.MULTILINE)
        if found:
            text = re.sub(rf"^{name}=.*$", found[0], text, flags=re.MULTILINE)
    return text
