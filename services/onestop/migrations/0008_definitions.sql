-- Định nghĩa quy trình: drafts of procedures that come by RPC, who changed them, and e-forms that were filled in.
--
-- Expand-only: the version before reads and writes what it knows; to it a version of origin 'draft' is one like any other, and a
-- component without form_data is what it always was. Back: drop both tables, the column, and restore the constraint (once no version
-- of origin 'draft' is left).

ALTER TABLE procedures DROP CONSTRAINT procedures_origin_check;
ALTER TABLE procedures ADD CONSTRAINT procedures_origin_check CHECK (origin IN ('pack', 'catalogue', 'decision', 'draft'));

-- Mẫu điện tử as it was filled in: one line of JSON, as text, because the ledger commits to its bytes. Seen by whoever sees the case.
ALTER TABLE case_components ADD COLUMN form_data text;

-- Bản thảo: seen by the controllers of procedures, whose unit is the province; a commune's sees none.
CREATE TABLE procedure_drafts (
    draft_id            uuid        PRIMARY KEY,
    procedure_code      text        NOT NULL,
    base_version        int,
    state               text        NOT NULL CHECK (state IN ('open', 'published', 'discarded')),
    definition          text        NOT NULL,   -- word for word as it was sent: it may be unreadable while it is written
    note                text        NOT NULL,
    published_version   int,
    responsible_unit_id int         NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    create_time         timestamptz NOT NULL,
    update_time         timestamptz NOT NULL,
    FOREIGN KEY (procedure_code, published_version) REFERENCES procedures (procedure_code, version),
    CHECK ((state = 'published') = (published_version IS NOT NULL))
);
CREATE INDEX procedure_drafts_by_time ON procedure_drafts (create_time DESC, draft_id DESC);
SELECT egov.protect('procedure_drafts');
SELECT egov.allow_update('procedure_drafts', 'state', 'definition', 'note', 'published_version', 'version', 'update_time');

-- Every change with the whole text after it, so that it can be shown who wrote what; the leaves commit to these rows.
CREATE TABLE procedure_draft_changes (
    draft_id          uuid        NOT NULL REFERENCES procedure_drafts,
    version           bigint      NOT NULL,
    operation         text        NOT NULL CHECK (operation IN ('create', 'update', 'publish', 'discard')),
    state             text        NOT NULL,
    definition        text        NOT NULL,
    note              text        NOT NULL,
    legal_basis       text        NOT NULL,     -- of the publication
    published_version int,
    actor_id          uuid        NOT NULL,
    on_behalf_of      uuid,
    record_time       timestamptz NOT NULL,
    PRIMARY KEY (draft_id, version)
);
SELECT egov.append_only('procedure_draft_changes');
ALTER TABLE procedure_draft_changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE procedure_draft_changes FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_draft ON procedure_draft_changes USING (
    EXISTS (SELECT 1 FROM procedure_drafts WHERE procedure_drafts.draft_id = procedure_draft_changes.draft_id)
);
