-- Cơ sở dữ liệu được hỏi bằng máy: under which code a register was asked for a component, and whether it confirmed.
--
-- Both are there together or not at all, and only of data that stands in the place of a paper. Nothing of what the register knows of the
-- person is kept. The bytes of a leaf have them only where they are, so that the leaves of before still stand for their rows. Who may see
-- the rows stays as it was: whoever sees the case. The constraints are NOT VALID, which they are for every new row: the columns of what is
-- there are empty, and the table is not gone through while it is held.
-- Expand only: the version before neither reads nor writes them; a case of which one was said and on which that version acts has a leaf
-- without them, which the verification names until the next act. The same holds of a party's date of birth, which is within the JSON of
-- cases.owner and cases.submitter. Way back: drop both columns.

ALTER TABLE component_checks
    ADD COLUMN request_code text,
    ADD COLUMN confirmed    boolean,
    ADD CONSTRAINT component_checks_asked CHECK (
        (request_code IS NULL) = (confirmed IS NULL)
        AND (request_code IS NULL OR (state = 'replaced_by_data' AND length(request_code) BETWEEN 1 AND 64))
    ) NOT VALID;
