"""Alembic's entry: the caller (`storage.schema`) hands over an open connection; there is no ini file and no URL here."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    transaction_per_migration=context.config.attributes["is_step_by_step"],
)
with context.begin_transaction():
    context.run_migrations()
