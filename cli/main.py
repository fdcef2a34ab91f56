"""`kopilka`: the entry. Commands are imported when they are called, so `--help` answers at once."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "demo": "cli.demo:demo",
    "init": "cli.setup:init",
    "check": "cli.check:check",
    "try": "cli.trying:try_",
    "plan": "cli.rules:plan",
    "apply": "cli.rules:apply",
    "balance": "cli.balance:balance",
    "night": "cli.night:night",
    "member": "cli.members:member",
    "doctor": "cli.setup:doctor",
    "migrate": "cli.serving:migrate",
    "web": "cli.serving:web",
    "worker": "cli.serving:worker",
    "sweep": "cli.serving:sweep",
    "events": "cli.inspect:events",
    "verify-ledger": "cli.inspect:verify_ledger",
    "import": "cli.importing:import_",
    "export": "cli.exporting:export",
    "payments": "cli.payments:payments",
    "reconcile": "cli.reconcile:reconcile",
    "hooks": "cli.hooks:hooks",
    "token": "cli.token:token",
    "console-link": "cli.inspect:console_link",
    "amocrm": "cli.crm:amocrm",
    "wallet": "cli.wallet:wallet",
    "calls": "cli.calls:calls",
}


class LazyGroup(click.Group):
    """Imports a command's module only when that command is wanted."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Bytes that are no text would come out again only in the database or on the terminal, as a failure."""
        if not all(_is_text(one) for one in args):
            from cli.common import fail  # noqa: PLC0415 - `--help` must not wait for it

            fail("Среди слов команды есть не текст в UTF-8", "наберите команду заново; кодировка терминала UTF-8")
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command


def _is_text(argument: str) -> bool:
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kopilka")
def main() -> None:
    """Копилка: баллы, карты в кошельке и поля amoCRM. Оплата пришла, дальше всё само."""


if __name__ == "__main__":
    main()
