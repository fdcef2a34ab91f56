"""Lists of buyers to call, a task in the CRM for each; and what the contact's fields about consent were last seen to
say.
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE call_list (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL CHECK (length(title) BETWEEN 1 AND 120),
    template text NOT NULL CHECK (length(template) BETWEEN 1 AND 1000),
    segment_code text NOT NULL,
    due_on date NOT NULL,
    responsible_ref bigint,
    tries integer NOT NULL CHECK (tries BETWEEN 1 AND 10),
    again_after_days integer NOT NULL CHECK (again_after_days BETWEEN 1 AND 60),
    created_at timestamptz NOT NULL,
    stopped_at timestamptz
);

CREATE TABLE call_task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    list_id bigint NOT NULL REFERENCES call_list,
    member_id bigint NOT NULL REFERENCES member,
    try_no integer NOT NULL DEFAULT 1 CHECK (try_no BETWEEN 1 AND 10),
    due_on date NOT NULL,
    state text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'written', 'closed', 'dropped')),
    dropped_why text CHECK (length(dropped_why) <= 200),
    asked_at timestamptz,
    contact_ref bigint,
    task_ref bigint CONSTRAINT one_row_per_task UNIQUE,
    written_at timestamptz,
    checked_at timestamptz,
    closed_at timestamptz,
    result_code integer CHECK (result_code BETWEEN 1 AND 5),
    result_text text CHECK (length(result_text) <= 500),
    created_at timestamptz NOT NULL,
    CONSTRAINT one_task_per_try UNIQUE (list_id, member_id, try_no),
    CONSTRAINT written_task_has_a_number CHECK (state NOT IN ('written', 'closed') OR task_ref IS NOT NULL),
    CONSTRAINT closed_task_has_a_time CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
    CONSTRAINT dropped_task_has_a_reason CHECK ((state = 'dropped') = (dropped_why IS NOT NULL))
);
CREATE INDEX call_task_of_member ON call_task (member_id, created_at);
CREATE INDEX call_task_open ON call_task (checked_at, id) WHERE state = 'written';

CREATE TABLE crm_tick (
    contact_ref bigint NOT NULL,
    field_ref bigint NOT NULL,
    is_ticked boolean NOT NULL,
    seen_at timestamptz NOT NULL,
    pushing_since timestamptz,
    PRIMARY KEY (contact_ref, field_ref)
);
"""

DOWN = """
DROP TABLE crm_tick, call_task, call_list;
DELETE FROM outbox WHERE kind = 'task';
DELETE FROM inbox WHERE source = 'amocrm.task';
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
