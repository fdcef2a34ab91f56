"""A member's loyalty object at Google, made equal to the ledger. Only when the owner has configured an issuer."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from flows import cards
from flows.settle import SetupIncomplete, written_once
from storage import crm as crm_storage
from storage import members
from wallet.google import loyalty_class, loyalty_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.runtime import Runtime
    from flows.wallets import Google

CLASS_ENTRY = "google_class"
NOTHING_KNOWN = ""
"""In place of a digest: a write is under way or its fate is unknown."""


def refresh(rt: Runtime, member_ids: Sequence[int]) -> dict[int, str]:
    """Sends the objects that differ from what Google has. Raises ConnectorError."""
    google = rt.google
    if google is None:
        raise SetupIncomplete("Google Wallet не настроен: заполните card.google в файле правил")
    _ensure_class(rt, google)
    with rt.db.begin() as tx:
        found = members.shown(tx, member_ids)
        states = crm_storage.states(tx, found)
        views = {
            one.id: replace(cards.card_of(tx, rt, one.person), serial=one.card_serial)
            for one in found.values()
            if not one.is_merged or states[one.id].google_pushed is not None
        }
    for member_id, card in views.items():
        body = loyalty_object(card, rt.design, object_id=google.object_id(card.serial), class_id=google.class_id)
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if digest == states[member_id].google_pushed:
            continue
        with rt.db.begin() as tx:  # remembered before the write: whoever comes after our death sends it again
            crm_storage.save_google(tx, member_id, NOTHING_KNOWN)
        with written_once():
            google.api.upsert_object(body)
        rt.failpoints.reach("google.after_write")
        with rt.db.begin() as tx:
            crm_storage.save_google(tx, member_id, digest)
    return dict.fromkeys(member_ids, "карта Google обновлена")


def _ensure_class(rt: Runtime, google: Google) -> None:
    """Once an hour at most: a class that exists is left as it is."""
    known = rt.directory.get(CLASS_ENTRY)
    if known is not None and known.get("id") == google.class_id:
        return
    logo_url = f"{rt.settings.public_url}/c/logo.png"
    google.api.ensure_class(loyalty_class(rt.design, google.issuer_id, google.class_suffix, logo_url=logo_url))
    rt.directory.put(CLASS_ENTRY, {"id": google.class_id})
