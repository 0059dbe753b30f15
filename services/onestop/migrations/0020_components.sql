-- Thành phần hồ sơ: what officers say of components, the store of papers that need not be handed in again, and how often a paper was
-- asked for that a register could have answered.
--
-- Expand-only: the version before knows none of these tables; a case that it acts on keeps the checks that it has. Way back: drop the
-- policy on files and the six tables.

-- Đối chiếu, số hoá, trạng thái of a component: one row each time somebody says something, never changed; the last of a component counts.
CREATE TABLE component_checks (
    case_id        uuid        NOT NULL REFERENCES cases,
    position       int         NOT NULL,
    version        bigint      NOT NULL,       -- of the case, by which act it was said
    rows           int         NOT NULL,       -- how many components the case had then: what is filed later was not looked at
    component_code text        NOT NULL,
    state          text        NOT NULL CHECK (state IN ('needed', 'replaced_by_data', 'to_be_checked', 'not_applicable', 'confirmed')),
    compared_with  text        CHECK (compared_with IN ('original', 'copy', 'electronic')),
    file_ids       uuid[]      NOT NULL,       -- scans that were added
    source         text        NOT NULL,       -- which data stands in the place of the paper
    paper_id       uuid,                       -- the stored paper, if it is one
    reason         text        NOT NULL,
    valid_until    date,
    officer_id     uuid        NOT NULL,
    check_time     timestamptz NOT NULL,
    PRIMARY KEY (case_id, position),
    CHECK ((state = 'confirmed') = (compared_with IS NOT NULL))
);
SELECT egov.append_only('component_checks');
ALTER TABLE component_checks ENABLE ROW LEVEL SECURITY;
ALTER TABLE component_checks FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_case ON component_checks
    USING (EXISTS (SELECT 1 FROM cases WHERE cases.case_id = component_checks.case_id));

-- Kho dữ liệu: results that were returned with a file, and components that were digitised and confirmed, of the owner of a case.
CREATE TABLE stored_papers (
    paper_id            uuid        PRIMARY KEY,
    responsible_unit_id int         NOT NULL,   -- who issued or confirmed it
    owner_id            uuid,                   -- the citizen's account, if the case came with an eID
    owner_number        text        NOT NULL COLLATE "C" CHECK (owner_number <> ''),  -- personal or organisation number: whose paper it is
    kind                text        NOT NULL CHECK (kind IN ('result', 'component')),
    type_code           text        NOT NULL COLLATE "C",
    title               text        NOT NULL,
    number              text        NOT NULL,
    procedure_code      text        NOT NULL COLLATE "C",
    case_id             uuid        NOT NULL REFERENCES cases,
    case_code           text        NOT NULL,
    compared_with       text        CHECK (compared_with IN ('original', 'copy', 'electronic')),
    file_ids            uuid[]      NOT NULL CHECK (cardinality(file_ids) > 0),
    valid_from          date        NOT NULL,
    valid_until         date,
    replaced            boolean     NOT NULL,
    replaced_by         uuid        REFERENCES stored_papers,
    validity_reason     text        NOT NULL,
    store_time          timestamptz NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    CHECK (replaced OR replaced_by IS NULL)
);
-- A store is read by its owner's number, or by the account; the latest first.
CREATE INDEX stored_papers_by_number ON stored_papers (owner_number, store_time DESC, paper_id DESC);
CREATE INDEX stored_papers_by_owner ON stored_papers (owner_id, store_time DESC, paper_id DESC) WHERE owner_id IS NOT NULL;
SELECT egov.protect('stored_papers');
SELECT egov.allow_update('stored_papers', 'valid_until', 'replaced', 'replaced_by', 'validity_reason', 'version');
-- Whoever handles a case of the same person sees the paper; the words of cases carry their people's numbers and have a wall of their own. Of
-- the number of a branch (0123456789-001) each part is a word. OFFSET keeps PostgreSQL from reading all words once instead of a paper's by
-- their index.
CREATE POLICY of_a_case_of_the_owner ON stored_papers FOR SELECT
    USING (EXISTS (SELECT 1 FROM case_tokens WHERE case_tokens.token = split_part(stored_papers.owner_number, '-', 1) OFFSET 0));

-- What was done with a stored paper: a row a version, with the bytes to which the ledger commits.
CREATE TABLE paper_acts (
    responsible_unit_id int         NOT NULL,
    paper_id            uuid        NOT NULL REFERENCES stored_papers,
    version             bigint      NOT NULL,
    act                 text        NOT NULL,   -- store | set_validity
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    record_time         timestamptz NOT NULL,
    content             text        NOT NULL,   -- JSON, word for word
    PRIMARY KEY (paper_id, version)
);
SELECT egov.protect('paper_acts');
SELECT egov.append_only('paper_acts');

-- Tái sử dụng: which case uses which stored paper, so that whoever sees the case reads its files, and no other files of the store.
CREATE TABLE paper_uses (
    case_id  uuid        NOT NULL REFERENCES cases,
    file_id  uuid        NOT NULL REFERENCES files,
    paper_id uuid        NOT NULL REFERENCES stored_papers,
    use_time timestamptz NOT NULL,
    PRIMARY KEY (file_id, case_id)
);
CREATE INDEX paper_uses_by_case ON paper_uses (case_id, file_id);
SELECT egov.append_only('paper_uses');
ALTER TABLE paper_uses ENABLE ROW LEVEL SECURITY;
ALTER TABLE paper_uses FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_case ON paper_uses
    USING (EXISTS (SELECT 1 FROM cases WHERE cases.case_id = paper_uses.case_id));
CREATE POLICY used_by_a_case ON files FOR SELECT
    USING (EXISTS (SELECT 1 FROM paper_uses WHERE paper_uses.file_id = files.file_id OFFSET 0));

-- Giấy tờ hỏi thừa: each paper that was asked for although a register could have answered, and their sums by day, so that the report never
-- goes through cases.
CREATE TABLE avoidable_papers (
    case_id             uuid     NOT NULL REFERENCES cases,
    version             bigint   NOT NULL,      -- of the case, by which act it was asked for
    component_code      text     NOT NULL COLLATE "C",
    register_code       text     NOT NULL COLLATE "C",
    responsible_unit_id int      NOT NULL,
    procedure_code      text     NOT NULL COLLATE "C",
    day                 date     NOT NULL,
    PRIMARY KEY (case_id, version, component_code, register_code)
);
SELECT egov.protect('avoidable_papers');
SELECT egov.append_only('avoidable_papers');
CREATE TABLE avoidable_paper_sums (
    responsible_unit_id int    NOT NULL,
    procedure_code      text   NOT NULL COLLATE "C",
    component_code      text   NOT NULL COLLATE "C",
    register_code       text   NOT NULL COLLATE "C",
    day                 date   NOT NULL,
    amount              bigint NOT NULL,
    PRIMARY KEY (responsible_unit_id, procedure_code, component_code, register_code, day)
);
SELECT egov.protect('avoidable_paper_sums');
SELECT egov.allow_update('avoidable_paper_sums', 'amount');
