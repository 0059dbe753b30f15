-- Nơi tiếp nhận: the unit that received a case for another one sees it. Reading yes, deciding no: the policies are for SELECT alone, so
-- that the unit neither changes such a case nor takes its row for a change.
--
-- Expand only: the version before asks by the competent unit and sees no more than before. Way back: drop the policies and indexes.

-- Most cases are received where they are decided: the indexes hold the others only, and filing an ordinary case does not write to them.
CREATE INDEX cases_received_by_unit ON cases (receiving_unit_id, submit_time DESC, case_id DESC)
    WHERE receiving_unit_id <> responsible_unit_id;
CREATE INDEX cases_received_by_time ON cases (submit_time DESC, case_id DESC)
    WHERE receiving_unit_id <> responsible_unit_id;

-- PostgreSQL tries the policies in the reverse order of their names, so that `scope` comes first: what a caller sees by its own unit
-- costs no more than before.
CREATE POLICY by_reception ON cases FOR SELECT
    USING (receiving_unit_id = ANY ((SELECT egov.scope())::int[]));

-- Lấy ý kiến: who is asked for an opinion sees the case while the question is open. The sub-select runs once a statement, over the
-- few open questions of the caller's units.
CREATE POLICY asked_for_an_opinion ON cases FOR SELECT
    USING (case_id IN (
        SELECT case_tasks.case_id FROM case_tasks
        WHERE case_tasks.state = 1 AND case_tasks.kind = 2
          AND case_tasks.responsible_unit_id = ANY ((SELECT egov.scope())::int[])
    ));
