"""`kopilka wallet`: the cards in buyers' phones. Owns the group; each command has its file."""

from __future__ import annotations

import click

from cli.wallet_cards import cards
from cli.wallet_check import check
from cli.wallet_preview import preview
from cli.wallet_renew import renew
from cli.wallet_verify import verify


@click.group()
def wallet() -> None:
    """Карты в кошельке телефона."""


wallet.add_command(preview)
wallet.add_command(check)
wallet.add_command(renew)
wallet.add_command(verify)
wallet.add_command(cards)
