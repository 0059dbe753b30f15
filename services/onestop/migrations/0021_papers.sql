-- Sổ theo dõi hồ sơ: the tracking book of a unit lists what it took in, in the order of taking in.
--
-- No table: papers are made from the case and its history. The index is written to when a case is taken in and not again, since neither
-- column changes afterwards; who sees the rows is what the policies of `cases` say.
--
-- Expand only. Way back: drop the index.
CREATE INDEX cases_taken_in ON cases (receiving_unit_id, accept_time, case_id) WHERE accept_time IS NOT NULL;
