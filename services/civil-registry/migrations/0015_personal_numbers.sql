-- Cấp số định danh cá nhân: which children the population database is asked for a number, under which code, and what it answered.
--
-- Expand-only. Going back: drop these tables; the numbers that were assigned stay in `personal_numbers`.
--
-- Who sees what: the commune that registered the birth (`responsible_unit_id`).

-- The request for the number of a child, one for each birth that is entered without one. `request_code` (mã yêu cầu) is made once, of the entry, and never
-- another: by it the database knows a repetition, so that a child gets one number however often it is asked for.
-- `state`: 1 wanted, 2 asked (what became of it is not known, or it is asked again later), 3 assigned, 4 refused (an officer looks at it), 5 not asked (such
-- a child gets no number). `problem` is why it is not assigned, a word. `personal_number` is what the database answered: assigned, or refused here.
-- `legal_basis` is what it is asked on, by the rules of the day of the registration. `agency_code` is that of the commune when it was asked first: a repetition says the same word for word. `attempts` and `next_time` say how often it was
-- asked and when it is asked next; they are no history, and no leaf commits to them.
CREATE TABLE personal_number_requests (
    entry_id            uuid        PRIMARY KEY REFERENCES entries DEFERRABLE INITIALLY DEFERRED,
    person_id           uuid        NOT NULL UNIQUE REFERENCES persons,
    responsible_unit_id integer     NOT NULL,
    request_code        text        NOT NULL UNIQUE,
    legal_basis         text        NOT NULL,
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 5),
    problem             text        NOT NULL DEFAULT '',
    personal_number     text        CHECK (personal_number ~ '^[0-9]{12}$'),
    assign_date         date,
    agency_code         text        NOT NULL DEFAULT '',
    attempts            integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_time           timestamptz,
    version             bigint      NOT NULL CHECK (version >= 1),
    record_time         timestamptz NOT NULL,
    CONSTRAINT personal_number_requests_open CHECK ((state IN (1, 2)) = (next_time IS NOT NULL)),
    CONSTRAINT personal_number_requests_assigned CHECK (state <> 3 OR (personal_number IS NOT NULL AND assign_date IS NOT NULL))
);
CREATE INDEX personal_number_requests_due ON personal_number_requests (next_time, entry_id) WHERE state IN (1, 2);
CREATE INDEX personal_number_requests_by_unit ON personal_number_requests (responsible_unit_id, entry_id);
-- What an officer has to look at is little among all births.
CREATE INDEX personal_number_requests_refused ON personal_number_requests (entry_id) INCLUDE (responsible_unit_id) WHERE state = 4;
SELECT egov.protect('personal_number_requests');
SELECT egov.allow_update('personal_number_requests', 'state', 'problem', 'personal_number', 'assign_date', 'agency_code', 'attempts', 'next_time', 'version',
                         'record_time');

-- What became of a request: wanted, assigned, refused, wanted again. `content` is what the ledger's leaf commits to, word for word.
CREATE TABLE personal_number_history (
    entry_id            uuid        NOT NULL REFERENCES personal_number_requests,
    version             bigint      NOT NULL,
    responsible_unit_id integer     NOT NULL,
    act                 text        NOT NULL,
    actor_id            uuid,
    actor_kind          text        NOT NULL,
    content             text        NOT NULL,
    record_time         timestamptz NOT NULL,
    PRIMARY KEY (entry_id, version)
);
SELECT egov.protect('personal_number_history');
SELECT egov.append_only('personal_number_history');
