-- Giấy tờ hộ tịch: which papers were issued of which entries, to whom, and what stands on them.
--
-- Expand-only. Going back: drop these tables; nothing else rests on them.
--
-- Who sees what: the commune that keeps the entry (`responsible_unit_id`). Whoever holds a paper is told its standing by what its QR code says.

-- A paper as it was issued: the log of issues (sổ cấp giấy tờ, bản sao). `content` is what is printed, word for word, but for the QR code, which is in
-- `paper_seals`. `amendments` is how many corrections of the entry, and annotations of a marriage, it takes account of: later ones supersede it.
-- `kind`: 1 certificate (bản chính: Giấy khai sinh, Giấy chứng nhận kết hôn), 2 extract (trích lục). `check_code` stands on the paper: whoever holds
-- it may ask how the paper stands.
CREATE TABLE papers (
    paper_id             uuid        PRIMARY KEY,
    responsible_unit_id  integer     NOT NULL,
    entry_id             uuid        NOT NULL REFERENCES entries,
    kind                 smallint    NOT NULL CHECK (kind BETWEEN 1 AND 2),
    is_copy              boolean     NOT NULL,
    copies               integer     NOT NULL CHECK (copies > 0),
    title                text        NOT NULL,
    printed_number       text        NOT NULL,
    content              text        NOT NULL,
    amendments           integer     NOT NULL CHECK (amendments >= 0),
    check_code           text        NOT NULL,
    recipient_name       text        NOT NULL,
    recipient_paper      text        NOT NULL,
    signer_name          text        NOT NULL,
    signer_title         text        NOT NULL,
    signer_authorisation text        NOT NULL,
    issue_date           date        NOT NULL,
    actor_id             uuid        NOT NULL,
    actor_kind           text        NOT NULL,
    record_time          timestamptz NOT NULL
);
CREATE INDEX papers_by_unit ON papers (responsible_unit_id, record_time DESC, paper_id DESC);
CREATE INDEX papers_by_time ON papers (record_time DESC, paper_id DESC);
CREATE INDEX papers_by_entry ON papers (entry_id, record_time DESC, paper_id DESC);
SELECT egov.protect('papers');
SELECT egov.append_only('papers');

-- What the QR code of a paper says: the ledger's receipt of its leaf. It is kept when it is first asked for, since a later one would hold further
-- cosignatures: the paper is to be the same whenever it is printed. It proves itself, so that no leaf commits to it.
CREATE TABLE paper_seals (
    paper_id            uuid        PRIMARY KEY REFERENCES papers,
    responsible_unit_id integer     NOT NULL,
    receipt             text        NOT NULL,
    record_time         timestamptz NOT NULL
);
SELECT egov.protect('paper_seals');
SELECT egov.append_only('paper_seals');

-- Thu hồi: a paper that does not count any more.
CREATE TABLE paper_revocations (
    paper_id            uuid        NOT NULL REFERENCES papers,
    responsible_unit_id integer     NOT NULL,
    reason              text        NOT NULL,
    basis_number        text        NOT NULL,
    revoke_date         date        NOT NULL,
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    record_time         timestamptz NOT NULL,
    CONSTRAINT paper_revocations_once PRIMARY KEY (paper_id)
);
SELECT egov.protect('paper_revocations');
SELECT egov.append_only('paper_revocations');
