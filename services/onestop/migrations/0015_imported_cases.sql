-- Cases that were taken over from an old system (hồ sơ chuyển từ hệ thống cũ): which of its keys became which case.
--
-- Written in the transaction that writes the case, so that a line is taken once, however often the import is stopped and begun again.
-- Expand-only; the version before does not know the table. Way back: drop it; then a repeated import would refuse the codes as given twice.

CREATE TABLE imported_cases (
    source      text        NOT NULL,       -- the name of the old system, as its mapping says
    old_key     text        NOT NULL,       -- its own key of the case
    case_id     uuid        NOT NULL UNIQUE REFERENCES cases,
    import_time timestamptz NOT NULL,
    PRIMARY KEY (source, old_key)
);
SELECT egov.append_only('imported_cases');

-- Seen by whoever sees the case.
ALTER TABLE imported_cases ENABLE ROW LEVEL SECURITY;
ALTER TABLE imported_cases FORCE ROW LEVEL SECURITY;
CREATE POLICY of_an_import ON imported_cases FOR INSERT WITH CHECK ((SELECT egov.scope_all()));
CREATE POLICY of_the_case ON imported_cases FOR SELECT
    USING ((SELECT egov.scope_all()) OR EXISTS (SELECT 1 FROM cases WHERE cases.case_id = imported_cases.case_id));
