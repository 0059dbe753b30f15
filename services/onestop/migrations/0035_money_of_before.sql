-- no-transaction
-- What 0026, 0027, 0031 and 0032 keep of fees, for what was done before them: some thousand cases at a time beside the traffic, each a
-- transaction of its own; hence a file and a statement of its own. Nothing is held for longer than such a step. Broken off, it goes on where it
-- was: what is filled in already stays as it is, and is counted once. Last it validates what 0028 and 0032 demand.
--
-- What the version before does after it passed: of days and refunds the job `onestop.version-before` makes up for it; payments are missing in the
-- figures until `cargo egov statistics rebuild`; the verification names these and charges that are not settled. Way back: nothing.
DO $$
DECLARE
    today       date := (now() AT TIME ZONE 'Asia/Ho_Chi_Minh')::date;
    batch_after uuid := '00000000-0000-0000-0000-000000000000';
    batch_until uuid;
BEGIN
    LOOP
        SELECT case_id INTO batch_until
        FROM (SELECT case_id FROM cases WHERE case_id > batch_after ORDER BY case_id LIMIT 5000) AS batch
        ORDER BY case_id DESC LIMIT 1;
        EXIT WHEN batch_until IS NULL;

        -- 0031: payments become known to the figures today, each counted in the statement that makes it known; by sums, not one by one.
        WITH known AS (
            UPDATE charge_payments SET known_day = greatest(paid_day, today)
            WHERE case_id > batch_after AND case_id <= batch_until AND paid_day IS NOT NULL AND known_day IS NULL
            RETURNING case_id, collecting_unit_id, way, paid_day, known_day
        )
        INSERT INTO statistic_changes (responsible_unit_id, procedure_code, officer_id, day, recorded, measure, amount)
        SELECT k.collecting_unit_id, c.procedure_code, '00000000-0000-0000-0000-000000000000', k.paid_day,
               CASE WHEN k.known_day > k.paid_day THEN k.known_day ELSE DATE '0001-01-01' END, m.measure, count(*)
        FROM known AS k
        JOIN cases AS c USING (case_id)
        CROSS JOIN (VALUES (28::smallint), (29::smallint)) AS m (measure)
        WHERE m.measure = 28 OR k.way = 1
        GROUP BY 1, 2, 4, 5, 6;

        -- 0027 and 0032: what the platform says otherwise, and on which day money went back.
        UPDATE charge_payments SET amount_differs = true
        WHERE case_id > batch_after AND case_id <= batch_until AND problem = 'AMOUNT_DIFFERS' AND NOT amount_differs;
        UPDATE charge_payments AS p SET listed_otherwise = true
        WHERE case_id > batch_after AND case_id <= batch_until AND NOT listed_otherwise
          AND EXISTS (SELECT 1 FROM payment_differences AS d
                      WHERE d.payment_id = p.payment_id AND d.state = 1 AND d.kind IN (1, 5, 7, 12, 14));
        UPDATE charge_payments SET refund_day = ((refund ->> 'done_time')::timestamptz AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
        WHERE case_id > batch_after AND case_id <= batch_until AND refund_day IS NULL AND refund ->> 'done_time' IS NOT NULL;

        -- 0027: what is not settled.
        WITH paid AS (
            SELECT case_id, sum(amount_vnd) FILTER (WHERE state IN (3, 4)) AS held, sum(amount_vnd) FILTER (WHERE state = 5) AS on_its_way,
                   bool_or(state IN (1, 2)) AS ordered,
                   bool_or(state <> 6 AND (amount_differs OR listed_otherwise AND state IN (3, 4, 5))) AS doubted
            FROM charge_payments WHERE case_id > batch_after AND case_id <= batch_until GROUP BY case_id
        ), charged AS (
            SELECT c.case_id, c.case_code, c.procedure_code, c.responsible_unit_id, c.owner_id, coalesce(h.update_time, c.accept_time) AS since,
                   c.state NOT IN (3, 7, 8) AS obliged, coalesce(h.fees, c.fees) AS fees
            FROM cases AS c LEFT JOIN case_charges AS h USING (case_id)
            WHERE c.case_id > batch_after AND c.case_id <= batch_until AND c.accept_time IS NOT NULL
        ), money AS (
            SELECT charged.*, obliged AND coalesce(f.unestablished, false) AS unestablished, CASE WHEN obliged THEN coalesce(f.due, 0) ELSE 0 END AS due,
                   coalesce(held, 0) AS held, coalesce(on_its_way, 0) AS on_its_way, coalesce(ordered, false) AS ordered,
                   coalesce(doubted, false) AS doubted
            FROM charged
            LEFT JOIN paid USING (case_id),
            LATERAL (SELECT bool_or(due IS NULL) AS unestablished, sum(due) AS due
                     FROM (SELECT CASE WHEN jsonb_typeof(fee -> 'exemption') = 'object' THEN (fee #>> '{exemption,reduced_to_vnd}')::bigint
                                       ELSE (fee ->> 'amount_vnd')::bigint * coalesce((fee ->> 'quantity')::bigint, 1) END AS due
                           FROM jsonb_array_elements(charged.fees) AS listed (fee)) AS each_fee) AS f
        )
        INSERT INTO unsettled_charges (case_id, case_code, procedure_code, responsible_unit_id, owner_id, owed, in_doubt, refund_due, order_open,
                                       left_vnd, held_vnd, refund_vnd, since)
        SELECT case_id, case_code, procedure_code, responsible_unit_id, owner_id, unestablished OR held < due, doubted,
               on_its_way > 0 OR NOT unestablished AND held > due, ordered, CASE WHEN NOT unestablished AND held < due THEN due - held END, held,
               on_its_way + CASE WHEN unestablished THEN 0 ELSE greatest(held - due, 0) END, since
        FROM money
        WHERE unestablished OR held < due OR doubted OR on_its_way > 0 OR held > due
        ON CONFLICT (case_id) DO NOTHING;

        batch_after := batch_until;
        COMMIT;
    END LOOP;

    -- 0026: the last reconciliation of each day.
    INSERT INTO reconciled_days (responsible_unit_id, day, reconciliation_id, reconcile_time)
    SELECT DISTINCT ON (responsible_unit_id, day) responsible_unit_id, day, resource_id, record_time
    FROM (SELECT responsible_unit_id, (content::jsonb ->> 'day')::date AS day, resource_id, record_time
          FROM fee_acts WHERE kind = 'reconciliation') AS acts
    ORDER BY responsible_unit_id, day, record_time DESC, resource_id DESC
    ON CONFLICT (responsible_unit_id, day) DO UPDATE
    SET reconciliation_id = EXCLUDED.reconciliation_id, reconcile_time = EXCLUDED.reconcile_time
    WHERE reconciled_days.reconcile_time < EXCLUDED.reconcile_time;
    COMMIT;

    -- And every file that it must have used: of its day, with a line of its day, with a line about a payment of its day. Three joins, each by
    -- what its tables are kept by; without knowing how many days there are they would be walked one for each row.
    ANALYZE reconciled_days, treasury_files, treasury_entries, charge_payments;
    COMMIT;
    INSERT INTO reconciliation_files (reconciliation_id, file_id, responsible_unit_id)
    SELECT r.reconciliation_id, f.file_id, f.responsible_unit_id
    FROM reconciled_days AS r
    JOIN treasury_files AS f ON f.responsible_unit_id = r.responsible_unit_id AND f.day = r.day AND f.import_time <= r.reconcile_time
    UNION
    SELECT r.reconciliation_id, f.file_id, f.responsible_unit_id
    FROM reconciled_days AS r
    JOIN treasury_entries AS e ON e.responsible_unit_id = r.responsible_unit_id AND e.day = r.day
    JOIN treasury_files AS f ON f.file_id = e.file_id AND f.responsible_unit_id = r.responsible_unit_id AND f.import_time <= r.reconcile_time
    UNION
    SELECT r.reconciliation_id, f.file_id, f.responsible_unit_id
    FROM reconciled_days AS r
    JOIN charge_payments AS p ON p.collecting_unit_id = r.responsible_unit_id AND p.paid_day = r.day AND p.reference <> ''
    JOIN treasury_entries AS e ON e.responsible_unit_id = p.collecting_unit_id AND e.reference = p.reference
    JOIN treasury_files AS f ON f.file_id = e.file_id AND f.responsible_unit_id = r.responsible_unit_id AND f.import_time <= r.reconcile_time
    ON CONFLICT (reconciliation_id, file_id) DO NOTHING;
    COMMIT;

    ALTER TABLE stored_papers VALIDATE CONSTRAINT stored_papers_revoked_check;
    COMMIT;
    ALTER TABLE payment_differences VALIDATE CONSTRAINT payment_differences_kind_check;
    COMMIT;
    ALTER TABLE treasury_entries VALIDATE CONSTRAINT treasury_entries_amount_vnd_check;
END
$$;
