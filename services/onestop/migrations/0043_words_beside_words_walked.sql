-- no-transaction
-- Built beside the traffic, which no transaction may do; hence a file and a statement of its own. If it is broken off it leaves an invalid
-- index: drop that and migrate again.
CREATE INDEX CONCURRENTLY case_tokens_by_time_beside
    ON case_tokens (token, submit_time DESC, case_id DESC) INCLUDE (responsible_unit_id, owner_id, words);
