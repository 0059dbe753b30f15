-- Hộ tịch: books, entries, and the persons and families that entries tell of.
--
-- 0001 to 0004 are the shared schema `egov` (crates/database). This file is expand-only; what a later migration replaces is removed two
-- releases later. Going back: drop these tables; nothing else of the platform rests on them.
--
-- Who sees what: books, entries, and what entries say of persons belong to the commune that registered (`responsible_unit_id`). `persons` and
-- `personal_numbers` have no wall: they hold ids and numbers only, no RPC shows them, and whether a number is taken must be known whichever
-- commune registers: a number is assigned once in the whole country.

-- Sổ hộ tịch: one for each kind of event, commune and year. How it is bound (pages, entries a page) stays for the book, so that volume and
-- page of a number follow from it.
CREATE TABLE books (
    book_id             uuid        PRIMARY KEY,
    responsible_unit_id integer     NOT NULL,
    event               smallint    NOT NULL CHECK (event BETWEEN 1 AND 8),
    year                smallint    NOT NULL,
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 3),
    open_date           date        NOT NULL,
    close_date          date,
    pages_per_volume    integer     NOT NULL CHECK (pages_per_volume > 0),
    entries_per_page    integer     NOT NULL CHECK (entries_per_page > 0),
    certifier_name      text        NOT NULL DEFAULT '',
    certifier_title     text        NOT NULL DEFAULT '',
    certify_date        date,
    version             bigint      NOT NULL CHECK (version >= 1),
    CONSTRAINT books_one_a_year UNIQUE (responsible_unit_id, event, year),
    CONSTRAINT books_closed_on_a_day CHECK ((state = 1) = (close_date IS NULL)),
    CONSTRAINT books_certified_on_a_day CHECK ((state = 3) = (certify_date IS NOT NULL))
);
CREATE INDEX books_by_unit_and_year ON books (responsible_unit_id, year DESC, event, book_id);
SELECT egov.protect('books');
SELECT egov.allow_update('books', 'state', 'close_date', 'certifier_name', 'certifier_title', 'certify_date', 'version');

-- What was done with a book: opened, closed, certified. `content` is what the ledger's leaf commits to, word for word.
CREATE TABLE book_history (
    book_id             uuid        NOT NULL REFERENCES books,
    version             bigint      NOT NULL,
    responsible_unit_id integer     NOT NULL,
    act                 text        NOT NULL,
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    content             text        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (book_id, version)
);
SELECT egov.protect('book_history');
SELECT egov.append_only('book_history');

-- A person, known by an id that never means another one. What is known of a person stands beside, with where it is known from.
CREATE TABLE persons (
    person_id   uuid        PRIMARY KEY,
    create_time timestamptz NOT NULL
);
SELECT egov.append_only('persons');

-- Số định danh cá nhân: assigned once. A number has one person and a person one number, for ever. The number is claimed before the person
-- is made, so that two communes which name the same person at the same moment make one.
CREATE TABLE personal_numbers (
    personal_number text        PRIMARY KEY CHECK (personal_number ~ '^[0-9]{12}$'),
    person_id       uuid        NOT NULL UNIQUE REFERENCES persons DEFERRABLE INITIALLY DEFERRED,
    record_time     timestamptz NOT NULL
);
SELECT egov.append_only('personal_numbers');

-- Việc hộ tịch: never changed, by nobody. `number` runs from 1 without a gap through the book, whatever the volume.
CREATE TABLE entries (
    entry_id            uuid        PRIMARY KEY,
    responsible_unit_id integer     NOT NULL,
    book_id             uuid        NOT NULL REFERENCES books,
    event               smallint    NOT NULL,
    year                smallint    NOT NULL,
    number              integer     NOT NULL CHECK (number > 0),
    volume              integer     NOT NULL CHECK (volume > 0),
    page                integer     NOT NULL CHECK (page > 0),
    registration_kind   smallint    NOT NULL CHECK (registration_kind BETWEEN 1 AND 4),
    registration_date   date        NOT NULL,
    subject_id          uuid        NOT NULL REFERENCES persons,
    content             text        NOT NULL,
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    record_time         timestamptz NOT NULL,
    CONSTRAINT entries_of_the_year CHECK (extract(year FROM registration_date) = year),
    CONSTRAINT entries_numbered_once UNIQUE (book_id, number)
);
-- A person is born once; đăng ký lại (2) enters the same birth again.
CREATE UNIQUE INDEX entries_one_birth ON entries (subject_id) WHERE event = 1 AND registration_kind <> 2;
SELECT egov.protect('entries');
SELECT egov.append_only('entries');

-- What an entry says of a person: name, sex, birth, ethnic group, nationalities; true from `valid_from` on, known since `record_time`.
-- A later entry says otherwise beside it, never in its place. Written before the entry takes its number, for which others wait: hence the
-- deferred reference.
CREATE TABLE person_particulars (
    person_id           uuid        NOT NULL REFERENCES persons,
    entry_id            uuid        NOT NULL REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    responsible_unit_id integer     NOT NULL,
    full_name           text        NOT NULL,
    sex                 smallint    NOT NULL CHECK (sex BETWEEN 1 AND 3),
    birth_year          smallint,
    birth_month         smallint    CHECK (birth_month BETWEEN 1 AND 12),
    birth_day           smallint    CHECK (birth_day BETWEEN 1 AND 31),
    ethnic_group        text        NOT NULL,
    nationality         text        NOT NULL,
    other_nationality   text        NOT NULL,
    valid_from          date        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (person_id, entry_id)
);
CREATE INDEX person_particulars_by_entry ON person_particulars (entry_id, person_id);
SELECT egov.protect('person_particulars');
SELECT egov.append_only('person_particulars');

-- Who is whose mother (1) or father (2), from when to when, and since when that is known. The end of a relation is a further version.
CREATE TABLE family_relations (
    relation_id         uuid        NOT NULL,
    version             bigint      NOT NULL CHECK (version >= 1),
    responsible_unit_id integer     NOT NULL,
    kind                smallint    NOT NULL CHECK (kind BETWEEN 1 AND 2),
    person_id           uuid        NOT NULL REFERENCES persons,
    relative_id         uuid        NOT NULL REFERENCES persons CHECK (relative_id <> person_id),
    valid_from          date        NOT NULL,
    valid_to            date        CHECK (valid_to >= valid_from),
    entry_id            uuid        NOT NULL REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (relation_id, version)
);
CREATE INDEX family_relations_of_person ON family_relations (person_id, relation_id, version);
CREATE INDEX family_relations_of_relative ON family_relations (relative_id, relation_id, version);
CREATE INDEX family_relations_by_entry ON family_relations (entry_id, relation_id);
SELECT egov.protect('family_relations');
SELECT egov.append_only('family_relations');

-- Ghi chú hộ tịch: what courts and agencies decided, beside the entry that stays as it is. What one said is cancelled by a further one, once.
CREATE TABLE annotations (
    annotation_id       uuid        PRIMARY KEY,
    entry_id            uuid        NOT NULL REFERENCES entries,
    responsible_unit_id integer     NOT NULL,
    position            integer     NOT NULL CHECK (position > 0),
    kind                smallint    NOT NULL CHECK (kind BETWEEN 1 AND 10),
    note_date           date        NOT NULL,
    content             text        NOT NULL,
    cancels             uuid        REFERENCES annotations,
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    record_time         timestamptz NOT NULL,
    CONSTRAINT annotations_in_order UNIQUE (entry_id, position),
    CONSTRAINT annotations_cancelled_once UNIQUE (cancels)
);
SELECT egov.protect('annotations');
SELECT egov.append_only('annotations');
