"""A forecast in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botdeploy.core.text.phrases import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botdeploy.core.judge.power.forecast import Power


def sentence(it: Power) -> str:
    """Say what a soak finds and what it does not."""
    if it.lines_per_minute > 0.0:
        about = _number(it.lines_per_minute)
        begin = f"with about {about} {'line' if about == '1' else 'lines'} a minute"
        if it.error_rate > 0.0:
            begin += f" ({_number(100.0 * it.error_rate)} % errors)"
    else:
        begin = "with nothing known of the old release's lines"
    finds = [*_errors(it)]
    if it.new_s is not None:
        finds.append(f"a new error that comes at least every {_span(it.new_s)}")
    if it.silence_s is not None:
        finds.append(f"silence within {_span(it.silence_s)}")
    said = [f"{begin} this soak"]
    if finds:
        said.append(f"finds {_joined(finds, 'and')}")
    blind = [*_blind(it)]
    if blind:
        said.append(f"{'but ' if finds else ''}can't find {_joined(blind, 'or')}")
    return " ".join(said)


def _errors(it: Power) -> Iterator[str]:
    """Say what is found of the usual errors: five times as many, and what is found for sure."""
    five = it.chance(5.0) if it.finds else 0.0
    sure = it.sure_ratio
    if five >= 0.05 and (sure is None or sure > 5.0):
        yield f"a 5x error rate in {_tenths(five)}"
    if sure is not None:
        yield f"a {sure:g}x error rate in {_tenths(it.chance(sure))}"


def _blind(it: Power) -> Iterator[str]:
    if it.finds and it.sure_ratio is None:
        yield "more of the usual errors"
    if it.new_s is None:
        yield "a new error"
    if it.silence_s is None:
        yield "silence"


def _tenths(chance: float) -> str:
    tenths = max(1, min(10, round(10.0 * chance)))
    return "nearly all cases" if tenths == 10 else f"{tenths} of 10 cases"


def _joined(parts: list[str], word: str) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _number(value: float) -> str:
    """Write a number with one digit, or whole."""
    return f"{value:.0f}" if value >= 10.0 else f"{float(f'{value:.1g}'):g}"


def _span(seconds: float) -> str:
    """Give a time in the whole seconds or minutes that one would say."""
    whole = max(1.0, float(round(seconds)))
    return duration(whole if whole < 120.0 else 60.0 * round(whole / 60.0))
