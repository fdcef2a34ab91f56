"""Where amoCRM sends the owner's browser after he has allowed us in, and where it tells that the integration was
switched off.

Owns the pages' words. What a redirect or a message is worth is `flows/linking_grant.py`. Nothing of the query is ever
shown or logged: it holds a code.
"""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request

from flows import linking_grant
from flows.linking_grant import REDIRECT_PATH, UNINSTALLED_PATH, VALUE_CHARS_MAX, Redirect
from webhooks.shared import runtime

_AGAIN = "Запустите kopilka amocrm link ещё раз и откройте новую ссылку."
_WORDS = {
    "connected": (
        200,
        "amoCRM подключена",
        "Вернитесь в терминал: kopilka amocrm link продолжит сама. Если команда уже остановлена, запустите её ещё раз: "
        "доступ получен, разрешать снова не нужно.",
    ),
    "denied": (200, "Доступ не разрешён", f"amoCRM не подключена, ничего не изменилось. {_AGAIN}"),
    "unknown": (
        400,
        "Эту ссылку выдали не мы",
        "Ссылка скопирована не целиком или подключение начато не отсюда. Подключение начинает команда kopilka amocrm "
        "link: откройте ссылку, которую она напечатает.",
    ),
    "late": (400, "Ссылка устарела", f"Она действует 15 минут. {_AGAIN}"),
    "used": (
        400,
        "Ссылка уже использована",
        "Она действует один раз. Чем кончилось подключение, видно в терминале и командой kopilka amocrm status.",
    ),
    "account": (
        400,
        "Выбран другой аккаунт",
        "Доступ выдан не тому аккаунту, который назван в amocrm.account файла правил. Вернитесь на страницу amoCRM и "
        "выберите нужный. Если аккаунт переименовали, впишите новое имя в файл правил.",
    ),
    "foreign": (
        400,
        "Это другой аккаунт",
        "Контакты и сделки в базе взяты из другого аккаунта amoCRM. Новый доступ не сохранён, прежний остался. Впишите "
        "в amocrm.account прежний аккаунт; для другого магазина заведите отдельную базу.",
    ),
    "client": (
        400,
        "Ответ другой интеграции",
        f"Проверьте AMOCRM_CLIENT_ID: он должен быть от этой интеграции. {_AGAIN}",
    ),
    "refused": (
        400,
        "amoCRM не приняла код",
        f"Проверьте AMOCRM_CLIENT_SECRET и redirect_uri: они должны быть теми же, что в amoCRM. {_AGAIN}",
    ),
    "lost": (502, "Ответ amoCRM потерялся", f"Код при этом истрачен, доступа нет. {_AGAIN}"),
    "away": (502, "amoCRM не отвечает", f"Подождите минуту. {_AGAIN}"),
}

blueprint = Blueprint("amocrm_install", __name__)


@blueprint.get(REDIRECT_PATH)
def granted() -> Response:
    """A browser may ask twice for the same address; the second time nothing happens."""
    names = ("state", "code", "referer", "client_id", "error")
    told = Redirect(**{name: request.args.get(name, "")[: VALUE_CHARS_MAX + 1] for name in names})
    outcome = linking_grant.receive(runtime(), told).outcome
    status, title, text = _WORDS[outcome]
    return Response(render_template("amocrm_install.html", title=title, text=text), status)


@blueprint.get(UNINSTALLED_PATH)
def uninstalled() -> Response:
    """Before 2024 the integration was called `client_id` here."""
    given = {name: request.args.get(name, "") for name in ("account_id", "client_uuid", "client_id", "signature")}
    done = linking_grant.uninstalled(
        runtime(),
        account_id=given["account_id"],
        client_uuid=given["client_uuid"] or given["client_id"],
        signature=given["signature"],
    )
    status = 403 if done == "forged" else 200
    return Response("refused" if status == 403 else "ok", status, content_type="text/plain; charset=utf-8")
