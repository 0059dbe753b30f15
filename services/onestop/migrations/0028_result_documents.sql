-- Kết quả giải quyết as documents: what is said of a result when it is issued, and what becomes of it by correction (đính chính) and
-- revocation (thu hồi).
--
-- What was issued stays as `case_results` has it. A result without a row here is one of which no more than code, number and file was
-- recorded: one of before, an imported one, or one that was decided without a description. What was issued is its first version, and
-- counts until it is amended.
--
-- Expand-only: the version before shows results as they were issued, and refuses to use a revoked one again, since that is marked as
-- replaced too. The leaf of an act that it does meanwhile on a case with such rows commits to the case without them: the verification
-- names it until the next act. Way back: drop the table and the column.

-- One row a version, never changed. Whose version it is, what it says, who made it, when and why stand in its content.
CREATE TABLE result_versions (
    case_id      uuid   NOT NULL,
    position     int    NOT NULL,               -- which result of the case
    version      int    NOT NULL CHECK (version >= 1),
    result_id    uuid   NOT NULL,               -- the same for all versions of a result: of the ledger's leaves
    case_version bigint NOT NULL,               -- of the case, by which act it was made
    content      text   NOT NULL,               -- JSON, word for word: what the ledger commits to
    PRIMARY KEY (case_id, position, version),
    UNIQUE (result_id, version),
    FOREIGN KEY (case_id, position) REFERENCES case_results
);
SELECT egov.append_only('result_versions');
ALTER TABLE result_versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE result_versions FORCE ROW LEVEL SECURITY;
-- Whoever sees the case sees its results.
CREATE POLICY of_the_case ON result_versions
    USING (EXISTS (SELECT 1 FROM cases WHERE cases.case_id = result_versions.case_id));

-- Bị thu hồi: a result in the store of its owner that was revoked. It is marked as replaced, too.
ALTER TABLE stored_papers ADD COLUMN revoked boolean NOT NULL DEFAULT false;
-- Nothing is revoked yet, so what is there need not be read while the table is held; 0035 validates it.
ALTER TABLE stored_papers ADD CONSTRAINT stored_papers_revoked_check CHECK (NOT revoked OR replaced) NOT VALID;
SELECT egov.allow_update('stored_papers', 'revoked');
