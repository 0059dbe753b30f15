-- Việc: who is to do which step of a case, opinions that are asked for, marks on fields and components, internal comments.
--
-- Expand only: the version before writes cases without tasks, and the next act by the new version opens the one that is due. Way
-- back: drop the five tables.

CREATE TABLE case_tasks (
    task_id             uuid        PRIMARY KEY,
    case_id             uuid        NOT NULL REFERENCES cases,
    number              int         NOT NULL CHECK (number >= 1),
    kind                smallint    NOT NULL CHECK (kind IN (1, 2)),           -- 1 a step, 2 an opinion
    step                text        NOT NULL,
    role                text        NOT NULL,           -- that the step names
    responsible_unit_id int         NOT NULL,           -- where the work lies
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 4),    -- 1 open, 2 done, 3 sent back, 4 passed over
    assignee_id         uuid,
    delegator_id        uuid,                           -- who passed it on
    asked_by_task       uuid        REFERENCES case_tasks,
    asking_unit_id      int,                            -- the unit that asks for the opinion
    question            text        NOT NULL DEFAULT '',
    opinion             text        NOT NULL DEFAULT '',
    agrees              boolean,
    create_time         timestamptz NOT NULL,
    assign_time         timestamptz,
    finish_time         timestamptz,
    finished_by         uuid,
    version             bigint      NOT NULL CHECK (version >= 1),
    CHECK ((state = 1) = (finish_time IS NULL)),
    CHECK (delegator_id IS NULL OR assignee_id IS NOT NULL),
    CHECK ((kind = 2) = (asking_unit_id IS NOT NULL))
);
CREATE UNIQUE INDEX case_tasks_by_case ON case_tasks (case_id, number);
-- A case has one open step.
CREATE UNIQUE INDEX case_tasks_one_open_step ON case_tasks (case_id) WHERE state = 1 AND kind = 1;
-- The inbox of a unit, and that of a person: what has waited longest first.
CREATE INDEX case_tasks_by_unit ON case_tasks (responsible_unit_id, create_time, task_id) WHERE state = 1;
CREATE INDEX case_tasks_by_assignee ON case_tasks (assignee_id, create_time, task_id) WHERE state = 1 AND assignee_id IS NOT NULL;
-- Which cases a unit sees because its opinion is asked for: few.
CREATE INDEX case_tasks_consulted ON case_tasks (responsible_unit_id, case_id) WHERE state = 1 AND kind = 2;

-- The unit where the work lies sees the task, and the unit that asked for an opinion. Not the citizen: the inside of the office is
-- no part of their case.
ALTER TABLE case_tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE case_tasks FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON case_tasks USING (
    responsible_unit_id = ANY ((SELECT egov.scope())::int[])
    OR (SELECT egov.scope_all())
    OR asking_unit_id = ANY ((SELECT egov.scope())::int[])
);
SELECT egov.allow_update('case_tasks', 'responsible_unit_id', 'state', 'assignee_id', 'delegator_id', 'asking_unit_id', 'opinion',
                         'agrees', 'assign_time', 'finish_time', 'finished_by', 'version');

-- What was done with a task itself: taken, given, passed on. What was done with the case stands in case_history.
CREATE TABLE task_history (
    task_id      uuid        NOT NULL REFERENCES case_tasks,
    version      bigint      NOT NULL,
    operation    text        NOT NULL,
    actor_id     uuid        NOT NULL,
    on_behalf_of uuid,
    assignee_id  uuid,
    reason       text        NOT NULL,
    record_time  timestamptz NOT NULL,
    PRIMARY KEY (task_id, version)
);
SELECT egov.append_only('task_history');

-- Đánh dấu on a single field or component, made when a task is sent back.
CREATE TABLE case_marks (
    mark_id        uuid        PRIMARY KEY,
    case_id        uuid        NOT NULL REFERENCES cases,
    task_id        uuid        NOT NULL REFERENCES case_tasks,
    field          text        NOT NULL DEFAULT '',
    component_code text        NOT NULL DEFAULT '',
    text           text        NOT NULL,
    author_id      uuid        NOT NULL,
    create_time    timestamptz NOT NULL,
    resolve_time   timestamptz,
    resolved_by    uuid,
    CHECK ((field = '') <> (component_code = '')),
    CHECK ((resolve_time IS NULL) = (resolved_by IS NULL))
);
CREATE INDEX case_marks_by_case ON case_marks (case_id, create_time, mark_id);
SELECT egov.allow_update('case_marks', 'resolve_time', 'resolved_by');

-- Ghi chú nội bộ on a case: of the office, not of the applicant.
CREATE TABLE case_comments (
    comment_id  uuid        PRIMARY KEY,
    case_id     uuid        NOT NULL REFERENCES cases,
    task_id     uuid        REFERENCES case_tasks,
    author_id   uuid        NOT NULL,
    text        text        NOT NULL,
    create_time timestamptz NOT NULL
);
CREATE INDEX case_comments_by_case ON case_comments (case_id, create_time, comment_id);
SELECT egov.append_only('case_comments');

-- History and marks are seen by whoever sees the task.
DO $$
DECLARE
    belonging regclass;
BEGIN
    FOREACH belonging IN ARRAY ARRAY['task_history', 'case_marks']::regclass[]
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', belonging);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', belonging);
        EXECUTE format('CREATE POLICY of_the_task ON %s USING (EXISTS (SELECT 1 FROM case_tasks WHERE case_tasks.task_id = %s.task_id))', belonging, belonging);
    END LOOP;
END $$;

-- Comments by the competent unit alone: that a citizen sees the case is not enough.
ALTER TABLE case_comments ENABLE ROW LEVEL SECURITY;
ALTER TABLE case_comments FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_competent_unit ON case_comments USING (EXISTS (
    SELECT 1 FROM cases
    WHERE cases.case_id = case_comments.case_id
      AND (cases.responsible_unit_id = ANY ((SELECT egov.scope())::int[]) OR (SELECT egov.scope_all()))
));

-- Cases that are on their way get the task that follows from where they stand: domain::work::follow::next_step, in SQL once.
INSERT INTO case_tasks (task_id, case_id, number, kind, step, role, responsible_unit_id, state, assignee_id, create_time, assign_time, version)
SELECT gen_random_uuid(), c.case_id, 1, 1, next.step ->> 'code', next.step ->> 'role', c.responsible_unit_id, 1,
       CASE WHEN (next.step ->> 'state')::int IN (4, 6) THEN c.assignee_id END,
       c.update_time,
       CASE WHEN (next.step ->> 'state')::int IN (4, 6) AND c.assignee_id IS NOT NULL THEN c.update_time END,
       1
FROM cases AS c
JOIN procedures AS p ON p.procedure_code = c.procedure_code AND p.version = c.procedure_version
CROSS JOIN LATERAL (
    SELECT s.step
    FROM jsonb_array_elements(p.document -> 'steps') WITH ORDINALITY AS s (step, place)
    WHERE CASE
        WHEN c.state = 1 OR (c.state = 5 AND c.entered_from IS DISTINCT FROM 4) THEN (s.step ->> 'state')::int = 2
        WHEN c.state IN (2, 4, 5, 6) THEN (s.step ->> 'state')::int IN (4, 6, 9) AND s.place > coalesce(
            (SELECT min(d.place) FROM jsonb_array_elements(p.document -> 'steps') WITH ORDINALITY AS d (step, place)
             WHERE d.step ->> 'code' = c.step), 0)
        WHEN c.state = 9 THEN (s.step ->> 'state')::int = 10
        ELSE false
    END
    ORDER BY s.place
    LIMIT 1
) AS next;
