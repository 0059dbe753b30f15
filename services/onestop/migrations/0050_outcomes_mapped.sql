-- Chuyển phiên bản, kết luận: what stands in the new version for outcomes of the old one that it calls otherwise. A migration keeps it from its
-- beginning, as it keeps the steps, so that whoever goes on after a stop goes on by the same. Never changed: the service may not update it.
--
-- Who may see the rows stays as it was: the controllers of procedures at the province. A migration of before has named none.
-- Expand only: the version before neither writes nor reads the column. Where it takes over a migration that names outcomes, cases whose outcome
-- was named stay with their version, as they did before; its leaf of the end lacks what was named, which the verification names, and it cannot
-- list a case that stayed because of an outcome that leads elsewhere. Hence: name outcomes once no process of that version runs any more. What
-- stayed goes over by a further migration. Way back: drop the column.
ALTER TABLE procedure_migrations
    ADD COLUMN outcomes jsonb NOT NULL DEFAULT '{}';   -- codes of steps of the old version: outcome of the old version → of the new one
