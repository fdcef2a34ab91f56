"""Who receives outgoing webhooks: adding addresses, switching them on and off, looking at deliveries.

A secret is made here, shown once and stored sealed. What is sent and when is `flows/outgoing.py`.
"""

from __future__ import annotations

import secrets
from contextlib import closing
from typing import TYPE_CHECKING

import structlog

from connector.errors import ConnectorError
from connector.outgoing import SECRET_BYTES, secret_text
from flows.outgoing import EVENT_TYPES, poster, secret_context, trouble_of
from storage import outbox, outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.runtime import Runtime
    from storage.outgoing import Delivery, Endpoint

ENDPOINTS_MAX = 20
OFF_BY_HAND = "выключен вручную"

_log = structlog.get_logger(__name__)


class EndpointRefused(Exception):
    """This cannot be done; the text says why, `mend` what to do."""

    def __init__(self, text: str, mend: str) -> None:
        super().__init__(text)
        self.mend = mend


def add_endpoint(rt: Runtime, url: str, events: Sequence[str] = EVENT_TYPES) -> tuple[int, str]:
    """A new address that wants these events: its id, and the secret, which nobody can see a second time.

    Raises EndpointRefused.
    """
    unknown = [event for event in events if event not in EVENT_TYPES]
    if unknown or not events:
        raise EndpointRefused(f"Нет события {', '.join(unknown)}", f"выберите из: {', '.join(EVENT_TYPES)}")
    _check(rt, url)
    secret = secret_text(secrets.token_bytes(SECRET_BYTES))
    with rt.db.begin() as tx:
        in_use = [endpoint for endpoint in outgoing.endpoints(tx) if endpoint.is_on]
        twin = next((endpoint for endpoint in in_use if endpoint.url == url), None)
        if twin is not None:
            mend = f"для нового секрета выключите его (kopilka hooks off {twin.id}) и добавьте снова"
            raise EndpointRefused(f"Этот адрес уже есть, его номер {twin.id}", mend)
        if len(in_use) >= ENDPOINTS_MAX:
            raise EndpointRefused(f"Адресов уже {len(in_use)}, больше нельзя", "выключите ненужные: kopilka hooks off")
        endpoint_id = outgoing.new_endpoint_id(tx)
        sealed = rt.keys.seal(secret.encode(), context=secret_context(endpoint_id))
        chosen = [event for event in EVENT_TYPES if event in events]
        outgoing.add_endpoint(tx, endpoint_id, url=url, sealed_secret=sealed, events=chosen, now=rt.now())
    return endpoint_id, secret


def list_endpoints(rt: Runtime) -> Sequence[Endpoint]:
    with rt.db.begin() as tx:
        return outgoing.endpoints(tx)


def set_on(rt: Runtime, endpoint_id: int, *, is_on: bool) -> bool:
    """Switches an address on or off. What happens while it is off is not told to it later. False: it was so already.

    Raises EndpointRefused.
    """
    with rt.db.begin() as tx:
        if all(endpoint.id != endpoint_id for endpoint in outgoing.endpoints(tx)):
            raise EndpointRefused(f"Адреса {endpoint_id} нет", "kopilka hooks list покажет номера")
        is_changed = outgoing.switch(tx, endpoint_id, is_on=is_on, reason=None if is_on else OFF_BY_HAND)
    if is_changed and not is_on:
        _log.warning("webhook_endpoint_off", endpoint_id=endpoint_id, reason=OFF_BY_HAND)
    return is_changed


def deliveries(rt: Runtime, *, endpoint_id: int | None = None, limit: int) -> Sequence[Delivery]:
    """The newest deliveries, of one address or of all."""
    with rt.db.begin() as tx:
        return outgoing.deliveries(tx, endpoint_id=endpoint_id, limit=limit)


def redeliver(rt: Runtime, delivery_id: int) -> None:
    """Sends a delivery again, with the id it had: a receiver that has taken it before will know it.

    Raises EndpointRefused.
    """
    with rt.db.begin() as tx:
        if not outgoing.renew(tx, delivery_id):
            raise EndpointRefused(
                f"Доставки {delivery_id} нет, или её адрес выключен",
                "kopilka hooks deliveries покажет номера, kopilka hooks on включит адрес",
            )
        outbox.add(tx, "webhook", [delivery_id], now=rt.now())
    rt.bell.ring("outbox", delivery_id)


def _check(rt: Runtime, url: str) -> None:
    try:
        with closing(poster(rt)) as post:
            post.check(url)
    except ConnectorError as failure:
        trouble = trouble_of(failure) if not failure.retryable else "у сервера с этим именем нет адреса"
        raise EndpointRefused(
            f"Адрес не подходит: {trouble}", "укажите адрес своего приёмника, видимый снаружи"
        ) from None
