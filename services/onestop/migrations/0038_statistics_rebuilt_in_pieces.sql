-- Làm lại số liệu thống kê: figures are worked out anew a few cases at a time, beside the traffic.
--
-- Why: over a million cases one transaction would hold up every act for as long as it takes, and what was done until it broke off would be
-- lost. The sums anew grow in a table of their own; what acts change meanwhile of a case that is counted already is folded into both. In the end
-- each unit's sums of a year take the place of those that stand, so that what is read is what stood before or what is right, and nothing between.
--
-- Who may see the rows: sums by unit, as of `statistic_sums`; how far it has come nobody but the service.
-- Expand only: the version before folds into the sums that stand and not into these, so that a rebuild belongs after the last process of that
-- version has stopped; the verification names what is missing otherwise. Way back: drop both tables.

-- Sums of a day, anew.
CREATE TABLE statistic_sums_anew (
    responsible_unit_id int      NOT NULL,
    day                 date     NOT NULL,
    procedure_code      text     NOT NULL COLLATE "C",
    officer_id          uuid     NOT NULL,
    recorded            date     NOT NULL,
    measure             smallint NOT NULL,
    amount              bigint   NOT NULL,
    PRIMARY KEY (responsible_unit_id, day, procedure_code, officer_id, recorded, measure)
) WITH (fillfactor = 80);
SELECT egov.protect('statistic_sums_anew');
SELECT egov.allow_update('statistic_sums_anew', 'amount');
SELECT egov.allow_delete('statistic_sums_anew');

-- How far the rebuild has come that is under way; no row if there is none.
CREATE TABLE statistic_rebuilds (
    only_one      boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    counted_until uuid    NOT NULL,     -- the last case that is in the sums anew
    cases         bigint  NOT NULL,     -- how many are
    put_unit      int,                  -- whose sums have taken their place, with all units before it; none while cases are counted
    put_until     date                  -- and of that unit those up to this day
);
ALTER TABLE statistic_rebuilds ENABLE ROW LEVEL SECURITY;
ALTER TABLE statistic_rebuilds FORCE ROW LEVEL SECURITY;
CREATE POLICY of_the_service ON statistic_rebuilds USING ((SELECT egov.scope_all()));
SELECT egov.allow_update('statistic_rebuilds', 'counted_until', 'cases', 'put_unit', 'put_until');
SELECT egov.allow_delete('statistic_rebuilds');
