-- no-transaction
-- Hộp việc of a unit, narrowed to one role (a leader looks at what the counter, or the officers, have to do). Without it the open tasks of every
-- other role of the unit would be walked for a page. Built beside the traffic, which no transaction may do; hence a file and a statement of its
-- own. If it is broken off it leaves an invalid index: drop that and migrate again. Who may see the rows is as before. The version before runs on
-- it unchanged. Way back: drop the index.
CREATE INDEX CONCURRENTLY case_tasks_by_unit_and_role ON case_tasks (responsible_unit_id, role, create_time, task_id) WHERE state = 1;
