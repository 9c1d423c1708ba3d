"""Hard rules on journal entries as hosts write them: the entry that shows it is the verdict."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.judge import Judge, JudgeOptions, Preset
from botdeploy.core.lines.assembler import Assembler
from botdeploy.core.lines.line import LineRules
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SECOND = 1_000_000
SWITCH = 1_700_000_000 * SECOND
HOST_JOURNAL = Path(__file__).parents[2] / "data" / "journal" / "host.jsonl.gz"

NO_RULES = LineRules()

# systemd's message ids (sd-messages.h)
CRASHED = "98e322203f7a4ed290d09fe03c09fe15"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
RESTART = "5eb03494b6584870a536b337290809b3"
OOM = "fe6faa94e7774663a0da52717891d8ef"
OOMD = "d989611b15e44c9dbf31e3c81256e4ed"
SPAWN_FAILED = "641257651c1b4ec9a8624d7a40a9e1e7"


def systemd(text: str, message_id: str = "", *, pid: str = "1", **fields: str) -> dict[str, Any]:
    """Give an entry of systemd's, without its time."""
    return {"_PID": pid, "MESSAGE": text, **({"MESSAGE_ID": message_id} if message_id else {})} | (
        fields
    )


def said(text: str, priority: str = "6") -> dict[str, Any]:
    """Give an entry of the bot's own, without its time."""
    return {"_PID": "77", "MESSAGE": text, "PRIORITY": priority}


CRASH = systemd(
    "bot.service: Main process exited, code=exited, status=1/FAILURE",
    CRASHED,
    EXIT_CODE="exited",
    EXIT_STATUS="1",
)
GOES_DOWN = systemd("bot.service: Failed with result 'exit-code'.", FAILED, UNIT_RESULT="exit-code")


class Case(NamedTuple):
    """A hard rule, and the entries whose last one alone must answer."""

    name: str
    entries: Sequence[dict[str, Any]]
    quoted: str
    """What the reason must hold of that entry."""
    rules: LineRules = NO_RULES


def restart(number: int) -> dict[str, Any]:
    text = f"bot.service: Scheduled restart job, restart counter is at {number}."
    return systemd(text, RESTART, N_RESTARTS=str(number))


CASES = (
    Case(
        "start limit",
        [systemd("bot.service: Start request repeated too quickly.")],
        "Start request repeated too quickly",
    ),
    Case(
        "failed for good",
        [
            systemd(
                "bot.service: Failed with result 'start-limit-hit'.",
                FAILED,
                UNIT_RESULT="start-limit-hit",
            )
        ],
        "Failed with result 'start-limit-hit'",
    ),
    Case(
        "can't be executed",
        [systemd("bot.service: Failed to execute ./bot: No such file", SPAWN_FAILED, pid="812")],
        "Failed to execute ./bot",
    ),
    Case(
        "out of memory, kernel",
        [systemd("bot.service: A process of this unit has been killed by the OOM killer.", OOM)],
        "killed by the OOM killer",
    ),
    Case(
        "out of memory, oomd",
        [systemd("bot.service: systemd-oomd killed 3 process(es) in this unit.", OOMD)],
        "systemd-oomd killed",
    ),
    Case(
        "core dump",
        [
            systemd(
                "bot.service: Main process exited, code=dumped, status=11/SEGV",
                CRASHED,
                EXIT_CODE="dumped",
                EXIT_STATUS="11",
            )
        ],
        "code=dumped",
    ),
    Case(
        "second crash",
        [CRASH, GOES_DOWN, restart(1), said("up again"), CRASH],
        "Main process exited, code=exited, status=1/FAILURE",
    ),
    Case(
        "second restart, exits unseen",
        [restart(1), said("up again"), restart(2)],
        "restart counter is at 2",
    ),
    Case(
        "missing module",
        [
            said("Traceback (most recent call last):", "6"),
            said('  File "/opt/bot/main.py", line 3, in <module>'),
            said("    import nosuch"),
            said("ModuleNotFoundError: No module named 'nosuch'"),
        ],
        "No module named 'nosuch'",
    ),
    Case("level CRITICAL", [said("CRITICAL: the gateway refused the token")], "refused the token"),
    Case(
        "level fatal in JSON",
        [said('{"level": "fatal", "msg": "no database at db:5432"}')],
        "no database at",
    ),
    Case(
        "what the user calls fatal",
        [said("WARNING lost the shard lock")],
        "lost the shard lock",
        LineRules(fatal=("lost the shard lock",)),
    ),
)


def judge(preset: Preset) -> Judge:
    """Judge w1 beside w2 and w3, all of which have a quiet past of two hours."""
    quiet = [said("handled a command") | stamp(-7200 + 10 * i) for i in range(720)]
    assembler = Assembler()
    past = [line for entry in quiet for line in assembler.feed(entry)]
    soak = 60.0 if preset is Preset.QUICK else 1800.0
    return Judge(
        JudgeOptions.from_policy({"preset": preset.value}, soak),
        canary=["w1"],
        baseline=["w2", "w3"],
        switched_at_us={"w1": SWITCH},
        history=dict.fromkeys(("w1", "w2", "w3"), past),
    )


def stamp(seconds: float) -> dict[str, str]:
    """Give an entry's time and cursor."""
    at_us = SWITCH + round(seconds * SECOND)
    return {"__REALTIME_TIMESTAMP": str(at_us), "__CURSOR": f"s={at_us}"}


def first_fail(
    it: Judge, entries: Iterable[dict[str, Any]], rules: LineRules = NO_RULES, host: str = "w1"
) -> tuple[int, Verdict] | None:
    """Feed entries; give the number of the first that is answered with a fail, and the answer.

    An error line may be followed by its stack trace: it is taken as it stands when half a second
    passed without one.
    """
    assembler = Assembler(rules)
    for number, entry in enumerate(entries):
        lines = assembler.feed(entry)
        lines += assembler.flush(int(entry["__REALTIME_TIMESTAMP"]) + SECOND // 2)
        for line in lines:
            ruled = it.feed(host, line)
            if ruled is not None and ruled.outcome is Outcome.FAIL:
                return number, ruled
    return None


@pytest.mark.parametrize("preset", [Preset.NORMAL, Preset.CAREFUL])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_entry_that_shows_it_is_the_verdict(case: Case, preset: Preset) -> None:
    """Each hard rule answers at its entry, in the grace, without being asked, and quotes it."""
    entries = [entry | stamp(1 + number) for number, entry in enumerate(case.entries)]
    found = first_fail(judge(preset), entries, case.rules)
    assert found is not None
    assert found[0] == len(entries) - 1
    assert found[1].host == "w1"
    assert case.quoted in found[1].reasons[0]


def test_the_first_crash_is_the_verdict_in_quick() -> None:
    """In a soak of a minute the very record of the exit answers, where none ever was."""
    found = first_fail(judge(Preset.QUICK), [CRASH | stamp(1)])
    assert found is not None
    assert "status=1/FAILURE" in found[1].reasons[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_hard_rule_answers_for_a_host_of_the_baseline(case: Case) -> None:
    """The same entries from a host on the old release condemn nothing."""
    entries = [entry | stamp(1 + number) for number, entry in enumerate(case.entries)]
    assert first_fail(judge(Preset.NORMAL), entries, case.rules, host="w2") is None


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.entries[-1]["_PID"] != "77"], ids=lambda case: case.name
)
def test_what_half_the_baseline_shows_too_is_not_the_release(case: Case) -> None:
    """Trouble of the process that the baseline has at the same time waits instead of failing."""
    it = judge(Preset.NORMAL)
    entries = [entry | stamp(1 + number) for number, entry in enumerate(case.entries)]
    assert first_fail(it, entries, case.rules, host="w2") is None
    assert first_fail(it, entries, case.rules) is None
    assert it.verdict(SWITCH + 20 * SECOND).outcome is Outcome.WAIT


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.entries[-1]["_PID"] == "77"], ids=lambda case: case.name
)
def test_a_fatal_error_of_the_old_release_is_no_verdict(case: Case) -> None:
    """What a baseline host says fatally as well the new release may say."""
    it = judge(Preset.NORMAL)
    entries = [entry | stamp(1 + number) for number, entry in enumerate(case.entries)]
    assert first_fail(it, entries, case.rules, host="w2") is None
    assert first_fail(it, entries, case.rules) is None


def test_a_real_hosts_crash_loop_fails_at_its_second_exit() -> None:
    """On a journal that a real host wrote, the record of the second crash is the verdict."""
    with gzip.open(HOST_JOURNAL, "rt", encoding="utf-8") as file:
        entries = [json.loads(row) for row in file]
    it = Judge(
        JudgeOptions.from_policy({"preset": "normal"}, 1800.0),
        canary=["w1"],
        baseline=["w2"],
        switched_at_us={"w1": int(entries[0]["__REALTIME_TIMESTAMP"])},
    )
    found = first_fail(it, entries)
    assert found is not None
    exits = [at for at, entry in enumerate(entries) if entry.get("MESSAGE_ID") == CRASHED]
    assert found[0] == exits[1]
    assert "crashed 2 times" in found[1].reasons[0]


# --- an end without fault that a restart follows ----------------------------------------------

ENDED = systemd("bot.service: Deactivated successfully.", "7ad2d189f7e94e70a38c781354912448")
STARTED = systemd("Started bot.service.", "39f53479d3a045ac8e11786248231fbf")


def once(number: int) -> list[dict[str, Any]]:
    """Give what systemd says when a bot ends without fault and is started again."""
    return [ENDED, restart(number), STARTED, said("handled a command")]


def talk(start: float, end: float) -> list[dict[str, Any]]:
    return [said("handled a command") | stamp(start + i) for i in range(int(end - start))]


@pytest.mark.parametrize("preset", list(Preset))
def test_an_end_without_fault_that_a_restart_follows_is_no_crash(preset: Preset) -> None:
    """The second run is judged, like any other."""
    it = judge(preset)
    entries = [entry | stamp(12 + number / 10) for number, entry in enumerate(once(1))]
    assert first_fail(it, [*talk(1, 12), *entries, *talk(13, 65)]) is None
    if preset is Preset.QUICK:
        assert it.verdict(SWITCH + 65 * SECOND).outcome is Outcome.PASS


@pytest.mark.parametrize("preset", list(Preset))
def test_a_bot_that_ran_as_long_as_its_unit_lets_it_has_not_crashed(preset: Preset) -> None:
    """``RuntimeMaxSec`` ends it, which systemd calls a failure, and it is started again."""
    limit = systemd("bot.service: Service reached runtime time limit. Stopping.")
    killed = systemd(
        "bot.service: Main process exited, code=killed, status=9/KILL",
        CRASHED,
        EXIT_CODE="killed",
        EXIT_STATUS="9",
    )
    gone = systemd("bot.service: Failed with result 'timeout'.", FAILED, UNIT_RESULT="timeout")
    again = [limit, killed, gone, restart(1), STARTED]
    it = judge(preset)
    entries = [entry | stamp(12 + number / 10) for number, entry in enumerate(again)]
    assert first_fail(it, [*talk(1, 12), *entries, *talk(13, 65)]) is None
    if preset is Preset.QUICK:
        assert it.verdict(SWITCH + 65 * SECOND).outcome is Outcome.PASS


@pytest.mark.parametrize("preset", list(Preset))
def test_ends_without_fault_again_and_again_are_a_loop(preset: Preset) -> None:
    """Twice within ten minutes condemns, where the old release never did it."""
    entries = [entry | stamp(5 + n) for n, entry in enumerate([*once(1), *once(2)])]
    found = first_fail(judge(preset), entries)
    assert found is not None
    assert found[0] == 5
    assert "ended without an error and was started again 2 times" in found[1].reasons[0]


def test_a_loop_that_the_old_release_had_is_its_own() -> None:
    """What ended and began anew as often before is no news."""
    assembler = Assembler()
    before = [*once(1), *once(2), *once(3)]
    past = [
        line
        for number, entry in enumerate(before)
        for line in assembler.feed(entry | stamp(-300 + number))
    ]
    it = Judge(
        JudgeOptions.from_policy({}, 60.0),
        canary=["w1"],
        baseline=[],
        switched_at_us={"w1": SWITCH},
        history={"w1": past},
    )
    entries = [entry | stamp(5 + n) for n, entry in enumerate([*once(1), *once(2)])]
    assert first_fail(it, entries) is None


def test_a_crash_after_such_an_end_is_a_crash() -> None:
    """The counter of systemd counts both; the one that was no crash is taken off."""
    entries = [*once(1), CRASH, GOES_DOWN, restart(2), STARTED]
    it = judge(Preset.QUICK)
    found = first_fail(it, [entry | stamp(5 + n) for n, entry in enumerate(entries)])
    assert found is not None
    assert found[0] == 4
    assert "status=1/FAILURE" in found[1].reasons[0]


@pytest.mark.parametrize(
    ("entries", "fails"),
    [
        ([*once(1)], False),
        ([*once(1), *once(2)], True),
        ([CRASH, GOES_DOWN, restart(1), STARTED, CRASH, GOES_DOWN, restart(2)], True),
        ([systemd("bot.service: Start request repeated too quickly.")], True),
        ([said("CRITICAL the database of sessions is gone")], True),
        ([said("CRITICAL the cache is gone, going on without it")], False),
        ([said("ERROR the database of sessions is gone")], False),
    ],
)
def test_what_was_kept_says_the_same(entries: list[dict[str, Any]], *, fails: bool) -> None:
    """A rollout that is judged later, by what was kept of its journal, knows the same rules."""
    assembler, evidence = Assembler(), Evidence("w1")
    known = said("CRITICAL the cache is gone, going on without it") | stamp(-1900)
    new = [entry | stamp(5 + number) for number, entry in enumerate(entries)]
    for release, its in (("R1", [*talk(-3000, -2000), known]), ("R2", new)):
        for entry in its:
            for line in assembler.feed(entry):
                evidence.add(line, release)
        for line in assembler.flush():
            evidence.add(line, release)
    it = Judge(
        JudgeOptions.from_policy({"preset": "normal"}, 3600.0),
        canary=["w1"],
        baseline=[],
        switched_at_us={"w1": SWITCH},
    )
    it.absorb("w1", evidence, "R2")
    assert (it.verdict(SWITCH + 100 * SECOND).outcome is Outcome.FAIL) == fails
