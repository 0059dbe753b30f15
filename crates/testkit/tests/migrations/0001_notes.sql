-- What the tests of the testkit need: a table that the service may read and append to.
CREATE TABLE notes (
    note_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    content text NOT NULL
);

GRANT SELECT, INSERT ON notes TO probe_app;
