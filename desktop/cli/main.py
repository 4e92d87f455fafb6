"""The `cove` command: arguments in, sentences and exit codes out.

Everything a command needs is imported inside it: `cove status` shall answer at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from desktop.failure import ExitCode, Failure
from desktop.paths import Home

if TYPE_CHECKING:
    from desktop.agent.client import AgentClient


def main(argv: list[str] | None = None) -> int:
    """Run a command line; answers the exit code."""
    try:
        return int(cove.main(argv, prog_name="cove", standalone_mode=False) or 0)
    except Failure as failure:
        click.echo(_paint(failure), err=True)
        return failure.exit_code
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _paint(failure: Failure) -> str:
    """Three lines at most: what, why, what to do."""
    lines = [click.style(f"cove: {failure.what}", bold=True)]
    lines += [f"  {part}" for part in (failure.why, failure.hint) if part]
    return "\n".join(lines)


def _client() -> AgentClient:
    from desktop.agent.client import AgentClient

    home = Home.from_environment()
    home.check()
    return AgentClient(home)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, message="cove %(version)s", version="0.1.0")
def cove() -> None:
    """Containers on your computer: a small VM, an engine, the docker command.

    COVE_HOME (default ~/.cove) holds everything of an instance. COVE_ACCEL=hvf|kvm|tcg forces
    how the VM is run.
    """


@cove.command()
@click.option("--headless", is_flag=True, help="Progress as plain lines with times.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@click.option("--hello", is_flag=True, help="Then run a container of the built-in image.")
def start(headless: bool, quiet: bool, hello: bool) -> None:
    """Start the VM; done once the engine answers."""
    client = _client()
    _start(client, headless=headless, quiet=quiet)
    if hello:
        from desktop.cli import hello as first

        click.echo(first.run(client.home))
        click.echo("\nThe VM goes on. Use it with:")
        click.echo(f"  export DOCKER_HOST={client.home.docker_host}")


def _start(client: AgentClient, *, headless: bool, quiet: bool) -> None:
    from desktop.cli import context, progress
    from desktop.vm.states import State

    if client.status().state is State.RUNNING:
        click.echo(f"Cove already runs. DOCKER_HOST={client.home.docker_host}")
        return
    show = progress.Printer(live=not headless and sys.stderr.isatty(), quiet=quiet)
    with show:
        status = client.start(show.update)
    seconds = f" in {status.boot_seconds:.1f} s" if status.boot_seconds else ""
    click.echo(f"Cove runs: ready{seconds}. DOCKER_HOST={client.home.docker_host}")
    if not quiet:
        note = context.ensure(client.home)
        if note:
            click.echo(note)


@cove.command()
def stop() -> None:
    """Shut the VM down; containers get 10 s to end."""
    from desktop.vm.states import State

    client = _client()
    running = client.status().state is not State.STOPPED
    status = client.stop()
    for notice in status.notices:
        click.echo(notice, err=True)
    click.echo("Cove has stopped." if running else "Cove isn't running.")


@cove.command()
@click.option("--headless", is_flag=True, help="Progress as plain lines with times.")
def restart(headless: bool) -> None:
    """Stop and start, with the settings as they are now."""
    from desktop.cli import progress

    client = _client()
    with progress.Printer(live=not headless and sys.stderr.isatty()) as show:
        status = client.restart(show.update)
    seconds = f" in {status.boot_seconds:.1f} s" if status.boot_seconds else ""
    click.echo(f"Cove runs: ready{seconds}. DOCKER_HOST={client.home.docker_host}")


@cove.command()
def pause() -> None:
    """Freeze the VM; the next docker command wakes it."""
    _client().pause()
    click.echo("Cove is paused. Any docker command, or `cove start`, wakes it.")


@cove.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Tell the state of VM, agent and socket."""
    from desktop.cli import report

    now = _client().status()
    click.echo(report.as_json(now) if as_json else report.as_text(now))


# the first word that is no option of ours begins the command: what follows is its own, -h as well
@cove.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(command: tuple[str, ...]) -> None:
    """Open a shell in the VM, or run COMMAND there."""
    from desktop.cli import shell as session

    sys.exit(session.run(_client(), command))


@cove.command()
@click.argument("which", default="console", type=click.Choice(["console", "agent", "engine"]))
@click.option("--follow", "-f", is_flag=True, help="Go on as the log grows.")
@click.option("--tail", "-n", "count", type=click.IntRange(min=0), help="Only the last N lines.")
def logs(which: str, follow: bool, count: int | None) -> None:
    """Print a log: the VM's console, the agent's, or the engine's."""
    from desktop.cli import logs as reader

    for line in reader.read(_client().home, which, follow=follow, count=count):
        click.echo(line)


@cove.group()
def config() -> None:
    """Read and change settings: cpus, memory, disk, shares, isolation."""


@config.command("list")
def config_list() -> None:
    """Print all settings."""
    for key, value in _client().config_get().items():
        click.echo(f"{key} = {_word(value)}")


@config.command("get")
@click.argument("key")
def config_get(key: str) -> None:
    """Print one setting."""
    from desktop.settings import KEYS, SettingsError

    values = _client().config_get()
    if key not in values:
        raise SettingsError(
            f"There is no setting {key}.", "", f"The settings are {', '.join(KEYS)}."
        )
    click.echo(_word(values[key]))


@config.command("set")
@click.argument("key")
@click.argument("value")
def config_set(key: str, value: str) -> None:
    """Change one setting, for example `cove config set memory 4G`."""
    answer = _client().config_set({key: value})
    click.echo(f"{key} = {_word(answer['settings'][key])}")
    if answer["restart"]:
        click.echo("Run `cove restart` to bring it into force.")


def _word(value: Any) -> str:
    return ",".join(value) if isinstance(value, list) else str(value)


@cove.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def diagnose(as_json: bool) -> None:
    """Check everything and print a report to attach to a question."""
    from desktop.cli import diagnose as checks

    found = checks.run(_client())
    click.echo(found.as_json() if as_json else found.as_text())
    if found.failed:
        sys.exit(ExitCode.FAILED)


@cove.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
def reset(yes: bool) -> None:
    """Remove the VM's disk with all images, containers and volumes. Settings stay."""
    from desktop.cli import reset as remover

    client = _client()
    if not yes:
        click.confirm(
            f"This removes every image, container and volume of {client.home.path}. Go on?",
            abort=True,
        )
    freed = remover.run(client)
    click.echo(f"Removed; {freed / 1e9:.1f} GB are free again.")


@cove.command()
def app() -> None:
    """Open the window."""
    from importlib import import_module

    try:
        window = import_module("desktop.app")
    except ImportError as error:
        raise Failure(
            "The window can't be opened.",
            f"{error}.",
            "Run `scripts/run`, which installs what it needs.",
            ExitCode.MISSING,
        ) from error
    sys.exit(window.main())
