"""What programs may ask of members: a model for each request, from which reading, OpenAPI and the docs page come.

Unknown fields are refused, numbers are whole numbers and nothing else, `null` means «not given». Models live at the
border only: each turns itself into the frozen values that flows take.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from flows.adjusting import REASON_WORDS, Adjustment, Reason
from flows.people import Names, Person
from webhooks.api.fields import (
    POINTS_MAX,
    Birthday,
    CardNumber,
    ContactId,
    Email,
    Instant,
    MemberId,
    Phone,
    QueryContact,
    QueryCount,
    QueryId,
    short_text,
    shown_text,
)

LINES_DEFAULT = 50
LINES_MAX = 500


class Asked(BaseModel):
    """Any request: strict, closed, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, title=None)


def one_of(*names: str, type_of: dict[str, str] | None = None) -> dict[str, Any]:
    """JSON Schema of «exactly one of these is given and is not null»."""
    types = type_of or {}
    return {
        "oneOf": [{"required": [name], "properties": {name: {"type": types.get(name, "string")}}} for name in names]
    }


def exactly_one(model: BaseModel, *names: str) -> None:
    given = [name for name in names if getattr(model, name) is not None]
    if len(given) != 1:
        raise PydanticCustomError("exactly_one", f"укажите ровно одно из: {', '.join(names)}")


WHO = ("member_id", "phone", "email", "card")


class Who(Asked):
    """Whose points these are; exactly one way to name him."""

    model_config = ConfigDict(json_schema_extra=one_of(*WHO, type_of={"member_id": "integer"}))

    member_id: MemberId | None = None
    phone: Phone | None = None
    email: Email | None = None
    card: CardNumber | None = None

    @model_validator(mode="after")
    def _one_name(self) -> Who:
        exactly_one(self, *WHO)
        return self

    def names(self) -> Names:
        return Names(phone=self.phone, email=self.email, card=self.card, member_id=self.member_id)


class FindMember(Asked):
    """Exactly one way to name the member."""

    phone: Phone | None = None
    email: Email | None = None
    card: CardNumber | None = None
    contact: QueryContact | None = None

    @model_validator(mode="after")
    def _one_name(self) -> FindMember:
        exactly_one(self, "phone", "email", "card", "contact")
        return self

    def names(self) -> Names:
        return Names(phone=self.phone, email=self.email, card=self.card, contact=self.contact)


class IncomingCall(Asked):
    phone: Phone


class PageOfStatement(Asked):
    limit: Annotated[QueryCount, Field(ge=1, le=LINES_MAX, description="Сколько строк", examples=[20])] = LINES_DEFAULT
    before: Annotated[QueryId | None, Field(description="Продолжить со строки: next_before прошлого ответа")] = None


class AtMoment(Asked):
    at: Annotated[Instant | None, Field(description="На какой момент; без него на сейчас")] = None


class NewMember(Asked):
    """At least one address by which he will be found again."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": kind}}}
                for name, kind in (("phone", "string"), ("email", "string"), ("contact", "integer"))
            ]
        }
    )

    name: Annotated[str, short_text(200, "Как зовут", "Анна Петрова", chars_min=1), AfterValidator(shown_text)]
    phone: Phone | None = None
    email: Email | None = None
    birthday: Birthday | None = None
    contact: ContactId | None = None

    @model_validator(mode="after")
    def _can_be_found(self) -> NewMember:
        if self.phone is None and self.email is None and self.contact is None:
            raise PydanticCustomError("no_address", "укажите phone, email или contact: иначе участника не найти")
        return self

    def person(self) -> Person:
        return Person(self.name.strip(), self.phone, self.email, self.birthday, self.contact)


class Adjust(Asked):
    points: Annotated[
        int, Field(ge=-POINTS_MAX, le=POINTS_MAX, description="Больше нуля дать, меньше нуля снять", examples=[100])
    ]
    reason: Annotated[
        Reason, Field(description="Причина: " + ", ".join(f"{code} ({words})" for code, words in REASON_WORDS.items()))
    ]
    comment: Annotated[
        str,
        short_text(300, "Пояснение для выписки", "Не пришли баллы за заказ A-1001", chars_min=1),
        AfterValidator(shown_text),
    ]

    @model_validator(mode="after")
    def _something(self) -> Adjust:
        if self.points == 0:
            raise PydanticCustomError("zero", "points не может быть нулём")
        return self

    def adjustment(self, *, actor: str, key: str) -> Adjustment:
        return Adjustment(self.points, self.reason, self.comment.strip(), actor, key)


class Reward(Asked):
    code: Annotated[str, short_text(64, "Код поощрения из gifts.actions", "review", chars_min=1)]


class Merge(Asked):
    into: Annotated[MemberId, Field(description="Номер участника, который останется")]


class Segment(Asked):
    code: (
        Annotated[str, short_text(64, "Код сегмента из файла правил; null: снова по покупкам", "vip", chars_min=1)]
        | None
    )


class Nothing(Asked):
    """A request that needs no fields."""
