"""Which acquirers the rules file may name, with which credentials, and where their owner finds them.

Owns the words of `acquirers[]`. How an acquirer talks is the connector's; a test holds both registries together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Credential:
    """`where_ru`: where it is found. `is_open`: no secret, may be written into the rules file as it is."""

    name: str
    where_ru: str
    is_optional: bool = False
    is_open: bool = False


@dataclass(frozen=True)
class KnownAcquirer:
    """`api_url` is the official address, "" where every shop has its own. `needs_any`: groups of optional credentials
    of which one must be there as a whole."""

    title_ru: str
    api_url: str
    credentials: tuple[Credential, ...]
    needs_any: tuple[tuple[str, ...], ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.credentials if not one.is_optional)

    def is_complete(self, names: Collection[str]) -> bool:
        """Whether these credentials are enough."""
        groups = self.needs_any or ((),)
        return set(self.required) <= set(names) and any(set(group) <= set(names) for group in groups)


def _rbs(title_ru: str, api_url: str, where: str) -> KnownAcquirer:
    """One gateway under several banks' names."""
    return KnownAcquirer(
        title_ru,
        api_url,
        (
            Credential("login", f"{where}: логин для API, обычно кончается на -api", is_optional=True),
            Credential("password", f"{where}: пароль этого логина", is_optional=True),
            Credential("token", f"{where}: токен вместо логина и пароля", is_optional=True),
            Credential("callback_key", f"{where}: ключ контрольной суммы (симметричный)", is_optional=True),
            Credential("callback_certificate", f"{where}: сертификат подписи, файл PEM", is_optional=True),
            Credential("gateway", "адрес шлюза, если он у вас не общий", is_optional=True, is_open=True),
        ),
        needs_any=(("token",), ("login", "password")),
    )


ACQUIRERS: Mapping[str, KnownAcquirer] = MappingProxyType(
    {
        "yookassa": KnownAcquirer(
            "ЮKassa",
            "https://api.yookassa.ru",
            (
                Credential("shop_id", "кабинет ЮKassa, «Настройки» → «Магазин», shopId"),
                Credential("secret", "кабинет ЮKassa, «Интеграция» → «Ключи API»"),
            ),
        ),
        "tbank": KnownAcquirer(
            "Т-Банк",
            "https://securepay.tinkoff.ru",
            (
                Credential("terminal", "кабинет Т-Бизнеса, «Интернет-эквайринг» → магазин → «Терминалы»"),
                Credential("password", "кабинет Т-Бизнеса, «Интернет-эквайринг» → магазин → «Терминалы», пароль"),
            ),
        ),
        "cloudpayments": KnownAcquirer(
            "CloudPayments",
            "https://api.cloudpayments.ru",
            (
                Credential("public_id", "кабинет CloudPayments, «Сайты» → настройки сайта, Public ID"),
                Credential("secret", "кабинет CloudPayments, «Сайты» → настройки сайта, пароль для API"),
            ),
        ),
        "robokassa": KnownAcquirer(
            "Robokassa",
            "https://auth.robokassa.ru",
            (
                Credential("login", "кабинет Robokassa, «Мои магазины» → «Технические настройки», идентификатор"),
                Credential("password2", "кабинет Robokassa, «Технические настройки», Пароль #2"),
                Credential(
                    "algorithm",
                    "кабинет Robokassa, «Технические настройки», алгоритм расчёта хеша: md5, sha256, …",
                    is_optional=True,
                    is_open=True,
                ),
                Credential("test_password2", "там же, Пароль #2 для тестовых платежей", is_optional=True),
                Credential(
                    "result2_certificate",
                    "docs.robokassa.ru, раздел об уведомлениях ResultUrl2, файл jwtsign.cer",
                    is_optional=True,
                ),
            ),
        ),
        "sber": _rbs("Сбер", "https://ecommerce.sberbank.ru", "кабинет Сбера для интернет-эквайринга или поддержка"),
        "alfabank": _rbs("Альфа-Банк", "https://pay.alfabank.ru", "кабинет эквайринга Альфа-Банка или поддержка"),
        "prodamus": KnownAcquirer(
            "Prodamus",
            "",
            (
                Credential("secret", "настройки платёжной страницы Prodamus, «Секретный ключ»"),
                Credential("demo", "yes, пока страница в демо-режиме", is_optional=True, is_open=True),
            ),
        ),
        "paykeeper": KnownAcquirer(
            "PayKeeper",
            "",
            (
                Credential("secret", "кабинет PayKeeper, «Настройки» → «Получение информации о платежах»"),
                Credential("server", "адрес вашего PayKeeper, чтобы видеть возвраты", is_optional=True, is_open=True),
                Credential("login", "пользователь этого PayKeeper для API", is_optional=True),
                Credential("password", "пароль этого пользователя", is_optional=True),
            ),
        ),
        "stripe": KnownAcquirer(
            "Stripe",
            "https://api.stripe.com",
            (
                Credential("webhook_secret", "Stripe Dashboard, «Developers» → «Webhooks», Signing secret (whsec_…)"),
                Credential(
                    "secret_key", "Stripe Dashboard, «Developers» → «API keys» (rk_… или sk_…)", is_optional=True
                ),
            ),
        ),
    }
)
