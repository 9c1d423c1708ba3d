"""An report puts together what hosts say, and is not fooled by clocks, gaps and late notes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from botdeploy.core.evidence.evidence import Evidence
from botdeploy.core.lines.level import Level
from botdeploy.core.lines.line import LineKind, LogLine
from botdeploy.core.report.audit_log import COARSE_US, read_acts
from botdeploy.core.report.report_model import Span, instant
from botdeploy.core.report.rollout_report import MOST_SAMPLE
from botdeploy.core.rollout.host_standing import Standing
from botdeploy.core.rollout.next_step import Result
from botdeploy.core.text.secret_mask import Mask
from tests.views.canned import (
    BEGIN,
    CRASHED,
    DIGEST,
    NEW,
    OLD,
    ROLLOUT,
    Canned,
    failed_canary,
    passed,
    seconds,
    told,
)


def test_a_failed_canary_is_told_with_its_reason_once() -> None:
    """Outcome, who, why, from what to what: from the audit logs of all hosts."""
    report = told(failed_canary())
    assert report.result is Result.FAILED
    assert report.why == ("h1: 10 errors in 3.6 s, where 0.08 are usual here",)
    assert report.quarantined == report.why[0]
    assert (report.release, report.was) == (NEW, (OLD,))
    assert (report.who, report.message) == ("ann@laptop", "new replies")
    assert (report.begin, report.end) == (BEGIN, seconds(25))
    assert [(host.name, host.ring, host.standing) for host in report.hosts] == [
        ("h1", "canary", Standing.RETURNED),
        ("h2", "fleet", Standing.UNSTAGED),
        ("h3", "fleet", Standing.UNSTAGED),
    ]


def test_what_ran_when_is_told_span_by_span() -> None:
    """Old, pending, back on a canary that failed; confirmed and proven where it passed."""
    canary, other, _ = told(failed_canary()).hosts
    assert [(span.standing, span.begin) for span in canary.spans[1:]] == [
        (Standing.PENDING, seconds(5)),
        (Standing.RETURNED, seconds(24)),
    ]
    assert [span.standing for span in other.spans] == [Standing.BEHIND]
    good = told(passed()).hosts[0]
    assert [span.standing for span in good.spans] == [
        Standing.BEHIND,
        Standing.PENDING,
        Standing.CONFIRMED,
        Standing.PROVEN,
    ]


def test_lines_between_start_and_readiness_are_the_new_releases() -> None:
    """The switch is noted when the bot is ready; what it wrote before that is its own as well."""
    hosts = passed(1)
    hosts[0].say(4.5, "ERROR slow start", "new", priority=3)
    hosts[0].say(3.9, "ERROR last words", "old", priority=3)
    (host,) = told(hosts).hosts
    assert host.after is not None
    assert host.before is not None
    assert dict(host.after.counts.errors) == {"slow start": 1}
    assert dict(host.before.counts.errors) == {"last words": 1}


def test_errors_are_counted_before_and_after_the_switch() -> None:
    """Rates are of the time that was read, of each release its own."""
    canary, other, _ = told(failed_canary()).hosts
    assert canary.before is not None
    assert canary.after is not None
    assert canary.before.counts.error_lines == 1
    assert canary.after.counts.error_lines == 11
    assert canary.after.minutes == 19 / 60
    assert canary.before.minutes == (1800 + 5) / 60  # the journal reaches back half an hour
    assert other.after is None
    assert other.before is not None
    assert other.before.counts.error_lines == 1


def test_new_kinds_of_error_come_first_and_known_ones_are_compared() -> None:
    """What another host wrote before the switch is not new."""
    hosts = failed_canary()
    hosts[0].say(21, "ERROR quota of guild 7 is used up", "new", priority=3)
    hosts[1].say(-900, "ERROR quota of guild 9 is used up", "old", priority=3)
    kinds = told(hosts).errors
    assert [(one.name, one.is_new, one.after, one.before) for one in kinds] == [
        ("job failed: KeyError: 'balance'", True, 10, 0),
        ("quota of guild # is used up", False, 1, 1),
        ("timeout of shard #", False, 1, 3),
    ]
    assert kinds[0].sample == "ERROR job failed: KeyError: 'balance'"
    assert kinds[0].hosts == ("h1",)
    assert kinds[0].first_at == seconds(15)


def test_a_long_sample_keeps_head_and_end() -> None:
    """Of a long trace the middle is left out: the error stands at its end."""
    hosts = failed_canary()
    hosts[0].say(16, "ERROR " + "x" * 2500 + " at last", "new", priority=3)
    sample = next(one.sample for one in told(hosts).errors if "at last" in one.sample)
    assert sample.startswith("ERROR xxx")
    assert sample.endswith(" at last")
    assert "\n…\n" in sample
    assert len(sample) <= MOST_SAMPLE + 3


def test_samples_are_masked() -> None:
    """A secret that a bot wrote into its journal is in no sample."""
    kinds = told(failed_canary("login with hunter2 failed"), mask=Mask(["hunter2"])).errors
    assert "hunter2" not in repr(kinds)
    assert any("********" in one.sample for one in kinds)


def test_a_crash_is_told_as_systemd_said_it() -> None:
    """Crashes of the time that is shown are listed by host."""
    hosts = failed_canary()
    hosts[0].system(
        20, CRASHED, "echobot.service: Main process exited, status=3", "new",
        EXIT_CODE="exited", EXIT_STATUS="3",
    )  # fmt: skip
    canary, other, _ = told(hosts).hosts
    assert [instant(one.at_us) for one in canary.incidents] == [seconds(20)]
    assert other.incidents == ()


def test_a_rollout_that_passed_everywhere_has_passed() -> None:
    """No host is bad, nothing is new, every host is proven."""
    report = told(passed(4))
    assert report.result is Result.DONE
    assert report.why == ()
    assert {host.standing for host in report.hosts} == {Standing.PROVEN}
    assert not any(host.is_bad for host in report.hosts)
    assert report.errors == ()


def test_a_rollout_that_a_person_took_back_did_not_fail() -> None:
    """A rollback after a pass is told as that, with the person's reason."""
    hosts = passed(2)
    for host in hosts:
        host.reverted(300, "users complain")
    report = told(hosts)
    assert report.result is Result.ABANDONED
    assert report.why == ("users complain",)


def test_a_rollout_under_way_reaches_until_now() -> None:
    """The canary soaks; its span ends now, and later rings have not got it."""
    hosts = [*passed(3)[:1], Canned("h2"), Canned("h3")]
    for host in hosts[1:]:
        host.staged()
        host.record()
    hosts[0].acts = [act for act in hosts[0].acts if act["act"] not in ("confirm", "prove")]
    hosts[0].state["releases"] = [{"id": NEW, "digest": DIGEST}]
    report = told(hosts, now=seconds(50), is_open=True)
    assert report.result is None
    assert report.end == report.to == seconds(50)
    assert report.hosts[0].spans[-1] == Span(Standing.PENDING, seconds(5), seconds(50))
    assert report.hosts[0].standing is Standing.CONFIRMED


def test_what_still_runs_a_release_that_failed_after_its_pass_is_told() -> None:
    """With on_fail: host, others keep it; it is proven no more."""
    hosts = passed(3)
    for host in hosts:
        host.state["quarantine"] = {DIGEST: "errors came late"}
    report = told(hosts)
    assert {(one.standing, one.is_refused) for one in report.hosts} == {(Standing.CONFIRMED, True)}
    assert all(one.is_bad for one in report.hosts)


def test_a_host_that_cannot_be_reached_is_told_so() -> None:
    """Nothing is made up of a host that said nothing."""
    report = told(passed(3), away=("h3",))
    host = report.hosts[-1]
    assert (host.name, host.runs, host.spans, host.before) == ("h3", "", (), None)
    assert (host.standing, host.why) == (Standing.AWAY, "no route to host")
    assert host.is_bad
    assert report.result is Result.STOPPED


def test_a_first_deploy_had_nothing_before() -> None:
    """There is no release to compare with."""
    hosts = [Canned("h1", old="")]
    hosts[0].staged()
    hosts[0].switched(5)
    hosts[0].works(5, 60, "new")
    hosts[0].proven(60)
    hosts[0].record()
    report = told(hosts)
    assert report.was == ()
    assert report.result is Result.DONE
    assert report.hosts[0].after is not None
    assert report.hosts[0].after.counts.lines == 11
    assert report.hosts[0].before is not None
    assert report.hosts[0].before.errors_a_minute is None


def test_a_host_with_another_clock_is_told_by_ours() -> None:
    """Acts and lines of a host that is an hour ahead are where they were."""
    plain, skewed = failed_canary(), failed_canary()
    for host in (skewed[0], skewed[2]):
        _move(host, timedelta(hours=1))
    one, other = told(plain), told(skewed)
    assert [act.at for act in other.acts] == [act.at for act in one.acts]
    assert other.hosts == one.hosts
    assert other.errors == one.errors


def _move(host: Canned, ahead: timedelta) -> None:
    for act in host.acts:
        at = read_acts(host.name, [act], -ahead)[0].at
        act["at"] = at.isoformat()
    for row in host.rows:
        row["__REALTIME_TIMESTAMP"] = str(
            int(row["__REALTIME_TIMESTAMP"]) + ahead // timedelta(microseconds=1)
        )
    host.ahead = ahead


def test_a_clock_that_is_good_enough_is_left_alone() -> None:
    """A second's difference may be the way to the host and back."""
    state = Canned("h1", ahead=timedelta(seconds=1)).seen(BEGIN)
    assert state.ahead(BEGIN) == timedelta(0)
    assert replace(state, at=None).ahead(BEGIN) == timedelta(0)


def test_damaged_entries_of_an_audit_log_are_left_out() -> None:
    """An entry without a time or an act tells nothing; the others still do."""
    entries: list[dict[str, Any]] = [
        {}, {"at": "soon", "act": "switch"}, {"at": "2026-11-22T21:05:00", "act": "switch"},
        {"at": "2026-11-22T21:05:00Z"}, {"at": "2026-11-22T21:05:00Z", "act": "stage", "why": None},
    ]  # fmt: skip
    acts = read_acts("h1", entries, timedelta(0))
    assert [(act.what, act.why) for act in acts] == [("stage", "")]


def test_a_reason_that_nobody_gave_is_not_told() -> None:
    """Without --message the log holds the command's name."""
    hosts = passed(1)
    hosts[0].acts[0]["why"] = "canary"
    assert told(hosts).message == ""


def test_acts_of_other_rollouts_are_left_out() -> None:
    """An approval of this release and a hold in its time belong to it."""
    hosts = passed(1)
    hosts[0].act(-9999, "switch", "ready", release=OLD, rollout="other")
    hosts[0].act(-30, "approve", rollout="other")
    hosts[0].act(-30, "approve", rollout="other", release=OLD)
    hosts[0].act(20, "hold", release="", rollout="other")
    hosts[0].act(9999, "hold", release="", rollout="other")
    shown = [(act.what, act.at) for act in told(hosts).acts if act.rollout != ROLLOUT]
    assert shown == [("approve", seconds(-30)), ("hold", seconds(20))]


def test_a_note_of_a_later_command_does_not_stretch_the_report() -> None:
    """What is written down when a command is over may come long after the rollout."""
    hosts = passed(1)
    usual = told(hosts)
    hosts[0].act(3000, "note", release="")
    noted = told(hosts)
    assert (noted.begin, noted.end, noted.to) == (usual.begin, usual.end, usual.to)
    assert [act.what for act in noted.acts if act not in usual.acts] == ["note"]


def test_what_was_kept_of_a_soak_stands_in_for_a_journal_that_is_gone() -> None:
    """Of a soak of two days the host kept counts; the journal reaches back an hour only."""
    hosts = passed(1, soak_s=2 * 86_400)
    host = hosts[0]
    late = seconds(2 * 86_400 - 3600)
    host.rows = [
        row for row in host.rows if int(row["__REALTIME_TIMESTAMP"]) > late.timestamp() * 1e6
    ]
    kept = Evidence("h1")
    kept.open(int(seconds(-1800).timestamp() * 1e6))
    for hour in range(46):
        at_us = int(seconds(1000 + 3600 * hour).timestamp() * 1e6)
        line = LogLine(at_us, LineKind.LOG, Level.ERROR, "ERROR timeout", "timeout")
        kept.add(line, NEW)
    kept.extend(int(late.timestamp() * 1e6))
    host.kept = kept
    (one,) = told(hosts, now=seconds(2 * 86_400 + 7200)).hosts
    assert one.after is not None
    assert one.after.counts.errors == {"timeout": 46}
    assert one.after.minutes > 2 * 24 * 60 - 60


def test_the_time_that_is_shown_fits_the_rollout() -> None:
    """As much before it as it took, at least a minute and at most an hour; never the future."""
    report = told(failed_canary(), now=seconds(30))
    assert report.from_ == seconds(-60)
    assert report.to == seconds(30)
    long = told(passed(1, soak_s=86_400), now=seconds(2 * 86_400))
    assert long.begin - long.from_ == timedelta(hours=1)
    assert long.to - long.end == timedelta(minutes=30)
    assert long.step_us == COARSE_US


def test_what_a_release_wrote_that_failed_before_is_not_the_usual() -> None:
    """Its errors and its time are left out of what this release is compared with."""
    (plain,) = told(passed(1)).hosts
    (host,) = passed(1)
    host.starts(-620, "bad")
    for second in range(-610, -510, 10):
        host.say(second, "ERROR job failed: KeyError: 'balance'", "bad", priority=3)
    host.starts(-500, "again")

    def since(second: float, release: str) -> list[object]:
        return [int(seconds(second).timestamp() * 1e6), release]

    host.state["releases"].append({"id": host.old, "digest": "old", "proven": True})
    host.state["switches"] = [since(-9000, host.old), since(-620, "bad"), since(-500, host.old)]
    host.state["switches"].append(since(4, "r-new"))
    host.state["switches"][-1][1] = host.state["current"]
    (seen,) = told([host]).hosts
    assert seen.before is not None
    assert plain.before is not None
    assert not seen.before.counts.errors
    assert seen.before.minutes == pytest.approx(plain.before.minutes - 2, abs=0.1)
