-- no-transaction
-- The inbox of a place of reception. Few rows: those of other units do not write to it. Built beside the traffic, which no transaction may do;
-- hence a file and a statement of its own. If it is broken off it leaves an invalid index: drop that and migrate again.
CREATE INDEX CONCURRENTLY case_tasks_by_reception ON case_tasks (reception_unit_id, create_time, task_id)
    WHERE state = 1 AND reception_unit_id IS NOT NULL;
