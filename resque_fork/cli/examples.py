"""Files to begin with: ``config --example`` and its like print them, and conf/ has them too."""

from __future__ import annotations

import os
import pwd
import sys
from typing import Any

from ..settings import BOOLEAN, table
from .options import shown

# What the config file shows for settings that have no value unless they are set.
VALUES: dict[str, Any] = {
    "min_interval": 1.0,
    "max_interval": 30.0,
    "backoff_interval": 0.1,
    "timeout": 300.0,
    "memory": "512M",
    "cpu": 60.0,
    "pidfile": "/run/resque-fork/worker.pid",
    "logfile": "/var/log/resque-fork/worker.log",
}

CONFIG_HEAD = """\
# Settings of resque-fork, for resque-fork --config FILE or RESQUE_CONFIG=FILE.
#
# Flags and environment variables take precedence over this file. Each setting is shown with its
# default, or with an example if it has no default. Keep passwords of Redis in the environment
# instead (RESQUE_REDIS). Times are in seconds, or have a unit: "10m". resque-fork config shows the
# values in use.
"""

CONFIG_TAIL = """\
# A schedule, of which there may be any number. Each has a name of its own; see docs/schedules.md.
# [schedule.nightly]
# cron = "30 2 * * * Europe/Berlin"
# class = "Cleanup"
# queue = "low"
"""

UNIT = """\
# A systemd unit. Copy it to /etc/systemd/system/{file},
# edit User, WorkingDirectory and ExecStart, and run
#
#     systemctl daemon-reload && systemctl enable --now {name}
#
# restart, stop                   finish the running job first
# reload                          reopen log files
# kill --kill-who=main -s TERM    stop the running job now, and restart

[Unit]
Description={description}
Wants=network-online.target
After=network-online.target

# Restart it however often it ends.
StartLimitIntervalSec=0

[Service]
User={user}
WorkingDirectory={directory}

# RESQUE_REDIS=redis://:password@host:6379/0, RESQUE_CONFIG=FILE, and what the application needs.
# The file may be missing. Only root needs to read it, because systemd reads it before it changes
# to the user.
EnvironmentFile=-/etc/resque-fork/environment
{queues}
# No shell reads this line: * needs no quotes, and % has to be written as %%.
ExecStart={program} work --require=app{arguments}
ExecReload=/bin/kill -HUP $MAINPID

# On stop and restart the worker gets QUIT: it finishes its job and exits. After TimeoutStopSec it
# gets TERM: it stops its job, and --on-term decides what happens to the job. After TimeoutAbortSec
# everything is killed; that must be longer than twice --term-timeout. systemd older than version
# 246 sends no TERM, and kills after TimeoutStopSec.
KillSignal=SIGQUIT
TimeoutStopSec=300
TimeoutStopFailureMode=abort
WatchdogSignal=SIGTERM
TimeoutAbortSec=15

# Only the worker gets QUIT and TERM, and not its child. KILL is for all that is left.
KillMode=mixed
SendSIGKILL=yes

# A worker that has only just been started does not handle signals yet, and QUIT ends it.
SuccessExitStatus=SIGQUIT

# Restart it however it ended, but not if its arguments or settings are wrong (status 2).
Restart=always
RestartSec=1
RestartPreventExitStatus=2

# When memory runs out, the kernel kills the child before its worker, and the worker records one
# failed job. By default systemd would stop the whole service.
OOMPolicy=continue

# For --pin-pages: 4 MB for each worker that runs as this user.
LimitMEMLOCK=64M

# What the worker and its jobs may not do. NoNewPrivileges forbids sudo, and on most systems
# sendmail. PrivateTmp gives them a /tmp of their own. Remove a line if your jobs need what it
# forbids.
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=full
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
RestrictRealtime=yes

[Install]
WantedBy=multi-user.target
"""

# The name of an instance says which jobs it does, and finds its settings.
QUEUES_OF_INSTANCE = """
# resque-fork@mail serves the queue mail. If its own file exists, that takes precedence, with lines
# such as QUEUES=mail,low and COUNT=4.
Environment=QUEUES=%i
EnvironmentFile=-/etc/resque-fork/%i.env
"""

PROCFILE = """\
# For honcho, foreman, overmind and Heroku, in the directory of the application (here a module
# `app`). With `exec` the worker itself gets the signals, instead of a shell in front of it.
#
# They send TERM or INT, and kill what is left after 5 seconds, Heroku after 30. A job has 2 seconds
# to finish. One that takes longer is stopped, goes back to the front of its queue and is performed
# again from its start. If no job may be performed twice, remove --on-term: a stopped job then goes
# to the failed list.
urgent: exec resque-fork work --require=app --queues=urgent {stop}
worker: exec resque-fork work --require=app --queues='urgent,*' --count=2 {stop}
""".format(stop="--pre-shutdown-timeout=2 --term-timeout=1 --on-term=requeue")


def config_file() -> str:
    """``conf/resque-fork.toml``."""
    parts = [CONFIG_HEAD]
    for setting in table():
        if setting.default is None:
            value, note = VALUES[setting.name], " Not set by default."
        else:
            value, note = setting.default, ""
        line = f"# {setting.name} = {_toml(setting, value)}\n"
        parts.append(f"# {setting.metadata['help']}{note}\n{line}")
    return "\n".join([*parts, CONFIG_TAIL])


def unit(
    *,
    program: str = "/srv/app/.venv/bin/resque-fork",
    directory: str = "/srv/app",
    user: str = "app",
    template: bool = False,
) -> str:
    """``conf/resque-fork.service``, or as a `template` ``conf/resque-fork@.service``."""
    return UNIT.format(
        file="resque-fork@.service" if template else "resque-fork.service",
        name="resque-fork@mail" if template else "resque-fork",
        description="Resque worker (%i)" if template else "Resque worker",
        user=user,
        directory=directory.replace("%", "%%"),
        program=program,
        queues=QUEUES_OF_INSTANCE if template else "",
        arguments="" if template else " --queues=urgent,*",
    )


def unit_of_here(*, template: bool = False) -> str:
    """The unit for this program, this directory and this user."""
    script = os.path.abspath(sys.argv[0])
    if os.path.basename(script) == "resque-fork":
        program = _word(script)
    else:
        program = f"{_word(sys.executable)} -m resque_fork"
    return unit(
        program=program,
        directory=os.getcwd(),
        user=_user(),
        template=template,
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in many containers; systemd takes numbers too
        return str(os.getuid())


def _word(text: str) -> str:
    """One word of a command line of systemd's."""
    text = text.replace("%", "%%")
    return f'"{text}"' if " " in text else text


def _toml(setting: Any, value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{item}"' for item in value) + "]"
    if isinstance(value, str):
        return f'"{value}"'
    if setting.metadata["kind"] is BOOLEAN or isinstance(value, float):
        return str(value).lower()
    text = shown(setting, value)
    return text if text.isdecimal() else f'"{text}"'
