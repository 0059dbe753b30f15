-- Tìm người: the words of the names of persons, without diacritics, beside the year of birth. Phát hiện trùng: births that may be of one child, and what
-- officers decided of them.
--
-- Expand-only. What was entered before is found by neither: the service was not released. Going back: drop the tables; but for the decisions they
-- follow from the entries.

-- A row for each word of a name that an entry tells, written with the particulars it is of. A name is looked for with a year of birth, so that a walk
-- of even the most frequent word is short: it goes by word and year, in the order of persons, and sees everything that it needs in the index. A name
-- that was corrected stays, so that who is looked for by it is found. 0 is the year of whose birth nothing is known.
CREATE TABLE person_tokens (
    token               text     NOT NULL COLLATE "C",
    birth_year          smallint NOT NULL,
    person_id           uuid     NOT NULL REFERENCES persons,
    responsible_unit_id integer  NOT NULL,
    -- All words of the name in their order of letters, each between spaces of its own.
    words               text     NOT NULL COLLATE "C",
    CONSTRAINT person_tokens_by_word PRIMARY KEY (token, birth_year, person_id, responsible_unit_id, words)
);
SELECT egov.protect('person_tokens');
SELECT egov.append_only('person_tokens');

-- Phát hiện trùng: the words under which a birth is kept, so that the births with which a further one is compared are found without comparing all with
-- all. They follow from what the entry says, and from what it says since it was corrected.
CREATE TABLE duplicate_words (
    word                text    NOT NULL COLLATE "C",
    entry_id            uuid    NOT NULL REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    responsible_unit_id integer NOT NULL,
    CONSTRAINT duplicate_words_by_word PRIMARY KEY (word, entry_id) INCLUDE (responsible_unit_id)
);
SELECT egov.protect('duplicate_words');
SELECT egov.append_only('duplicate_words');

-- Two births that may be of one child: found when the later one was registered, and kept with the reasons. No entry is changed by it.
CREATE TABLE duplicates (
    duplicate_id        uuid        PRIMARY KEY,
    -- The later entry, with its commune and child.
    responsible_unit_id integer     NOT NULL,
    entry_id            uuid        NOT NULL REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    person_id           uuid        NOT NULL REFERENCES persons,
    -- The earlier one.
    other_unit_id       integer     NOT NULL,
    other_entry_id      uuid        NOT NULL REFERENCES entries CHECK (other_entry_id <> entry_id),
    other_person_id     uuid        NOT NULL REFERENCES persons CHECK (other_person_id <> person_id),
    points              integer     NOT NULL,
    parts               text        NOT NULL,
    record_time         timestamptz NOT NULL,
    CONSTRAINT duplicates_once UNIQUE (entry_id, other_entry_id)
);
CREATE INDEX duplicates_by_unit ON duplicates (responsible_unit_id, points DESC, duplicate_id);
SELECT egov.protect('duplicates');
SELECT egov.append_only('duplicates');
-- A pair tells of both: whoever does not see the commune of the earlier entry does not see that there is one.
CREATE POLICY by_both ON duplicates AS RESTRICTIVE FOR SELECT
    USING (other_unit_id = ANY ((SELECT egov.scope())::integer[]) OR (SELECT egov.scope_all()));

-- What officers decided of pairs: same (1), different (2), open again (3). The last one counts; none is ever changed.
CREATE TABLE duplicate_rulings (
    ruling_id           uuid        PRIMARY KEY,
    duplicate_id        uuid        NOT NULL REFERENCES duplicates,
    responsible_unit_id integer     NOT NULL,
    position            integer     NOT NULL CHECK (position > 0),
    one_id              uuid        NOT NULL REFERENCES persons,
    other_id            uuid        NOT NULL REFERENCES persons CHECK (other_id <> one_id),
    verdict             smallint    NOT NULL CHECK (verdict BETWEEN 1 AND 3),
    reason              text        NOT NULL CHECK (reason <> ''),
    actor_id            uuid        NOT NULL,
    actor_kind          text        NOT NULL,
    record_time         timestamptz NOT NULL,
    CONSTRAINT duplicate_rulings_in_order UNIQUE (duplicate_id, position)
);
CREATE INDEX duplicate_rulings_of_one ON duplicate_rulings (one_id);
CREATE INDEX duplicate_rulings_of_other ON duplicate_rulings (other_id);
SELECT egov.protect('duplicate_rulings');
SELECT egov.append_only('duplicate_rulings');
