"""The acquirers that the bank plays. A new one is a file of its own and a line here."""

from __future__ import annotations

from simulator import cloudpayments, paykeeper, prodamus, rbs, robokassa, stripe, tbank, yookassa
from simulator.bank_world import Provider

PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        tbank.PROVIDER,
        yookassa.PROVIDER,
        cloudpayments.PROVIDER,
        robokassa.PROVIDER,
        *rbs.PROVIDERS,
        prodamus.PROVIDER,
        paykeeper.PROVIDER,
        stripe.PROVIDER,
    )
}
TITLES = {name: provider.title for name, provider in PROVIDERS.items()}
