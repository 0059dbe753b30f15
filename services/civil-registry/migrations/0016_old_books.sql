-- Số hoá sổ hộ tịch cũ: old books, what was keyed of their pages, who checked it, and what was decided where two keyed otherwise.
--
-- Expand-only: the constraints that are replaced hold as before for every book of today. Going back: drop these tables and the entries of digitised
-- books; then the constraints can be as they were.

-- A digitised book (4) is a book of its own beside that of the year: several old ones may be of one year, of units that are one commune today. When it
-- was closed is not known to us.
ALTER TABLE books DROP CONSTRAINT books_one_a_year;
CREATE UNIQUE INDEX books_one_a_year ON books (responsible_unit_id, event, year) WHERE state <> 4;
ALTER TABLE books DROP CONSTRAINT books_state_check;
ALTER TABLE books ADD CONSTRAINT books_state_check CHECK (state BETWEEN 1 AND 4);
ALTER TABLE books DROP CONSTRAINT books_closed_on_a_day;
ALTER TABLE books ADD CONSTRAINT books_closed_on_a_day CHECK ((state IN (1, 4)) = (close_date IS NULL));

-- A number stands once in a book that we number. In an old one it may stand twice, and both entries hold: `occurrence` tells them apart.
ALTER TABLE entries ADD COLUMN occurrence smallint NOT NULL DEFAULT 1 CHECK (occurrence > 0);
ALTER TABLE entries DROP CONSTRAINT entries_numbered_once;
ALTER TABLE entries ADD CONSTRAINT entries_numbered_once UNIQUE (book_id, number, occurrence);

-- Sổ cũ: what stands on it.
CREATE TABLE old_books (
    book_id             uuid        PRIMARY KEY REFERENCES books,
    responsible_unit_id integer     NOT NULL,
    event               smallint    NOT NULL CHECK (event BETWEEN 1 AND 3),
    year                smallint    NOT NULL,
    -- The name of whoever kept it, as it stands on the book: also of a unit that is no more.
    kept_by             text        NOT NULL CHECK (kept_by <> ''),
    label               text        NOT NULL,
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    record_time         timestamptz NOT NULL,
    CONSTRAINT old_books_once UNIQUE (responsible_unit_id, event, year, kept_by, label)
);
SELECT egov.protect('old_books');
SELECT egov.append_only('old_books');

-- A file of an old book and how far it came: `position` is the last line that is done with.
CREATE TABLE old_imports (
    import_id           uuid        PRIMARY KEY,
    book_id             uuid        NOT NULL REFERENCES old_books,
    responsible_unit_id integer     NOT NULL,
    keying              smallint    NOT NULL CHECK (keying BETWEEN 1 AND 2),
    actor_id            uuid        NOT NULL,
    position            bigint      NOT NULL CHECK (position >= 0),
    record_time         timestamptz NOT NULL
);
SELECT egov.protect('old_imports');
SELECT egov.allow_update('old_imports', 'position');

-- What pieces of files brought: from line to line, how many lines were kept, and the SHA-256 over them. The ledger's leaf commits to `content`.
CREATE TABLE old_import_pieces (
    piece_id            uuid        PRIMARY KEY,
    import_id           uuid        NOT NULL REFERENCES old_imports,
    responsible_unit_id integer     NOT NULL,
    content             text        NOT NULL,
    record_time         timestamptz NOT NULL
);
SELECT egov.protect('old_import_pieces');
SELECT egov.append_only('old_import_pieces');

-- Trang sổ: 1 entered, 2 checked once, 3 checked twice, 4 differing, 5 accepted.
CREATE TABLE old_pages (
    page_id             uuid        PRIMARY KEY,
    book_id             uuid        NOT NULL REFERENCES old_books,
    responsible_unit_id integer     NOT NULL,
    -- As they are written.
    volume              text        NOT NULL,
    page                text        NOT NULL,
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 5),
    first_officer_id    uuid        NOT NULL,
    second_officer_id   uuid        CHECK (second_officer_id <> first_officer_id),
    first_checker_id    uuid,
    second_checker_id   uuid        CHECK (second_checker_id <> first_checker_id),
    -- SHA-256 of the scan, hexadecimal; empty if none is named.
    scan_sha256         text        NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    record_time         timestamptz NOT NULL,
    CONSTRAINT old_pages_once UNIQUE (book_id, volume, page)
);
CREATE INDEX old_pages_by_book ON old_pages (book_id, page_id);
SELECT egov.protect('old_pages');
SELECT egov.allow_update('old_pages', 'state', 'second_officer_id', 'first_checker_id', 'second_checker_id', 'version');

-- What was done with a page after it was keyed: checked, settled, accepted. The ledger's leaf commits to `content`.
CREATE TABLE old_page_acts (
    page_id             uuid        NOT NULL REFERENCES old_pages,
    version             bigint      NOT NULL,
    responsible_unit_id integer     NOT NULL,
    act                 text        NOT NULL,
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    content             text        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (page_id, version)
);
SELECT egov.protect('old_page_acts');
SELECT egov.append_only('old_page_acts');

-- What was keyed, a row for each line, by the digest of it: the same line is kept once, whichever file brings it again. `content` is every column as
-- it was written.
CREATE TABLE old_lines (
    book_id             uuid        NOT NULL REFERENCES old_books,
    keying              smallint    NOT NULL CHECK (keying BETWEEN 1 AND 2),
    digest              bytea       NOT NULL CHECK (octet_length(digest) = 32),
    responsible_unit_id integer     NOT NULL,
    page_id             uuid        NOT NULL REFERENCES old_pages,
    number              integer     NOT NULL CHECK (number > 0),
    import_id           uuid        NOT NULL REFERENCES old_imports,
    line                bigint      NOT NULL CHECK (line > 0),
    content             text        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (book_id, keying, digest)
);
CREATE INDEX old_lines_by_page ON old_lines (page_id, keying, number, record_time, line);
CREATE INDEX old_lines_by_number ON old_lines (book_id, keying, number);
SELECT egov.protect('old_lines');
SELECT egov.append_only('old_lines');

-- What was decided where two keyed otherwise; the last one on a field counts. `choice`: 1 the first, 2 the second, 3 `value`.
CREATE TABLE old_settlements (
    page_id             uuid        NOT NULL REFERENCES old_pages,
    position            integer     NOT NULL CHECK (position > 0),
    responsible_unit_id integer     NOT NULL,
    number              integer     NOT NULL CHECK (number > 0),
    occurrence          integer     NOT NULL CHECK (occurrence > 0),
    field               text        NOT NULL,
    choice              smallint    NOT NULL CHECK (choice BETWEEN 1 AND 3),
    value               text        NOT NULL,
    reason              text        NOT NULL CHECK (reason <> ''),
    actor_id            uuid        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (page_id, position)
);
SELECT egov.protect('old_settlements');
SELECT egov.append_only('old_settlements');
