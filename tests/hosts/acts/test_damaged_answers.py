"""A host that answers with nonsense: it is that host's fault, told as such, whatever it says.

Every reader of what a host says stands in one of the tables below, and a test compares the first
with the acts that there are: a reader that is added without being tried is noticed.
"""

from __future__ import annotations

import base64
import gzip
import inspect
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.evidence.process_lives import Lives
from botdeploy.core.host.state_record import from_record
from botdeploy.core.judge import Judge, JudgeOptions
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.structured import read_structured
from botdeploy.core.model.address import Address
from botdeploy.core.model.bot import Probe, ProbeKind
from botdeploy.core.probes.probe import ProbeReading, lines_of, read
from botdeploy.core.report.audit_log import read_acts
from botdeploy.core.text.secret_mask import Mask
from botdeploy.core.text.untrusted import entry_of, time_of
from botdeploy.engine.commands.logs import AsWritten
from botdeploy.engine.evidence.collect import collect
from botdeploy.engine.evidence.traffic import _seen
from botdeploy.errors import BotdeployError, HostError, LockedError
from botdeploy.hosts.acts.acts import Acts
from botdeploy.hosts.acts.call import Caller, Subject
from botdeploy.hosts.acts.lock import LockRequest
from botdeploy.hosts.acts.release import Upload
from botdeploy.hosts.follower import Delivery, Follower
from botdeploy.hosts.host_secrets import secret_values
from botdeploy.hosts.process.program import Completed
from tests.effort import examples
from tests.hosts.at_once import AtOnce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from botdeploy.core.host.host_state import HostState
    from botdeploy.core.lines.line import LogLine
    from botdeploy.hosts.process.program import HostConnection

NOW = "2026-11-24T09:00:00.000000Z"
NOW_US = 1_795_510_800_000_000
RUN = "0123456789abcdef0123456789abcdef"

# --- what hosts say when all is well --------------------------------------------------------------

PHASE = {
    "phase": "pending", "run": "r1", "new": "n", "old": "o", "by": "boot", "why": "w",
    "cause": "lease", "armed": NOW, "age_s": 3, "ran_s": 3.5, "lease_left_s": 9, "guard": "active",
    "earlier": "",
}  # fmt: skip
READ = {"read": {"entries": 2, "bytes": 900, "cut": True}}
LOCK = {"id": "1", "owner": "ben", "kind": "rollout", "why": "", "since": NOW, "left_s": 30}
STATE = {
    "current": "n", "previous": "o", "running": "n", "active_state": "active",
    "sub_state": "running", "restarts": 0, "result": "success", "invocation": RUN,
    "active_since_us": 1000, "uptime_s": 90, "boot_id": RUN, "at": NOW, "prepared": True,
    "phase": PHASE, "lock": LOCK, "quarantine": {"ab": "it failed"}, "stuck": "",
    "refused": ['{"fingerprint": "KeyError x", "text": "KeyError", "release": "n"}'],
    "switches": [[0, "-"], [NOW_US - 5, "o"], [NOW_US, "n"]],
    "releases": [{"id": "n", "digest": "ab", "proven": True, "staged_at": NOW, "proven_in": "r",
                  "tree": "cd"}],
    "rollout": {"id": "r1", "release": "n", "digest": "ab", "ring": "canary", "since": NOW},
    "approved": [{"release": "n", "ring": "fleet", "who": "ben", "why": "", "at": NOW}],
    "hold": {"who": "ben", "why": "x", "at": NOW},
    "instance": "dev", "machine": "m1", "trees": ["cd"],
    "standing": [{"instance": "dev", "environment": "prod"}],
    "disk": {"total_bytes": 9, "free_bytes": 5, "total_inodes": 9, "free_inodes": 5},
}  # fmt: skip
SWITCHED = {
    "switched": {"new": "n", "old": "o", "downtime_s": 0.3, "ready_s": 0.2, "invocation": RUN,
                 "cursor": "c", "at_us": NOW_US, "confirmed": False},
}  # fmt: skip
REVERTED = {"reverted": {"new": "n", "old": "o", "by": "host", "why": "w", "cause": "lease",
                         "seconds": 1.5, "runs": True}}  # fmt: skip
AUDIT = {"at": NOW, "act": "switch", "release": "n", "outcome": "ok", "who": "ben", "why": ""}
PROBED = {
    "probe": {"at_us": NOW_US, "body": base64.b64encode(b'{"handled": 3}').decode(), "took_s": 0.1,
              "code": 0, "status": 200, "said": "", "invocation": RUN, "up_s": 50.5},
}  # fmt: skip
ENTRY = {
    "__CURSOR": "c1", "__REALTIME_TIMESTAMP": str(NOW_US), "MESSAGE": "ERROR it failed",
    "PRIORITY": "6", "_PID": "7", "_SYSTEMD_INVOCATION_ID": RUN,
}  # fmt: skip
OF_SYSTEMD = {
    **ENTRY, "_PID": "1", "MESSAGE_ID": "5eb03494b6584870a536b337290809b3", "N_RESTARTS": "3",
    "EXIT_STATUS": "1", "EXIT_CODE": "exited", "UNIT_RESULT": "exit-code", "N_DROPPED": "2",
}  # fmt: skip


def _manifest() -> str:
    text = f"{'a' * 64}  bot.py\n\nf 0644 bot.py \n"
    return base64.b64encode(gzip.compress(text.encode())).decode()


def _kept() -> dict[str, Any]:
    kept = Evidence("h1")
    assembler = Assembler()
    entries = [ENTRY, OF_SYSTEMD, {**ENTRY, "MESSAGE": "took 12 ms"}, {**ENTRY, "_PID": "8"}]
    for line in [line for entry in entries for line in assembler.feed(entry)]:
        kept.add(line, "n")
    kept.extend(NOW_US + 9)
    lives = Lives(NOW_US, writers={"77": [3, NOW_US]})
    kept.reader = {
        "lives": lives.to_record(),
        "cursor": "c",
        "until_us": NOW_US,
        "assembler": assembler.save(),
        "runs": {RUN: "n"},
        "probe": ProbeReading(NOW_US, RUN, 5.0, handled={"a": 1.0}, errors={"b": 2.0}).to_record(),
    }
    assert kept.reader["assembler"]["open"], "an error waits for its trace"
    return cast("dict[str, Any]", json.loads(kept.to_json()))


KEPT = _kept()
FINAL: dict[str, Any] = {"final": True}

# --- nonsense -------------------------------------------------------------------------------------

NONSENSE = [
    "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 90 + "1" + "}" * 90, "1e400",
    "-1e400", "NaN", "-Infinity", "1" * 400, "-" + "9" * 5000, "-1", "1e300", "1e17", "null",
    "true", "[]", "{}", '""', "[[[[[1]]]]]", '"x"', '"\\ud800"', '"\\u009b31m\\u202e\\nh2: ok"',
    '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"', '"2026-01-01"',
    '"2026-01-01T00:00:00"', '"99999999999999999999"', '"-5"', '"1e99"', '"٣"', '"\\u0000"',
    '{"who": [1]}', '[1e9, "x"]', "[300, -1, 1e400]", '[{"id": 1}]', '"' + "x" * 100_000 + '"',
]  # fmt: skip
ABSURD = st.sampled_from(NONSENSE)
_HOLE = "@hole@"


def _places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield way
    if isinstance(value, dict):
        for key, one in value.items():
            yield from _places(one, (*way, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from _places(one, (*way, at))


def _with(value: Any, way: tuple[Any, ...], other: Any) -> Any:
    if not way:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[way[0]] = _with(copy[way[0]], way[1:], other)
    return copy


def _without(value: Any, way: tuple[Any, ...]) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(way) == 1:
        del copy[way[0]]
    else:
        copy[way[0]] = _without(copy[way[0]], way[1:])
    return copy


@st.composite
def damaged(draw: st.DrawFn, whole: Any) -> bytes:
    """Give JSON of a value of which something is absurd, missing, or not even text."""
    text = json.dumps(whole)
    for _ in range(draw(st.integers(1, 2))):
        way = draw(st.sampled_from(list(_places(whole))))
        match draw(st.integers(0, 9)):
            case 0 if way:
                return json.dumps(_without(whole, way)).encode()
            case 1:
                at = draw(st.integers(0, len(text)))
                return text[:at].encode() + draw(st.binary(max_size=5)) + text[at:].encode()
            case _:
                nonsense = draw(ABSURD)
                text = json.dumps(_with(whole, way, _HOLE)).replace(f'"{_HOLE}"', nonsense)
    return text.encode()


class Host:
    """A connection to a host whose programs all say the same."""

    host = "h1"
    is_alive = True

    def __init__(self, records: Sequence[bytes], rows: Sequence[bytes] = ()) -> None:
        """Take the records' JSON, and rows that are none."""
        self._records = records
        self._rows = rows

    def _lines(self, command: str) -> list[bytes]:
        found = re.search(r"'?([0-9a-f]{16})'?", command)
        assert found is not None, command
        mark = f"@@{found[1]} ".encode()
        return [*self._rows, *(mark + one for one in self._records)]

    def run(self, command: str, **_: object) -> Completed:
        """Say it at once."""
        return Completed(0, b"\n".join(self._lines(command)) + b"\n", b"\xff\x1b[31m")

    def start(self, command: str, **_: object) -> Session:
        """Say it line by line."""
        return Session(self._lines(command))


class Session:
    """A program that says something and ends."""

    exit_status = 0
    unknown_because = ""

    def __init__(self, lines: list[bytes]) -> None:
        """Take what it says."""
        self._all = lines

    def lines(self, timeout_s: float | None = None) -> Iterator[bytes]:
        """Say it."""
        del timeout_s
        yield from self._all

    def watch(self, changed: Callable[[], None]) -> None:
        """Have said it all."""
        changed()

    def read_error(self) -> bytes:
        """Complain about nothing."""
        return b"\xff\n"

    def write(self, data: bytes) -> None:
        """Take it."""

    def end_input(self) -> None:
        """Take no more."""

    def close(self) -> None:
        """End."""


def acts_of(records: Sequence[bytes], rows: Sequence[bytes] = ()) -> Acts:
    host = cast("HostConnection", Host(records, rows))
    return Acts(Caller(host, "echobot", Address("h1", "192.0.2.1")), "t")


# --- the acts -------------------------------------------------------------------------------------


def _followed(acts: Acts) -> list[Delivery]:
    """Read a journal once as the watch does."""
    got: list[Delivery] = []
    threads, maker = AtOnce(), Assembler()
    follower = Follower(
        "h1", lambda: acts, got.append, position="since:9", threads=threads, maker=maker
    )
    follower.open()
    assert not [one.gap for one in got if "could not be read: " in one.gap]
    return got


Done = list[dict[str, Any]]
PACK = {"fetch": {"size_bytes": 3, "inodes": 1}}
FAULT = {"fault": "locked", "message": "no", "lock": LOCK}

UPLOAD = Upload("n", None, b"m", b"f", 1, 1)
CHECKED = {"check": {"name": "a", "ok": True, "message": "m", "mend": ""}}
QUESTION = Probe(ProbeKind.HTTP, "http://127.0.0.1/")


def _good(state: HostState | HostError) -> HostState:
    """Give what was read of an instance, or raise why it could not be."""
    if isinstance(state, HostError):
        raise state
    return state


ACTS: dict[str, tuple[Done, Callable[[Acts], object]]] = {
    "state.observe": ([{"state": STATE}], lambda acts: acts.state.observe().active_since),
    "state.observe_all": (
        [{"state": STATE}],
        lambda acts: _good(acts.state.observe_all(["dev"])["dev"]).active_since,
    ),
    "state.audit": (
        [{"audit": AUDIT}],
        lambda acts: read_acts("h1", acts.state.audit(), timedelta(0)),
    ),
    "state.note": ([{}], lambda acts: acts.state.note("ben", "w")),
    "setup.check": ([CHECKED], lambda acts: acts.setup.check()),
    "setup.prepare": (
        [{"change": "made a user"}],
        lambda acts: acts.setup.prepare("bot", "ben", is_dry=True),
    ),
    "setup.retire": (
        [{"retired": {"release": "n", "data": "/opt/echobot/shared"}}],
        lambda acts: acts.setup.retire("ben"),
    ),
    "lock.enter": (
        [{"state": STATE}],
        lambda acts: acts.lock.enter(60, LockRequest("rollout", "ben", "", "bot"))[1],
    ),
    "lock.enter_all": (
        [{"state": STATE}],
        lambda acts: _good(
            acts.lock.enter_all(60, LockRequest("rollout", "ben", "", "bot"), ["dev"])[1]["dev"]
        ),
    ),
    "lock.renew": ([{}], lambda acts: acts.lock.renew(60)),
    "lock.leave": ([{}], lambda acts: acts.lock.leave()),
    "lock.unlock": ([{"unlocked": LOCK}], lambda acts: acts.lock.unlock("ben")),
    "release.stage": ([{"already": True}], lambda acts: acts.release.stage(UPLOAD, "r", "c")),
    "release.fetch": ([PACK, {"part": "files"}], lambda acts: acts.release.fetch("n")),
    "release.manifest": ([{"manifest": _manifest()}], lambda acts: acts.release.manifest("n")),
    "release.contents": (
        [{"platform": "x86_64", "contents": {"n": "a" * 64}}],
        lambda acts: acts.release.contents(),
    ),
    "release.show": (
        [{"about": {"id": "n"}, "unit": "YQ==", "shown": "YQ=="}],
        lambda acts: acts.release.show("n"),
    ),
    "rollout.begin": ([{}], lambda acts: acts.rollout.begin("r", "n", "c")),
    "rollout.end": ([{}], lambda acts: acts.rollout.end("r", "passed", "")),
    "rollout.prove": ([{}], lambda acts: acts.rollout.prove("n", 3, "r")),
    "rollout.condemn": ([{}], lambda acts: acts.rollout.condemn("ab", "w")),
    "rollout.evidence": ([{"evidence": "YQ=="}], lambda acts: acts.rollout.evidence("n")),
    "rollout.keep": ([{}], lambda acts: acts.rollout.keep("n", b"{}")),
    "switch.start": ([SWITCHED], lambda acts: acts.switch.start("r", "n", 60)),
    "switch.confirm": ([{"unit": STATE}], lambda acts: acts.switch.confirm("r")),
    "switch.extend": ([{"unit": STATE}], lambda acts: acts.switch.extend("r", 60)),
    "switch.revert": ([REVERTED], lambda acts: acts.switch.revert("r", "o", "w")),
    "rollout.gate": ([{}], lambda acts: acts.rollout.gate("hold", "ben", "w")),
    "probe.ask": ([PROBED], lambda acts: acts.probe.ask(QUESTION)),
    "journal.entries": (
        [{"hidden": "YQ=="}, READ],
        lambda acts: acts.journal.entries("since:9").rows,
    ),
    "journal.lines": ([{"hidden": "YQ=="}, READ], lambda acts: acts.journal.lines(9).rows),
    "journal.follow": ([{"hidden": "YQ=="}, READ], _followed),
}


def _is_told(error: BotdeployError) -> None:
    """Hold that a fault is told of its host, in a line that a terminal shows as it is."""
    assert str(error).startswith("h1: ")
    assert str(error).isprintable()


def test_every_act_is_tried() -> None:
    """An act that is added is tried here, too."""
    every = acts_of([])
    there = {
        f"{subject}.{name}"
        for subject in dir(every)
        if isinstance(acts := getattr(every, subject), Subject)
        for name, _ in inspect.getmembers(type(acts), inspect.isfunction)
        if name[0] != "_"
    }
    assert there == set(ACTS)


@pytest.mark.parametrize("name", sorted(ACTS))
@given(data=st.data())
@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
def test_an_act_that_is_answered_with_nonsense_is_the_hosts_fault(
    name: str, data: st.DataObject
) -> None:
    """Whatever the answer is, the act is done, or the host is told to be at fault."""
    records, act = ACTS[name]
    told = [data.draw(damaged(one)) for one in records]
    if data.draw(st.booleans()):
        told[-1] = data.draw(damaged(FAULT))
    if data.draw(st.integers(0, 3)):
        told.append(b'{"final": true}')
    try:
        act(acts_of(told))
    except (HostError, LockedError) as error:
        _is_told(error)


@pytest.mark.parametrize(
    "name", ["state.observe", "switch.start", "switch.revert", "state.audit", "setup.check"]
)
def test_a_good_answer_is_believed(name: str) -> None:
    """What the tests above damage would be taken as it is."""
    records, act = ACTS[name]
    assert act(acts_of([json.dumps(one).encode() for one in [*records, FINAL]])) is not None


def _all_absurd(whole: Any) -> Iterator[bytes]:
    for way in _places(whole):
        hollow = json.dumps(_with(whole, way, _HOLE))
        yield from (hollow.replace(f'"{_HOLE}"', one).encode() for one in NONSENSE)


@pytest.mark.parametrize(
    "name", ["state.observe", "switch.start", "switch.revert", "state.audit", "lock.unlock"]
)
def test_nothing_absurd_passes_anywhere(name: str) -> None:
    """Each value that can't be, at each place of an answer: done, or told of this host."""
    records, act = ACTS[name]
    for text in _all_absurd(records[0]):
        try:
            act(acts_of([text, b'{"final": true}']))
        except (HostError, LockedError) as error:
            _is_told(error)


def test_nothing_absurd_is_evidence() -> None:
    """The same of what is kept of a soak."""
    for text in _all_absurd(KEPT):
        packed = json.dumps({"evidence": base64.b64encode(text).decode()}).encode()
        acts = acts_of([packed, b'{"final": true}'])
        collect(acts, "n", from_record(STATE), Assembler(), since_s=60, bucket_us=5_000_000)


# --- what is read beside the acts -----------------------------------------------------------------


def _judged(rows: Sequence[bytes]) -> None:
    """Read a journal's rows in every way that there is, and judge them."""
    entries = [entry for row in rows if (entry := entry_of(row)) is not None]
    lines: list[LogLine] = []
    assembler = Assembler()
    for entry in entries:
        lines += assembler.feed(entry)
        AsWritten(Mask()).feed(entry)
    again = Assembler()
    again.load(json.loads(json.dumps(assembler.save())))
    lines += again.flush()
    judge = Judge(
        JudgeOptions.from_policy({}, 60.0),
        canary=["h1"],
        baseline=["h2"],
        switched_at_us={"h1": NOW_US},
    )
    kept = Evidence("h1")
    for line in lines:
        datetime.fromtimestamp(line.at_us / 1e6, tz=UTC)
        line.message.encode()
        judge.feed("h1", line)
        kept.add(line, "n")
    judge.verdict(NOW_US + 90_000_000)
    assert Evidence.from_json(kept.to_json()) == kept


@given(
    rows=st.lists(
        damaged(ENTRY)
        | damaged(OF_SYSTEMD)
        | st.binary(max_size=200)
        | st.binary(max_size=40).map(lambda raw: json.dumps({**ENTRY, "MESSAGE": [*raw]}).encode())
        | damaged({"level": "error", "message": "m", "duration": 1, "err": {"message": "x"}}).map(
            lambda said: json.dumps({**ENTRY, "MESSAGE": said.decode("utf-8", "replace")}).encode()
        ),
        max_size=6,
    )
)
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
def test_no_row_of_a_journal_is_more_than_a_line(rows: list[bytes]) -> None:
    """Rows that are none are passed over; what is left can be shown, judged and kept."""
    _judged(rows)
    rows = [row.replace(b"\n", b" ") for row in rows]
    acts_of([b'{"final": true}'], rows).journal.lines(9)
    _followed(acts_of([b'{"read": {"cut": true}}'], rows))


@given(text=damaged(KEPT))
@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
def test_evidence_that_was_tampered_with_is_none(text: bytes) -> None:
    """It is refused, or all that it says can be reckoned with; nothing in between."""
    try:
        kept = Evidence.from_json(text)
    except ValueError:
        return
    merged = Evidence.from_json(kept.to_json()).merge(kept)
    for release in merged.releases():
        merged.totals(release).weight()
    judge = Judge(
        JudgeOptions.from_policy({"preset": "normal"}, 600.0),
        canary=["h1"],
        baseline=[],
        switched_at_us={"h1": NOW_US},
        history={"h1": merged},
    )
    judge.verdict(NOW_US + 900_000_000)
    judge.cannot_exclude()


@given(
    kept=damaged(KEPT),
    state=damaged(STATE),
    probe=damaged(PROBED),
    rows=st.lists(damaged(ENTRY).map(lambda row: row.replace(b"\n", b" ")), max_size=3),
)
@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
def test_a_soak_is_read_on_whatever_was_kept(
    kept: bytes, state: bytes, probe: bytes, rows: list[bytes]
) -> None:
    """The reader of `promote` goes on, or begins anew, or says that this host is at fault."""
    told = [
        json.dumps({"evidence": base64.b64encode(kept).decode()}).encode(),
        b'{"state": ' + state.replace(b"\n", b" ") + b"}",
        probe.replace(b"\n", b" "),
        b'{"final": true}',
    ]
    acts = acts_of(told, rows)
    try:
        seen = acts.state.observe()
        seen.ahead(datetime.now(UTC))
        _seen(acts, seen, Assembler(), QUESTION)
        collect(acts, "n", seen, Assembler(), since_s=60, bucket_us=5_000_000, probe=QUESTION)
    except HostError as error:
        _is_told(error)


@given(record=damaged(STATE))
@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
def test_a_state_is_one_or_none(record: bytes) -> None:
    """What is no state of a host raises ValueError; what is one can be reckoned with."""
    told = {}
    try:
        told = json.loads(record)
    except (ValueError, RecursionError):
        return
    if not isinstance(told, dict):
        return
    try:
        state = from_record(told)
    except (ValueError, RecursionError):
        return
    assert state.active_since is None or state.active_since.tzinfo is UTC


@given(record=damaged(PROBED["probe"]), body=st.binary(max_size=300) | damaged({"handled": 1}))
@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
def test_a_probe_is_answered_or_not(record: bytes, body: bytes) -> None:
    """Any answer of a bot, and any record of it, is a reading or the host's fault."""
    for kind in ProbeKind:
        acts = acts_of([b'{"probe": ' + record.replace(b"\n", b" ") + b"}", b'{"final": true}'])
        try:
            answer = acts.probe.ask(Probe(kind, "x"))
        except HostError:
            whole = {**PROBED["probe"], "body": base64.b64encode(body).decode()}
            acts = acts_of([json.dumps({"probe": whole}).encode(), b'{"final": true}'])
            answer = acts.probe.ask(Probe(kind, "x"))
        reading = read(kind, answer)
        kept = ProbeReading.from_record(json.loads(json.dumps(reading.to_record())))
        lines_of(kept, reading)


@given(packed=st.binary(max_size=80).map(lambda raw: base64.b64encode(raw).decode()) | ABSURD)
@settings(max_examples=examples(100), deadline=None)
def test_secrets_that_cannot_be_read_hide_nothing(packed: str) -> None:
    """A journal's reader that tells nonsense of secrets ends nothing."""
    secret_values(packed)
    secret_values(base64.b64encode(gzip.compress(packed.encode())).decode())


@given(text=damaged({"level": 30, "msg": "m", "time": 1, "err": {"stack": "a\nb"}, "extra": {}}))
@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
def test_a_json_line_of_a_bot_is_a_line(text: bytes) -> None:
    """What a bot prints as JSON is read as such or not at all."""
    read_structured(text.decode("utf-8", "replace"))


def test_a_time_holds_nothing_that_moves_a_terminal() -> None:
    """Python reads a time past a character that it does not know; it is told as it was written."""
    with pytest.raises(ValueError, match="is no time"):
        time_of("2026-11-24T09:00:00.000000\x1bZ")
