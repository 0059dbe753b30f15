-- The one-stop service: procedures by versions, cases with their history, files, look-ups.
--
-- 0001 is the shared schema `egov` (crates/database/shared.sql). This file is expand-only; what a
-- later migration replaces is removed two releases later. Every table says who may see its rows:
-- cases by the standard policy of egov.protect(), what belongs to a case by the case itself, so
-- that a reorganisation moves one row and not a dozen.

-- Gói dữ liệu pháp luật: what was imported, word for word, so that a decision can be traced to the
-- text on which it rests. Never changed; a new content is a new row.
CREATE TABLE law_packs (
    kind        text        NOT NULL,           -- procedure | decisions | transitions | calendar
    name        text        NOT NULL,
    sha256      bytea       NOT NULL,
    content     text        NOT NULL,
    import_time timestamptz NOT NULL,
    PRIMARY KEY (kind, name, sha256)
);
SELECT egov.append_only('law_packs');

-- Which content of which pack is in force: the last row of a name says it; without a hash the pack was taken away. A set
-- that belongs together (the files of a calendar) changes in one transaction, and going back to an older content is a
-- row like any other.
CREATE TABLE law_pack_changes (
    change_id   bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind        text        NOT NULL,
    name        text        NOT NULL,
    sha256      bytea,
    change_time timestamptz NOT NULL,
    FOREIGN KEY (kind, name, sha256) REFERENCES law_packs
);
CREATE INDEX law_pack_changes_by_name ON law_pack_changes (kind, name, change_id DESC);
SELECT egov.append_only('law_pack_changes');

-- Thủ tục hành chính, a version a row. A case keeps the version in force on the day of its
-- reception; therefore versions are never deleted. Public by law: no row-level policy.
CREATE TABLE procedures (
    procedure_code text        NOT NULL,
    version        int         NOT NULL CHECK (version >= 1),
    name           text        NOT NULL,
    name_folded    text        NOT NULL,        -- without diacritics, lower case: for the search
    sector_code    text        NOT NULL,
    sector_name    text        NOT NULL,
    levels         text[]      NOT NULL,
    effective_from date        NOT NULL,
    effective_to   date,                        -- exclusive
    document       jsonb       NOT NULL,        -- the merged pack (domain::pack::Procedure)
    content_sha256 bytea       NOT NULL,
    import_time    timestamptz NOT NULL,
    PRIMARY KEY (procedure_code, version),
    CHECK (effective_to IS NULL OR effective_to > effective_from)
);
CREATE INDEX procedures_by_code_and_day ON procedures (procedure_code, effective_from DESC);

-- Hồ sơ. `state` is the national synchronisation code 1–10.
CREATE TABLE cases (
    case_id             uuid        PRIMARY KEY,
    case_code           text        NOT NULL UNIQUE,
    code_provisional    boolean     NOT NULL,
    procedure_code      text        NOT NULL,
    procedure_version   int         NOT NULL,
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 10),
    -- The state from which 5 was entered: it decides where 5 goes back to.
    entered_from        smallint    CHECK (entered_from BETWEEN 1 AND 10),
    step                text        NOT NULL DEFAULT '',
    channel             smallint    NOT NULL CHECK (channel BETWEEN 1 AND 3),
    responsible_unit_id int         NOT NULL,   -- cơ quan có thẩm quyền
    receiving_unit_id   int         NOT NULL,   -- nơi tiếp nhận
    support_unit_id     int,                    -- nơi hỗ trợ nộp
    owner_id            uuid,                   -- the citizen's account, if the case came with an eID
    assignee_id         uuid,                   -- người được phân công
    owner               jsonb       NOT NULL,   -- chủ hồ sơ (domain::party::Party)
    submitter           jsonb,                  -- người nộp, if another
    subject             text        NOT NULL,   -- trích yếu
    conditions          text[]      NOT NULL,
    submit_time         timestamptz NOT NULL,
    accept_time         timestamptz,
    due_date            date,
    due_time            timestamptz,
    deadline            jsonb,                  -- the explanation, day by day
    fees                jsonb       NOT NULL DEFAULT '[]',
    supplement_items    jsonb       NOT NULL DEFAULT '[]',
    supplement_rounds   int         NOT NULL DEFAULT 0,
    lookup_secret       bytea       NOT NULL,   -- sealed; compared in constant time
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    FOREIGN KEY (procedure_code, procedure_version) REFERENCES procedures
);
-- A list for one commune walks this index backwards; ids break ties of the same instant.
CREATE INDEX cases_by_unit_and_time ON cases (responsible_unit_id, submit_time DESC, case_id DESC);
CREATE INDEX cases_by_time ON cases (submit_time DESC, case_id DESC);
CREATE INDEX cases_by_owner ON cases (owner_id, submit_time DESC, case_id DESC) WHERE owner_id IS NOT NULL;
CREATE INDEX cases_by_assignee ON cases (assignee_id, submit_time DESC, case_id DESC) WHERE assignee_id IS NOT NULL;
SELECT egov.protect('cases');
SELECT egov.allow_update('cases');

-- Thành phần hồ sơ as filed; a supplement adds rows of a further round.
CREATE TABLE case_components (
    case_id          uuid     NOT NULL REFERENCES cases,
    round            int      NOT NULL,         -- 0: as filed; n: the n-th supplement
    position         int      NOT NULL,
    component_code   text     NOT NULL,
    originals        int      NOT NULL,
    copies           int      NOT NULL,
    replaced_by_data text     NOT NULL,
    file_ids         uuid[]   NOT NULL,
    PRIMARY KEY (case_id, round, position)
);

-- Tạm dừng: when the clock stood still, for state 5 or 6.
CREATE TABLE case_pauses (
    case_id    uuid        NOT NULL REFERENCES cases,
    number     int         NOT NULL,
    state      smallint    NOT NULL CHECK (state IN (5, 6)),
    start_time timestamptz NOT NULL,
    end_time   timestamptz,
    PRIMARY KEY (case_id, number),
    CHECK (end_time IS NULL OR end_time >= start_time)
);

-- Kết quả giải quyết, fixed by the approval.
CREATE TABLE case_results (
    case_id     uuid NOT NULL REFERENCES cases,
    position    int  NOT NULL,
    result_code text NOT NULL,
    number      text NOT NULL,
    file_id     uuid,
    PRIMARY KEY (case_id, position)
);

-- Trả kết quả: how and to whom, once a case.
CREATE TABLE case_returns (
    case_id        uuid        PRIMARY KEY REFERENCES cases,
    channel        smallint    NOT NULL CHECK (channel BETWEEN 1 AND 3),
    recipient_name text        NOT NULL,            -- empty: the owner of the case
    return_time    timestamptz NOT NULL
);

-- Đánh giá, once a case.
CREATE TABLE case_ratings (
    case_id   uuid        PRIMARY KEY REFERENCES cases,
    score     smallint    NOT NULL CHECK (score BETWEEN 1 AND 3),
    comment   text        NOT NULL,
    rate_time timestamptz NOT NULL
);

-- Phiếu kiểm soát quá trình giải quyết: one row a version of the case, never changed.
CREATE TABLE case_history (
    case_id       uuid        NOT NULL REFERENCES cases,
    version       bigint      NOT NULL,
    operation     text        NOT NULL,
    from_state    smallint,
    to_state      smallint    NOT NULL,
    step          text        NOT NULL,
    actor_id      uuid        NOT NULL,
    actor_kind    text        NOT NULL,
    on_behalf_of  uuid,
    reason        text        NOT NULL,
    legal_basis   text        NOT NULL,
    details       jsonb       NOT NULL DEFAULT '{}',   -- what changed, without personal data
    event_time    timestamptz NOT NULL,                -- when it is true
    record_time   timestamptz NOT NULL,                -- when we learned it
    PRIMARY KEY (case_id, version)
);
SELECT egov.append_only('case_history');

-- Words by which a case is found: `=` and ranges only, so that row-level security keeps the index
-- (LIKE, trigram and GIN operators are not leakproof). Rarest word first.
CREATE TABLE case_tokens (
    responsible_unit_id int         NOT NULL,
    token               text        NOT NULL COLLATE "C",
    owner_id            uuid,                   -- the citizen whose case it is, who finds it as well
    case_id             uuid        NOT NULL REFERENCES cases,
    submit_time         timestamptz NOT NULL,
    -- The word first: it is always given, the units may be many or all.
    PRIMARY KEY (token, responsible_unit_id, submit_time, case_id)
);
CREATE INDEX case_tokens_by_case ON case_tokens (case_id);
CREATE INDEX case_tokens_by_owner ON case_tokens (owner_id, token) WHERE owner_id IS NOT NULL;

-- Số thứ tự trong ngày: four digits by rule; an agency that files more than 9,999 cases a day decides for more.
CREATE TABLE agency_sequences (
    unit_id        int      NOT NULL,
    effective_from date     NOT NULL,
    digits         smallint NOT NULL CHECK (digits BETWEEN 4 AND 7),
    decided_by     text     NOT NULL,
    basis          text     NOT NULL,
    PRIMARY KEY (unit_id, effective_from)
);
SELECT egov.append_only('agency_sequences');

-- Wrong secrets for a case code. Kept apart from the case: an attempt on a code that does not exist
-- counts in the same way, so that the answer does not tell which codes exist.
CREATE TABLE lookup_attempts (
    case_code    text        PRIMARY KEY,
    failures     int         NOT NULL,
    last_failure timestamptz NOT NULL,
    locked_until timestamptz
);

-- Uploads under way and finished files. The content is in the file store under its SHA-256.
CREATE TABLE uploads (
    upload_id    uuid        PRIMARY KEY,
    owner_id     uuid        NOT NULL,          -- who may go on with it: the citizen, or the caller itself
    name         text        NOT NULL,
    size         bigint      NOT NULL,
    sha256       text        NOT NULL,
    create_time  timestamptz NOT NULL,
    file_id      uuid                           -- set when it was finished
);
CREATE TABLE files (
    file_id      uuid        PRIMARY KEY,
    owner_id     uuid        NOT NULL,          -- who may use it until a case takes it
    name         text        NOT NULL,
    media_type   text        NOT NULL,
    size         bigint      NOT NULL,
    sha256       text        NOT NULL,
    store_key    text        NOT NULL,          -- its name in the file store
    create_time  timestamptz NOT NULL,
    case_id      uuid        REFERENCES cases   -- set once, when a case takes it
);
CREATE INDEX files_by_case ON files (case_id) WHERE case_id IS NOT NULL;
CREATE UNIQUE INDEX files_by_store_key ON files (store_key);

-- An upload is its owner's alone; a file likewise, until a case takes it: then the case decides.
ALTER TABLE uploads ENABLE ROW LEVEL SECURITY;
ALTER TABLE uploads FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_owner ON uploads USING (owner_id = (SELECT egov.scope_owner()) OR (SELECT egov.scope_all()));
ALTER TABLE files ENABLE ROW LEVEL SECURITY;
ALTER TABLE files FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_owner_then_of_the_case ON files USING (
    (case_id IS NULL AND owner_id = (SELECT egov.scope_owner()))
    OR (SELECT egov.scope_all())
    OR EXISTS (SELECT 1 FROM cases WHERE cases.case_id = files.case_id)
);

-- The words carry unit and owner, so that a search never leaves its index.
SELECT egov.protect('case_tokens');
-- What the service may change; everything else of a case is only added to.
SELECT egov.allow_update('case_pauses', 'end_time');
SELECT egov.allow_update('uploads', 'file_id');
SELECT egov.allow_update('files', 'case_id');
SELECT egov.allow_update('lookup_attempts');
SELECT egov.allow_delete('lookup_attempts');
SELECT egov.allow_delete('uploads');

-- What belongs to a case is seen by whoever sees the case; the case's own policy decides.
DO $$
DECLARE
    belonging regclass;
BEGIN
    FOREACH belonging IN ARRAY ARRAY['case_components', 'case_pauses', 'case_results', 'case_returns', 'case_ratings', 'case_history']::regclass[]
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', belonging);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', belonging);
        EXECUTE format('CREATE POLICY of_the_case ON %s USING (EXISTS (SELECT 1 FROM cases WHERE cases.case_id = %s.case_id))', belonging, belonging);
    END LOOP;
END $$;
