"""The keys of ``bot`` and ``rollout``: the one place that lists them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from botdeploy.core.model.bot import Readiness, SecretsBy
from botdeploy.core.model.lease import Lease, LeaseUntil
from botdeploy.core.model.policy import Gate, OnFail, Share
from botdeploy.inventory import _fields as f

_SECOND = timedelta(seconds=1)


def _listed(value: object) -> object:
    """Let one item stand for a list of one."""
    return [value] if isinstance(value, str) else value


class KeyModel(BaseModel):
    """Keys that are all known, with values that are what they look like."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReadyKeys(KeyModel):
    """``bot.ready``."""

    pattern: f.ExtendedRegex | None = Field(
        None, description="Extended regular expression that a line of the journal matches."
    )
    notify: Literal[True] | None = Field(
        None, description="The bot says READY=1 to systemd (Type=notify)."
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="TCP port on the host on which a process of the bot listens."
    )
    http: f.Url | None = Field(None, description="URL on the host that must answer with 2xx.")
    command: f.Line | None = Field(None, description="Command on the host that must exit with 0.")
    timeout: f.PositiveDuration = Field(
        Readiness().timeout, description="How long a bot may take until it is ready."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> ReadyKeys:
        kinds = self.model_fields_set - {"timeout"}
        if len(kinds) != 1:
            raise ValueError("takes one of pattern, notify, port, http and command")
        return self


class ProbeKeys(KeyModel):
    """``bot.probe``."""

    command: f.Line | None = Field(
        None,
        description="Shell command, run as the bot's user, that prints counters:"
        " JSON or NAME VALUE lines.",
    )
    http: f.OwnUrl | None = Field(
        None, description="URL on the host itself, with a status below 500; the time counts."
    )
    prometheus: f.OwnUrl | None = Field(
        None, description="URL on the host itself with metrics in Prometheus' text form."
    )
    interval: f.PositiveDuration = Field(
        timedelta(seconds=5), description="How often it is asked during a soak."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> ProbeKeys:
        if len(self.model_fields_set - {"interval"}) != 1:
            raise ValueError("takes one of command, http and prometheus")
        return self


class BotKeys(KeyModel):
    """``bot``: the systemd service that the environment deploys."""

    name: f.BotName = Field(
        description="Names the service, the system user and the folder: NAME.service, /opt/NAME."
    )
    instance: str | int | None = Field(
        None,
        description="Names this copy of the bot on its machine; needed where several hosts share "
        "a machine.",
    )
    instances: Annotated[int | list[str | int] | None, BeforeValidator(f.number_of)] = Field(
        None,
        description="How many copies of the bot a machine runs, or their names: host w1 becomes "
        "w1/1, w1/2 and so on.",
    )
    source: f.Source = Field(
        description="Folder, archive or wheel (relative to this file), or git URL."
    )
    ref: f.Ref | None = Field(None, description="Git branch, tag or commit of the source.")
    build: Annotated[list[f.Text], BeforeValidator(_listed)] = Field(
        [],
        description="Shell commands on each host, in the new release, as the bot's user, "
        "before the switch.",
    )
    command: f.Command = Field(description="What the service runs, in the release's folder.")
    env: dict[f.EnvName, f.EnvValue] = Field({}, description="The bot's environment variables.")
    secrets: dict[f.EnvName, f.SecretRef] = Field(
        {}, description="Where secrets are read here: env:NAME, file:PATH or command:CMD."
    )
    secrets_by: SecretsBy = Field(
        SecretsBy.ENVIRONMENT,
        strict=False,
        description="How secrets reach the bot: environment, or credential "
        "(files in $CREDENTIALS_DIRECTORY).",
    )
    shared: Annotated[list[f.SharedPath], BeforeValidator(_listed)] = Field(
        [], description="Paths of data that outlives releases, in /opt/NAME/shared."
    )
    exclude: Annotated[list[f.Line], BeforeValidator(_listed)] = Field(
        [], description="Patterns (as in .gitignore) of files that stay out of a release."
    )
    keep: Annotated[int, Field(ge=0, le=1000)] = Field(
        5,
        description="Proven releases kept on a host besides current and previous; "
        "ID and ID+2 count once.",
    )
    ready: ReadyKeys | None = Field(
        None, description="How the bot shows that it is ready; left out: it stays running for 2 s."
    )
    user: f.UserName | None = Field(
        None, description="System user that the bot runs as; left out: the bot's name."
    )
    stop_timeout: f.PositiveDuration = Field(
        timedelta(seconds=20), description="How long a bot may take to stop before it is killed."
    )
    unit: dict[f.Directive, f.DirectiveValues] = Field(
        {},
        description="Directives of [Service] that replace the default unit's; "
        "a list repeats one, null removes one.",
    )
    templates: f.Source | None = Field(
        None,
        description="Folder (relative to this file) with unit.service.j2 and environment.j2 "
        "of your own.",
    )
    probe: ProbeKeys | None = Field(None, description="Where the bot's own counters are read.")


class AnnounceKeys(KeyModel):
    """``announce`` of a ring."""

    begin: f.Text | None = Field(
        None, description="Text (Jinja2) when the ring's first host is switched."
    )
    end: f.Text | None = Field(None, description="Text (Jinja2) when the ring has passed.")
    failed: f.Text | None = Field(
        None, description="Text (Jinja2) when the release was taken back from hosts of the ring."
    )
    to: Annotated[list[f.Notice], BeforeValidator(_listed)] = Field(
        [],
        description="Where they are sent: Apprise URLs or references; left out: rollout.notify.",
    )


class RingKeys(KeyModel):
    """One of ``rollout.rings``."""

    name: f.RingName = Field(description="Names the ring in commands and events.")
    hosts: f.Selector = Field(
        description="A group or pattern, a count, or a percentage of the hosts "
        "that no earlier ring has."
    )
    soak: f.Duration = Field(
        timedelta(0), description="How long the ring runs a release before the next may get it."
    )
    settle: f.Duration = Field(
        timedelta(seconds=10), description="How long each batch must be healthy before the next."
    )
    batch: f.SomeShare = Field(
        Share(count=1),
        description="How many of the ring's hosts are switched at once; of those on one machine "
        "only one, unless it is the whole ring.",
    )
    gate: Gate = Field(
        Gate.NONE, strict=False, description="approve: a person opens the ring with 'approve'."
    )
    window: f.AllowedHours | None = Field(
        None, description="Hours in which the ring may begin: Mo-Fr 09:00-17:00 Europe/Berlin."
    )
    env: dict[f.EnvName, f.EnvValue] = Field(
        {}, description="Environment variables of this ring only; they win over bot.env."
    )
    announce: AnnounceKeys | None = Field(
        None, description="Texts for the bot's users, when the ring begins and ends."
    )


def _lease(value: object) -> object:
    return value if isinstance(value, dict) else {"ttl": value}


class LeaseKeys(KeyModel):
    """``rollout.lease``."""

    ttl: f.PositiveDuration = Field(
        Lease().ttl, description="How long a host runs a pending release without a controller."
    )
    until: LeaseUntil = Field(
        LeaseUntil.SETTLE,
        strict=False,
        description="settle: until confirmed after settle; verdict: for the whole soak, "
        "renewed by each promote.",
    )

    @model_validator(mode="after")
    def _long_enough(self) -> LeaseKeys:
        if self.ttl < _SECOND:
            raise ValueError("the ttl of a lease is at least 1s")
        return self


class SameKeys(KeyModel):
    """One of ``rollout.judge.same``."""

    pattern: f.Regex = Field(description="Lines that match it count as one kind.")
    name: f.Line | None = Field(None, description="A name for that kind.")


def _same(value: object) -> object:
    return {"pattern": value} if isinstance(value, str) else value


class JudgeKeys(KeyModel):
    """``rollout.judge``."""

    preset: Literal["careful", "normal", "quick"] | None = Field(
        None, description="How much proof a pass needs; left out: by the length of the soak."
    )
    false_abort_rate: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="Share of good releases that may fail by mistake."
    )
    worse: Annotated[float, Field(gt=1, le=1000)] | None = Field(
        None, description="How many times the usual rate of errors is too much."
    )
    grace: f.Duration | None = Field(
        None, description="Time after a start in which errors don't count."
    )
    deadline: f.PositiveDuration | None = Field(
        None, description="When a missing proof becomes inconclusive."
    )
    ignore: Annotated[list[f.Regex], BeforeValidator(_listed)] = Field(
        [], description="Lines that never count."
    )
    fatal: Annotated[list[f.Regex], BeforeValidator(_listed)] = Field(
        [], description="Lines that fail a release at once."
    )
    same: list[Annotated[SameKeys, BeforeValidator(_same)]] = Field(
        [], description="Lines that count as one kind."
    )
    latency: f.LatencyRegex | None = Field(
        None, description="Finds how long work took: a group named ms, s or us."
    )
    handled: f.Regex | None = Field(
        None,
        description="Lines that each report one unit of work; errors are counted per unit.",
    )
    levels: dict[f.LevelWord, f.LevelName] = Field(
        {}, description="Words that the bot's logger writes for levels, each with the level."
    )


class RequiresKeys(KeyModel):
    """``rollout.requires``."""

    environment: f.EnvironmentName = Field(
        description="Another environment of the same folder that must have proven a release first."
    )
    proven_for: f.Duration = Field(
        timedelta(0), description="How long all of its hosts must have proven it."
    )


class RolloutKeys(KeyModel):
    """``rollout``: how a release goes through the hosts."""

    id: f.EnvironmentName | None = Field(
        None,
        description="What hosts know the environment by; left out: its name. "
        "It stays when the file is renamed.",
    )
    hosts: f.HostPattern | None = Field(
        None, description="Only these hosts of the inventory are part of the environment."
    )
    rings: Annotated[list[RingKeys], Field(min_length=1)] | None = Field(
        None, description="Groups of hosts, in the order in which they get a release."
    )
    requires: RequiresKeys | None = Field(
        None, description="What must be so before any ring begins."
    )
    lease: Annotated[LeaseKeys, BeforeValidator(_lease)] | None = Field(
        None, description="How long a host keeps a pending release without a controller."
    )
    attended_soak: f.Duration = Field(
        timedelta(minutes=30), description="The longest soak that 'canary' itself waits for."
    )
    watch: f.Duration = Field(
        timedelta(0),
        description="How long the last ring is watched after its pass; the others always are.",
    )
    max_unreachable: f.AnyShare = Field(
        Share(count=0), description="How many machines may be unreachable in a rollout."
    )
    on_fail: OnFail = Field(
        OnFail.FLEET, strict=False, description="What is reverted on a fail: fleet, ring or host."
    )
    judge: JudgeKeys | None = Field(None, description="How strict the verdict is.")
    notify: Annotated[list[f.Notice], BeforeValidator(_listed)] = Field(
        [], description="Where notices are sent: Apprise URLs, or references to them (env:NAME)."
    )


def fields_of(model: type[BaseModel], path: tuple[Any, ...]) -> list[str] | None:
    """List the keys that are known at ``path`` inside a model, or None where keys are free."""
    for step in path:
        if isinstance(step, int):
            continue
        info = model.model_fields.get(str(step))
        inner = _model_in(info.annotation) if info else None
        if inner is None:
            return None
        model = inner
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Find the model inside Optional, list and Annotated."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found is not None:
            return found
    return None
