-- Danh mục thủ tục: procedures from the national catalogue, what is open in each version, and what was decided.
--
-- Expand-only: the version before reads and writes `procedures` as it did (both new columns have a default, and what
-- it adds has no words yet, so that only the search by the new version misses it until the next import). Back: drop
-- the three tables and the two columns. All of it is public by law (công khai thủ tục hành chính): no row-level policy.

-- Where a version comes from: pack (hand-checked), catalogue (a line of it), decision (made by a decision on the one before).
ALTER TABLE procedures ADD COLUMN origin text NOT NULL DEFAULT 'pack' CHECK (origin IN ('pack', 'catalogue', 'decision'));
ALTER TABLE procedures ADD COLUMN open_facts int NOT NULL DEFAULT 0;
CREATE INDEX procedures_by_sector ON procedures (sector_code, procedure_code);

-- Words by which a version is found: its code, the words of its name and of its sector, all without diacritics.
-- Compared by ranges (token >= word AND token < word || U+10FFFF), so that the beginning of a word is enough.
CREATE TABLE procedure_tokens (
    token          text     NOT NULL COLLATE "C",
    procedure_code text     NOT NULL,
    version        int      NOT NULL,
    weight         smallint NOT NULL CHECK (weight BETWEEN 1 AND 3),   -- 1 sector, 2 name, 3 code
    PRIMARY KEY (token, procedure_code, version),
    FOREIGN KEY (procedure_code, version) REFERENCES procedures
);
CREATE INDEX procedure_tokens_by_procedure ON procedure_tokens (procedure_code, version, token);
SELECT egov.append_only('procedure_tokens');
-- The versions that are there already are searched by their names at once.
INSERT INTO procedure_tokens (token, procedure_code, version, weight)
SELECT DISTINCT word, procedure_code, version, 2
FROM procedures, regexp_split_to_table(name_folded, '[^[:alnum:]]+') AS word
WHERE word <> ''
UNION ALL
SELECT procedure_code, procedure_code, version, 3 FROM procedures;

-- What nobody has confirmed or decided in a version, a row a kind: the administrator's list.
CREATE TABLE procedure_open_facts (
    procedure_code text     NOT NULL,
    version        int      NOT NULL,
    kind           text     NOT NULL,           -- domain::pack::FactKind
    paths          text[]   NOT NULL,           -- every fact of this kind that is open
    raw            text     NOT NULL,           -- what the source says, word for word; empty if it says nothing
    only_production boolean NOT NULL,           -- open in production only: decided for a demonstration
    PRIMARY KEY (procedure_code, version, kind),
    FOREIGN KEY (procedure_code, version) REFERENCES procedures
);
SELECT egov.append_only('procedure_open_facts');

-- Quyết định about a fact: who, when, on which basis, from when on. Never changed; a later one stands beside it.
CREATE TABLE procedure_decisions (
    procedure_code  text        NOT NULL,
    version         int         NOT NULL,       -- the version that it made
    decision_id     uuid        NOT NULL UNIQUE,
    kind            text        NOT NULL,
    paths           text[]      NOT NULL,
    value           jsonb       NOT NULL,       -- domain::pack::Subject
    decided_by      text        NOT NULL,       -- who, in words
    actor_id        uuid,                       -- whose account; none for a decisions file
    basis           text        NOT NULL,
    note            text        NOT NULL,
    effective_from  date        NOT NULL,
    decide_time     timestamptz NOT NULL,
    source_sha256   bytea       UNIQUE,         -- of the entry of a decisions file: it is taken once
    PRIMARY KEY (procedure_code, version),
    FOREIGN KEY (procedure_code, version) REFERENCES procedures
);
SELECT egov.append_only('procedure_decisions');
