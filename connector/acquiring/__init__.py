"""Acquirers by name. Adding one: a file here, a line in ACQUIRERS and a row in `config/acquirers.py`.

Owns the registry. Implements the acquirers reference, sections 2 to 9 and 13; `base.py` says what an adapter must do.
"""

from __future__ import annotations

from connector.acquiring.base import Acquirer
from connector.acquiring.cloudpayments import CloudPayments
from connector.acquiring.paykeeper import PayKeeper
from connector.acquiring.prodamus import Prodamus
from connector.acquiring.rbs import AlfaBank, Sber
from connector.acquiring.robokassa import Robokassa
from connector.acquiring.stripe import Stripe
from connector.acquiring.tbank import TBank
from connector.acquiring.yookassa import YooKassa

ACQUIRERS: dict[str, type[Acquirer]] = {
    YooKassa.name: YooKassa,
    TBank.name: TBank,
    CloudPayments.name: CloudPayments,
    Robokassa.name: Robokassa,
    Sber.name: Sber,
    AlfaBank.name: AlfaBank,
    Prodamus.name: Prodamus,
    PayKeeper.name: PayKeeper,
    Stripe.name: Stripe,
}
