-- Thống kê, báo cáo: the figures of one-stop case handling, kept while cases are handled.
--
-- Why: the standard columns (tiếp nhận, đã xử lý, đang xử lý, tạm dừng) by unit, field, procedure, officer and period,
-- exact at any moment and the same again for a past date, without ever counting cases. Each act adds its signed changes in
-- its own transaction (`statistic_changes`: rows of its own, so that nobody waits for anybody); a job under a lease folds
-- them into sums by day, month and year. What is read is folded + not yet folded, in one snapshot.
--
-- Expand-only: the version before knows none of these tables; what it does meanwhile is missing in the figures until
-- `cargo egov statistics rebuild`, and `cargo egov verify` names it. Back: drop the three tables.

-- What acts changed and nobody has folded yet. Which cases: only as long as the row waits.
CREATE TABLE statistic_changes (
    responsible_unit_id int      NOT NULL,
    procedure_code      text     NOT NULL,
    officer_id          uuid     NOT NULL,      -- nil while nobody is assigned
    day                 date     NOT NULL,      -- from which on it counts
    recorded            date     NOT NULL,      -- 0001-01-01, or the later day on which it became known
    measure             smallint NOT NULL,      -- domain::statistics::Measure
    amount              int      NOT NULL,
    case_id             uuid                    -- whose act it was; none for generated data
);
ALTER TABLE statistic_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE statistic_changes FORCE ROW LEVEL SECURITY;
-- Whoever acts on a case adds to the figures of its unit, also a citizen, who may not read them.
CREATE POLICY by_an_act ON statistic_changes FOR INSERT
    WITH CHECK ((SELECT egov.scope_all()) OR EXISTS (
        SELECT 1 FROM cases
        WHERE cases.case_id = statistic_changes.case_id AND cases.responsible_unit_id = statistic_changes.responsible_unit_id));
CREATE POLICY of_the_unit ON statistic_changes FOR SELECT
    USING (responsible_unit_id = ANY ((SELECT egov.scope())::integer[]) OR (SELECT egov.scope_all()));
CREATE POLICY folded ON statistic_changes FOR DELETE USING ((SELECT egov.scope_all()));
SELECT egov.allow_delete('statistic_changes');

-- Sums: level 1 of a day, 2 of a month, 3 of a year (`day` is its first day).
CREATE TABLE statistic_sums (
    responsible_unit_id int      NOT NULL,
    level               smallint NOT NULL CHECK (level BETWEEN 1 AND 3),
    day                 date     NOT NULL,
    procedure_code      text     NOT NULL COLLATE "C",
    officer_id          uuid     NOT NULL,
    recorded            date     NOT NULL,
    measure             smallint NOT NULL,
    amount              bigint   NOT NULL,
    PRIMARY KEY (responsible_unit_id, level, day, procedure_code, officer_id, recorded, measure)
) WITH (fillfactor = 80);
SELECT egov.protect('statistic_sums');
SELECT egov.allow_update('statistic_sums', 'amount');
SELECT egov.allow_delete('statistic_sums');

-- Báo cáo: a report as it was when it was made, with its period; never changed.
CREATE TABLE reports (
    report_id           uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,   -- whose report it is
    form                text        NOT NULL,   -- biểu mẫu, of the rules in force
    period_from         date        NOT NULL,
    period_to           date        NOT NULL,   -- the last day
    due_date            date        NOT NULL,
    known_until         date        NOT NULL,   -- counts what was recorded up to the end of this day
    units               int[]       NOT NULL,   -- whose cases are counted
    rules               jsonb       NOT NULL,   -- the rules of the form as they were, with their status
    content             jsonb       NOT NULL,   -- the tables
    content_sha256      bytea       NOT NULL,
    made_by             uuid        NOT NULL,
    make_time           timestamptz NOT NULL,
    UNIQUE (responsible_unit_id, form, period_from)
);
CREATE INDEX reports_by_unit_and_period ON reports (responsible_unit_id, period_from DESC, report_id DESC);
CREATE INDEX reports_by_period ON reports (period_from DESC, report_id DESC);
SELECT egov.protect('reports');
SELECT egov.append_only('reports');
