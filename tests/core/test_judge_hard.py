"""Hard rules on journal entries as hosts write them: the entry that shows it is the verdict."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from botdeploy.core.judge import Judge, JudgeOptions, Preset
from botdeploy.core.logline import Assembler, LineRules
from botdeploy.core.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SECOND = 1_000_000
SWITCH = 1_700_000_000 * SECOND
HOST_JOURNAL = Path(__file__).parent.parent / "data" / "journal" / "host.jsonl.gz"

NO_RULES = LineRules()

# systemd's message ids (sd-messages.h)
CRASHED = "98e322203f7a4ed290d09fe03c09fe15"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
RESTART = "5eb03494b6584870a536b337290809b3"
OOM = "fe6faa94e7774663a0da52717891d8ef"
OOMD = "d989611b15e44c9dbf31e3c81256e4ed"
COREDUMP = "fc2e22bc6ee647b6b90729ab34a250b1"
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
        [systemd("Process 77 (bot) of user 990 dumped core.", COREDUMP, pid="900")],
        "dumped core",
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
