"""Rendering: the unit and the environment file of a release, from templates."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import ImmutableSandboxedEnvironment

from botdeploy.core.model.bot import ReadyKind, SecretsBy
from botdeploy.errors import UserError
from botdeploy.sources.systemd_quoting import (
    check_directive,
    check_name,
    check_value,
    exec_line,
    is_systemd_text,
    quote_assignment,
    quote_environment,
    quote_word,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botdeploy.core.model.inventory import Host

UNIT_TEMPLATE = "unit.service.j2"
ENVIRONMENT_TEMPLATE = "environment.j2"

#: Set by botdeploy in every environment: how an observer knows which release a process runs.
RELEASE_VARIABLE = "BOTDEPLOY_RELEASE"

#: Directives that carry the release itself: what an inventory gives is added to them.
_ADDED_TO = frozenset({"Environment", "EnvironmentFile", "LoadCredential", "ReadWritePaths"})

#: What an ordinary bot can live with. Not here: MemoryDenyWriteExecute (breaks PyPy, Node and
#: ctypes callbacks), ProcSubset=pid (hides /proc/meminfo from psutil), IPAddressDeny. Refused
#: system calls return EPERM, which programs handle, instead of killing the bot.
_HARDENING: dict[str, tuple[str, ...]] = {
    "NoNewPrivileges": ("yes",),
    "ProtectSystem": ("strict",),
    "ProtectHome": ("yes",),
    "PrivateTmp": ("yes",),
    "PrivateDevices": ("yes",),
    "PrivateUsers": ("yes",),
    "ProtectKernelTunables": ("yes",),
    "ProtectKernelModules": ("yes",),
    "ProtectKernelLogs": ("yes",),
    "ProtectControlGroups": ("yes",),
    "ProtectClock": ("yes",),
    "ProtectHostname": ("yes",),
    "ProtectProc": ("invisible",),
    "RestrictNamespaces": ("yes",),
    "RestrictRealtime": ("yes",),
    "RestrictSUIDSGID": ("yes",),
    "RestrictAddressFamilies": ("AF_INET AF_INET6 AF_UNIX AF_NETLINK",),
    "LockPersonality": ("yes",),
    "SystemCallArchitectures": ("native",),
    "SystemCallFilter": ("@system-service", "~@privileged @resources"),
    "SystemCallErrorNumber": ("EPERM",),
    "CapabilityBoundingSet": ("",),
    "UMask": ("0077",),
}


@dataclass(frozen=True, slots=True)
class TemplateHost:
    """What a template sees of a host."""

    name: str
    groups: tuple[str, ...]
    variables: Mapping[str, Any]


class Renderer:
    """Renders templates from the bot's folder first, then the project's, then botdeploy's own."""

    def __init__(
        self,
        project: str | Path | None = None,
        variables: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        """Take the project's folder of templates, and each host's variables."""
        self._project = project
        self._variables = variables
        self._environments: dict[str | None, ImmutableSandboxedEnvironment] = {}

    def _environment(self, folder: str | None) -> ImmutableSandboxedEnvironment:
        if folder not in self._environments:
            folders = [Path(one) for one in (folder, self._project) if one is not None]
            environment = ImmutableSandboxedEnvironment(
                loader=ChoiceLoader(
                    [FileSystemLoader(one) for one in [*folders, packaged_templates()]]
                ),
                undefined=StrictUndefined,
                trim_blocks=True,
                lstrip_blocks=True,
                keep_trailing_newline=True,
                autoescape=False,
            )
            environment.filters["systemd_quote"] = quote_environment
            environment.filters["unit_quote"] = quote_word
            self._environments[folder] = environment
        return self._environments[folder]

    def unit(self, host: Host, release: str, env: Mapping[str, str] | None = None) -> str:
        """Render the unit file; ``env`` holds no secrets: all users of a host may read a unit."""
        text = self._render(
            UNIT_TEMPLATE,
            host,
            release=release,
            env=dict(sorted((env or {}).items())),
            service=service_directives(host, tuple(sorted(host.bot.secrets))),
            folder=release_folder(host),
            shared=f"{host.home}/shared",
            instance=host.instance or "",
        )
        if "\0" in text or not is_systemd_text(text):
            raise UserError(f"{UNIT_TEMPLATE}: the unit is not text that systemd reads")
        if not any(line.strip().startswith("ExecStart=") for line in text.splitlines()):
            raise UserError(f"{UNIT_TEMPLATE}: the unit has no ExecStart=")
        return text if text.endswith("\n") else text + "\n"

    def environment(self, host: Host, release: str, env: Mapping[str, str]) -> str:
        """Render the environment file from all variables, secrets revealed among them."""
        check_environment(env)
        text = self._render(
            ENVIRONMENT_TEMPLATE,
            host,
            release=release,
            env={RELEASE_VARIABLE: release, **dict(sorted(env.items()))},
        )
        return text if text.endswith("\n") else text + "\n"

    def _render(self, name: str, host: Host, **context: object) -> str:
        view = TemplateHost(host.name, host.groups, self._variables.get(host.name, {}))
        try:
            template = self._environment(host.bot.templates).get_template(name)
            return template.render(bot=host.bot, host=view, **context)
        except TemplateError as error:
            raise UserError(_told(name, error)) from error
        except (UnicodeDecodeError, OSError) as error:
            raise UserError(f"{name}: cannot be read: {error}") from error
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise UserError(_told(name, error)) from error


def check_environment(env: Mapping[str, str]) -> None:
    """Refuse variables that would not reach the bot as they are; raises UserError."""
    for name, value in env.items():
        if check_name(name) == RELEASE_VARIABLE:
            raise UserError(f"env: {RELEASE_VARIABLE} is set by botdeploy itself")
        check_value(name, value)


def _told(name: str, error: Exception) -> str:
    if isinstance(error, TemplateNotFound):
        return f"template {error.name} is not there"
    file = getattr(error, "filename", None) or name
    line = getattr(error, "lineno", None)
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.endswith(".j2"):
            file, line = frame.filename, frame.lineno
    place = f"{file}:{line}" if line else file
    return f"{place}: {getattr(error, 'message', None) or error}"


def packaged_templates() -> Path:
    """Give the folder of botdeploy's own templates: in the wheel, or in a source checkout."""
    package = Path(str(resources.files("botdeploy")))
    installed = package / "_templates"
    return installed if (installed / UNIT_TEMPLATE).is_file() else package.parent / "templates"


def release_folder(host: Host) -> str:
    """Give the place of the files that run, where the bot is started."""
    current = f"{host.home}/current"
    return current if host.instance is None else f"{current}/tree"


def service_directives(
    host: Host, secret_names: tuple[str, ...] = ()
) -> dict[str, tuple[str, ...]]:
    """Give ``[Service]`` of the default unit: directive → values, in order.

    ``bot.unit`` replaces a directive, removes one (no values), or adds a new one; to those that
    the bot needs it adds. Paths lead through ``current``, so that the unit is the same for every
    release and systemd need not read all units again in the middle of a switch, which takes it
    longer than all the rest. No process sees two releases by that: ``current`` moves only when
    the old one is dead, and systemd enters the folder itself, not its link.
    """
    bot, folder, shared = host.bot, release_folder(host), f"{host.home}/shared"
    known = f"{host.home}/current/.botdeploy"
    credentials = secret_names if bot.secrets_by is SecretsBy.CREDENTIAL else ()
    directives: dict[str, tuple[str, ...]] = {
        "Type": ("notify" if bot.ready.kind is ReadyKind.NOTIFY else "exec",),
        "User": (bot.run_as,),
        "WorkingDirectory": (folder,),
        "EnvironmentFile": (f"{known}/environment",),
        "Environment": (quote_assignment("PYTHONUNBUFFERED", "1"),),
        "LoadCredential": tuple(
            f"{check_name(name)}:{known}/credentials/{name}" for name in credentials
        ),
        "ExecStart": (exec_line(bot.command, folder),),
        "Restart": ("on-failure",),
        "RestartSec": ("2",),
        "KillMode": ("control-group",),
        "TimeoutStopSec": (_seconds(bot.stop_timeout.total_seconds()),),
        "SyslogIdentifier": (host.service,),
        # Ten times journald's own bound, so that a talkative bot loses no line; never without one,
        # or a single bot would push the whole machine's journal out.
        "LogRateLimitIntervalSec": ("30s",),
        "LogRateLimitBurst": ("100000",),
        "ReadWritePaths": (shared,),
        **_HARDENING,
    }
    if host.instance is not None:
        directives["Environment"] += (quote_assignment("HOME", shared),)
    if bot.ready.kind is ReadyKind.NOTIFY:
        directives["TimeoutStartSec"] = (_seconds(bot.ready.timeout.total_seconds()),)
    for name, values in bot.unit.items():
        checked = tuple(check_directive(name, value) for value in values)
        if name in _ADDED_TO:
            directives[name] = directives.get(name, ()) + checked
        else:
            directives[name] = checked
    return {name: values for name, values in directives.items() if values}


def _seconds(value: float) -> str:
    return f"{value:g}"
