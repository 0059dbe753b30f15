-- no-transaction
-- Of the bodies only those that are kept wait for their end: the sweep reads no row that it has emptied. Built beside the traffic,
-- which no transaction may do; hence a file and a statement of its own. If it is broken off it leaves an invalid index: drop that and
-- migrate again. exchange_bodies_by_end goes once no version before this one runs. To go back: drop the index.
CREATE INDEX CONCURRENTLY exchange_bodies_kept ON exchange_bodies (expire_time) WHERE sealed IS NOT NULL;
