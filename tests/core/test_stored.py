"""What an older version wrote down on hosts is read, and written back the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.evidence.process_lives import Lives
from botdeploy.core.host.state_record import from_record
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.probes.probe import ProbeReading
from botdeploy.core.release.manifest import parse_manifest

STORED = Path(__file__).parents[1] / "data" / "stored"
EVIDENCE = (STORED / "evidence.json").read_text()
READER: dict[str, Any] = json.loads(EVIDENCE)["reader"]
HOST: dict[str, Any] = json.loads((STORED / "host.json").read_text())
SWITCH_US = 1_796_084_804_057_492


def test_evidence_is_written_as_it_was_read() -> None:
    """Byte for byte, with what the reader goes on from."""
    assert Evidence.from_json(EVIDENCE).to_json() == EVIDENCE


def test_evidence_means_what_it_meant() -> None:
    """Counts, first sights, incidents and gaps stand where they stood."""
    found = Evidence.from_json(EVIDENCE)
    old, new = found.totals("R2"), found.totals("R3")
    assert (old.lines, old.handled, old.error_lines, old.latency_count) == (26, 24, 1, 24)
    assert (new.lines, new.handled, new.probed, new.dropped) == (5, 4, 2, 40)
    assert new.errors == {"KeyError: 'guild'": 1, "no token left": 1}
    assert {kind.value: many for kind, many in new.system.items()} == {
        "started": 2, "dropped": 1, "crashed": 1, "failed": 1, "restart": 1,
    }  # fmt: skip
    assert found.coverage.spans() == [
        (SWITCH_US - 600_000_000, SWITCH_US + 61_500_000),
        (SWITCH_US + 70_000_000, SWITCH_US + 75_000_000),
    ]
    first = found.classes()["no token left"]
    assert (first.at_us, first.release, first.is_fatal) == (SWITCH_US + 3_000_000, "R3", True)
    kinds = [one.kind for one in found.incidents("R3")]
    assert kinds == ["started", "fatal", "dropped", "crashed", "failed", "restart", "started"]


def test_a_reader_goes_on_where_the_older_one_ended() -> None:
    """A trace and a line that journald cut wait for their ends, and get them."""
    reader = Assembler()
    reader.load(READER["assembler"])
    assert reader.save() == READER["assembler"]
    at_us = SWITCH_US + 61_100_000
    ends = (("990", "KeyError: 'guild'"), ("991", "and here it ends"))
    lines = [
        line
        for pid, text in ends
        for line in reader.feed(
            {"__REALTIME_TIMESTAMP": str(at_us), "MESSAGE": text, "PRIORITY": "6", "_PID": pid}
        )
    ] + reader.flush()
    (trace,) = [line for line in lines if line.fingerprint]
    (cut,) = [line for line in lines if not line.fingerprint]
    assert trace.fingerprint == "Traceback!KeyError bot.py:handle 'guild'"
    assert trace.message.startswith("ERROR job failed\nTraceback")
    assert cut.message == "a line that journald cut here: and here it ends"


def test_a_readers_other_parts_are_written_as_they_were_read() -> None:
    """The bot's lives and a probe's counters."""
    assert Lives.from_record(READER["lives"]).to_record() == READER["lives"]
    reading = ProbeReading.from_record(READER["probe"])
    assert reading is not None
    assert reading.to_record() == READER["probe"]
    assert json.loads(json.dumps(reading.to_record())) == READER["probe"]


def test_a_manifest_is_written_as_it_was_read() -> None:
    """Byte for byte, and each file with its mode."""
    text = (STORED / "manifest.txt").read_text()
    found = parse_manifest(text)
    assert found.text == text
    assert {path: one.mode for path, one in found.files().items()} == {
        "bot.py": 0o644,
        "lib/common.txt": 0o644,
    }


def test_a_pending_switch_and_its_gates_are_read() -> None:
    """Under lease, held by a person and approved by one, with the lock taken."""
    state = from_record(HOST["pending"]["record"])
    switch, lock, rollout = state.switch, state.lock, state.rollout
    assert switch is not None
    assert lock is not None
    assert rollout is not None
    assert (switch.phase.value, switch.try_id, switch.new, switch.old) == (
        "pending",
        "run3",
        "R3",
        "R2",
    )
    assert (switch.lease_left_s, switch.is_steady) == (300, True)
    assert switch.armed_us == 1_796_085_069_148_718
    assert (state.current, state.previous, state.running) == ("R3", "R2", "R3")
    assert (lock.owner, lock.kind, lock.why) == ("tester", "rollout", "a test")
    assert (rollout.id, rollout.release, rollout.ring) == ("roll1", "R3", "canary")
    assert (rollout.since, rollout.outcome) == ("2026-12-01T00:31:06.910979Z", "")
    (approval,) = state.approvals
    assert (approval.release, approval.ring) == ("R3", "fleet")
    assert state.hold == "ann@laptop since 2026-12-01T00:31:08.932713Z: the weekend"
    assert [one.id for one in state.releases] == ["R2", "R1", "R3"]
    assert [state.is_proven(one) for one in ("R1", "R2", "R3")] == [True, True, False]
    assert [release for _, release in state.switches] == ["R1", "R2", "R3"]


def test_a_return_and_a_quarantine_are_read() -> None:
    """Why it went back, by whom, and what may not be tried again."""
    state = from_record(HOST["returned"]["record"])
    switch = state.switch
    assert switch is not None
    assert (switch.phase.value, switch.by, switch.cause) == ("reverted", "controller", "verdict")
    assert (switch.why, switch.earlier) == ("it failed", "run2")
    assert (state.current, state.running, state.previous) == ("R2", "R2", "R1")
    digest = "bd603425322e6cb343fb8671c0b931471353782d1df0290228d55b02ab6a8c45"
    assert state.quarantine == {digest: "it failed"}
    (error,) = state.refused
    assert (error.fingerprint, error.text, error.release) == ("KeyError x", "KeyError", "R3")
    release = state.release("R2")
    assert release is not None
    assert (release.proven_in, release.proven_us) == ("roll1", 1_796_085_068_499_042)
