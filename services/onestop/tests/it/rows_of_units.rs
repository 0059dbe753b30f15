//! Rows of two units, made alike: what one-stop keeps of the unit whose callers ask, and of its neighbour.
//!
//! Whoever adds a reader adds its rows here, once for both: what is begun in [`Side::file`], what is done with it in [`Side::handle`], its ids in
//! [`Side::known`], and in [`CHANGES`] how it is changed behind the service's back. A reader without rows is named by the test that asks.

use std::collections::{BTreeMap, BTreeSet};

use egov_onestop::domain::pack::Profile;
use egov_onestop::domain::statistics::Measure;
use egov_onestop::migrate_cases;
use egov_proto::egov::onestop::v1 as proto;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::components::{BIRTH_NOTICE, ask_for_by, digitise_by};
use crate::deadlines::{day, extend, extension};
use crate::definitions::{BIRTH, controller, create, procedure, update};
use crate::fees::{cash, charge, exempt, import_treasury, reconcile_day, take_back};
use crate::migrations::{migration, next_version, start};
use crate::readers::Known;
use crate::results::correct;
use crate::support::*;
use crate::work::inbox;

/// One of the two.
pub(crate) struct Side {
    /// The unit.
    pub(crate) unit_id: i32,
    /// Its code.
    pub(crate) unit_code: &'static str,
    /// Whose cases it has.
    pub(crate) citizen: Uuid,
    /// Who has its work, and asks.
    pub(crate) official: Uuid,
    /// The personal number of whom its store holds a paper. Papers follow the person, whichever unit confirmed them: the two differ.
    number: &'static str,
    /// What its figures of October count. How many cases a unit decided in time is published, so that the neighbour's decided none.
    counted: &'static [Measure],
}

/// The unit whose callers ask.
pub(crate) const OURS: Side = Side {
    unit_id: TRUONG_VINH,
    unit_code: "16690",
    citizen: Uuid::from_u128(0xC1),
    official: Uuid::from_u128(0x51),
    number: "040190000123",
    counted: &[
        Measure::RegisteredOnline,
        Measure::ReceivedOnline,
        Measure::ProcessedEarly,
    ],
};

/// The unit of which they see nothing.
pub(crate) const NEIGHBOUR: Side = Side {
    unit_id: THANH_VINH,
    unit_code: "16681",
    citizen: Uuid::from_u128(0xC9),
    official: Uuid::from_u128(0x59),
    number: "040190000456",
    counted: &[Measure::RegisteredOnline, Measure::ReceivedOnline],
};

/// A procedure of the catalogue of which a fact is decided.
const DECIDED: &str = "1.000689";

/// Wednesday 25/11 and Thursday 26/11/2026 become days off: what is due on one of them moves.
const NOTICE: &str = r#"
[[notice]]
id = "vn-2026-test"
[notice.title]
vi = "Nghỉ hai ngày 25 và 26/11/2026"
en = "two days off, 25 and 26/11/2026"
[notice.origin]
status = "confirmed"
legal_basis = "a test"
source = "a test"
[[notice.off]]
from = "2026-11-25"
to = "2026-11-26"
name = { vi = "Nghỉ", en = "off" }
"#;

/// How rows of a unit are changed behind the service's back: each statement must find one, and leave what can be read.
const CHANGES: [&str; 19] = [
    "UPDATE charge_payments SET amount_vnd = 1, paid_day = '2026-11-24' WHERE responsible_unit_id = $1",
    "UPDATE payment_differences SET state = 1, day = '2026-11-24' WHERE responsible_unit_id = $1",
    "UPDATE unsettled_charges SET owed = true, in_doubt = true, since = since - interval '3 days' WHERE responsible_unit_id = $1",
    "UPDATE reconciled_days SET day = '2026-11-24', again_since = NULL WHERE responsible_unit_id = $1",
    "UPDATE procedure_drafts SET note = 'khác', definition = definition || E'\\n# khác\\n', version = version + 1
     WHERE responsible_unit_id = $1",
    "UPDATE procedure_draft_changes SET note = 'khác'
     WHERE draft_id IN (SELECT draft_id FROM procedure_drafts WHERE responsible_unit_id = $1)",
    "UPDATE procedure_migrations SET moved = moved + 7 WHERE responsible_unit_id = $1",
    "UPDATE procedure_migration_cases SET moved = false, hindrances = '{due_later,step_gone}'
     WHERE migration_id IN (SELECT migration_id FROM procedure_migrations WHERE responsible_unit_id = $1)",
    "UPDATE reports SET due_date = due_date + 1, content = jsonb_set(content, '{total,received_online}', '99') WHERE responsible_unit_id = $1",
    "UPDATE counter_groups SET name = name || ' khác' WHERE responsible_unit_id = $1",
    "UPDATE queue_tickets SET calls = calls + 1 WHERE responsible_unit_id = $1",
    "UPDATE case_tasks SET version = version + 1 WHERE responsible_unit_id = $1",
    "UPDATE task_history SET reason = 'khác'
     WHERE task_id IN (SELECT task_id FROM case_tasks WHERE responsible_unit_id = $1)",
    "UPDATE case_comments SET text = 'khác' WHERE case_id IN (SELECT case_id FROM cases WHERE responsible_unit_id = $1)",
    "UPDATE case_deadline_changes SET new_due_time = new_due_time + interval '1 day' WHERE responsible_unit_id = $1",
    "UPDATE result_versions SET content = replace(content, 'Sai họ tên mẹ', 'khác')
     WHERE case_id IN (SELECT case_id FROM cases WHERE responsible_unit_id = $1)",
    "UPDATE stored_papers SET valid_until = '2026-12-31' WHERE responsible_unit_id = $1",
    "UPDATE avoidable_paper_sums SET amount = amount + 1 WHERE responsible_unit_id = $1",
    "UPDATE uploads SET size = size + 1 WHERE owner_id = (SELECT owner_id FROM cases WHERE responsible_unit_id = $1 LIMIT 1)",
];

/// What was begun at a unit.
pub(crate) struct Filed {
    /// It waits; with its look-up secret.
    first: proto::SubmitCaseResponse,
    /// It waits as well, until it is scanned.
    scanned: proto::Case,
    /// To be worked on.
    working: proto::Case,
    /// To be decided.
    decided: proto::Case,
    /// To be paid.
    charged: proto::Case,
    linked_case_id: String,
    upload_id: String,
    report_id: String,
    group_id: String,
}

impl Filed {
    /// The code of the case that was filed first.
    pub(crate) fn first_code(&self) -> &str {
        &self.first.case.as_ref().unwrap().case_code
    }
}

/// What was done with it.
pub(crate) struct Handled {
    result_file_id: String,
    treasury_file_id: String,
    task_id: String,
    draft_id: String,
    migration_id: String,
    /// The version to which cases went over.
    version: i32,
}

/// Decides a fact of the catalogue, for everybody.
pub(crate) async fn decide_a_fact(stack: &Stack) {
    let of = procedure(stack, DECIDED).await.unwrap();
    let value = proto::TimeDecision {
        value: 3,
        unit: proto::TimeUnit::WorkingDay.into(),
        ..Default::default()
    };
    let request = proto::DecideFactRequest {
        request_id: request_id(),
        procedure_code: of.procedure_code,
        etag: of.etag,
        value: Some(proto::decide_fact_request::Value::Time(value)),
        basis: "Quyết định số 1/QĐ-UBND".to_owned(),
        effective_from: Some(day(2026, 11, 23)),
        note: String::new(),
    };
    controller(stack).procedures.decide_fact(request).await.unwrap();
}

/// Past the service, and past what keeps rows from being changed.
async fn tampering(stack: &Stack) -> PgConnection {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query("SET session_replication_role = replica")
        .execute(&mut superuser)
        .await
        .unwrap();
    superuser
}

impl Side {
    fn staff(&self, stack: &Stack, role: &str) -> Client {
        stack.staff(role, self.unit_id)
    }

    /// Files cases, an application of two, an upload, a report, and opens a queue.
    pub(crate) async fn file(&self, stack: &Stack) -> Filed {
        let first = self.submit(stack, self.birth("Nguyễn Thị Hường")).await;
        let mut scanned = self.birth("Nguyễn Thị Hường");
        self.number
            .clone_into(&mut scanned.owner.as_mut().unwrap().personal_number);
        let scanned = self.submit(stack, scanned).await.case.unwrap();
        let with_copies = |name: &str| proto::SubmitCaseRequest {
            conditions: vec!["yeu_cau_ban_sao".to_owned()],
            ..self.birth(name)
        };
        let working = self.submit(stack, with_copies("Trần Văn Hùng")).await.case.unwrap();
        let decided = self.submit(stack, self.birth("Nguyễn Văn Hưng")).await.case.unwrap();
        let charged = self.submit(stack, with_copies("Nguyễn Thị Hường")).await.case.unwrap();
        let linked_case_id = self.file_linked(stack).await;
        let mut portal = stack.portal(self.citizen);
        let upload = proto::StartUploadRequest {
            request_id: request_id(),
            name: "đơn.pdf".to_owned(),
            size: PDF.len() as i64,
            sha256: egov_files::Digest::of(PDF).to_string(),
        };
        let upload = portal.files.start_upload(upload).await.unwrap().into_inner();
        Filed {
            first,
            scanned,
            working,
            decided,
            charged,
            linked_case_id,
            upload_id: upload.upload_id,
            report_id: self.report(stack).await,
            group_id: self.queue(stack).await,
        }
    }

    /// A birth registration at the unit: names and numbers are the same at both.
    fn birth(&self, name: &str) -> proto::SubmitCaseRequest {
        proto::SubmitCaseRequest {
            competent_unit_code: self.unit_code.to_owned(),
            owner: Some(owner(name)),
            ..birth_registration()
        }
    }

    async fn submit(&self, stack: &Stack, request: proto::SubmitCaseRequest) -> proto::SubmitCaseResponse {
        let answer = stack.portal(self.citizen).cases.submit_case(request).await;
        answer.unwrap().into_inner()
    }

    /// Files a linked application; its id.
    pub(crate) async fn file_linked(&self, stack: &Stack) -> String {
        let mut portal = stack.portal(self.citizen);
        let application = self.linked_application();
        let filed = portal.linked.submit_linked_case(application).await.unwrap();
        filed.into_inner().linked_case.unwrap().linked_case_id
    }

    /// A linked application of which all members are the unit's.
    fn linked_application(&self) -> proto::SubmitLinkedCaseRequest {
        let member = |code: &str, components: &[&str], conditions: &[&str]| proto::LinkedMemberFiling {
            member_code: code.to_owned(),
            competent_unit_code: self.unit_code.to_owned(),
            components: components.iter().map(|code| component(code)).collect(),
            conditions: conditions.iter().map(ToString::to_string).collect(),
        };
        proto::SubmitLinkedCaseRequest {
            request_id: request_id(),
            service_code: "2.000986".to_owned(),
            channel: proto::Channel::Online.into(),
            owner: Some(owner("Nguyễn Thị Hường")),
            members: vec![
                member("khai_sinh", &["mau_dien_tu", "giay_chung_sinh"], &[]),
                member("thuong_tru", &["to_khai_ct01"], &["nguoi_than"]),
                member("the_bhyt", &["to_khai"], &[]),
            ],
            ..Default::default()
        }
    }

    /// The report of November, over figures of October as acts would have left them.
    async fn report(&self, stack: &Stack) -> String {
        let measures: Vec<i16> = self.counted.iter().copied().map(Measure::code).collect();
        let mut superuser = stack.database.connect_as_superuser().await.unwrap();
        sqlx::query(
            "INSERT INTO statistic_changes (responsible_unit_id, procedure_code, officer_id, day, recorded, measure, amount)
             SELECT $1::int, $2::text, '00000000-0000-0000-0000-000000000000'::uuid, '2026-10-20'::date, '0001-01-01'::date, measure, 6
             FROM unnest($3::smallint[]) AS measure",
        )
        .bind(self.unit_id)
        .bind(BIRTH)
        .bind(measures)
        .execute(&mut superuser)
        .await
        .unwrap();
        let request = proto::MakeReportRequest {
            request_id: request_id(),
            unit_id: self.unit_id,
            form: String::new(),
            year: 2026,
            month: 11,
        };
        let mut leader = self.staff(stack, "unit_leader");
        let made = leader.reports.make_report(request).await.unwrap().into_inner();
        made.report.unwrap().report_id
    }

    /// A group of counters where three wait.
    async fn queue(&self, stack: &Stack) -> String {
        let request = proto::PutCounterGroupRequest {
            request_id: request_id(),
            unit_id: self.unit_id,
            code: "chung".to_owned(),
            name: "Nhóm chung".to_owned(),
            letter: "A".to_owned(),
            counters: 3,
            open: true,
            ..Default::default()
        };
        let mut leader = self.staff(stack, "unit_leader");
        let group = leader.counters.put_counter_group(request).await.unwrap().into_inner();
        let group_id = group.group.unwrap().group_id;
        let mut clerk = self.staff(stack, "one_stop_clerk");
        for _ in 0..3 {
            let request = proto::TakeTicketRequest {
                request_id: request_id(),
                group_id: group_id.clone(),
                priority: String::new(),
            };
            clerk.counters.take_ticket(request).await.unwrap();
        }
        group_id
    }

    /// Does with what was filed what an office does: one case is scanned, one worked on, one decided, its result corrected, one paid; a number is called; a draft is
    /// written, and cases go over to another version.
    pub(crate) async fn handle(&self, stack: &Stack, filed: &Filed) -> Handled {
        let clerk = self.staff(stack, "one_stop_clerk");
        digitise_by(&clerk, &filed.scanned, BIRTH_NOTICE).await;
        let task_id = self.work_on(stack, &filed.working).await;
        let decided = self.decide(stack, &filed.decided).await;
        let decided = correct(stack, self.unit_id, &decided).await;
        self.waits_for_book(stack, &decided).await;
        let charged = self.take_in(stack, &filed.charged).await;
        let treasury_file_id = self.money(stack, &charged, ["BL-1", "BL-9"]).await;
        let call = proto::CallNextRequest {
            request_id: request_id(),
            group_id: filed.group_id.clone(),
            counter: 1,
        };
        let mut officer = self.staff(stack, "officer");
        officer.counters.call_next(call).await.unwrap();
        let draft_id = self.draft(stack).await;
        let (migration_id, version) = self.migrate(stack).await;
        Handled {
            result_file_id: decided.results[0].file_id.clone(),
            treasury_file_id,
            task_id,
            draft_id,
            migration_id,
            version,
        }
    }

    /// A decision that waits for the book, as if the procedure went into one.
    async fn waits_for_book(&self, stack: &Stack, case: &proto::Case) {
        let mut superuser = stack.database.connect_as_superuser().await.unwrap();
        sqlx::query(
            "INSERT INTO civil_decisions (decision_id, case_id, case_code, procedure_code, responsible_unit_id, decision_date, number, signer_name,
                 signer_title, signer_authorisation, performer_name, state, step_before, outcome_before, decider_id, record_time)
             SELECT gen_random_uuid(), case_id, case_code, procedure_code, responsible_unit_id, '2026-11-23', '', 'Lê Văn An', 'Chủ tịch', '',
                    'Phan Thị Lan', 1, '', '', gen_random_uuid(), submit_time
             FROM cases WHERE case_id = $1::uuid",
        )
        .bind(&case.case_id)
        .execute(&mut superuser)
        .await
        .unwrap();
    }

    /// Accepts a case and gives it to the official.
    async fn take_in(&self, stack: &Stack, case: &proto::Case) -> proto::Case {
        let accept = proto::AcceptCaseRequest {
            request_id: request_id(),
            case_id: case.case_id.clone(),
            etag: case.etag.clone(),
        };
        let mut clerk = self.staff(stack, "one_stop_clerk");
        let accepted = clerk.cases.accept_case(accept).await.unwrap().into_inner();
        let accepted = accepted.case.unwrap();
        let assign = proto::AssignCaseRequest {
            request_id: request_id(),
            case_id: accepted.case_id,
            etag: accepted.etag,
            assignee_id: self.official.to_string(),
            reason: String::new(),
        };
        let mut leader = self.staff(stack, "unit_leader");
        let assigned = leader.cases.assign_case(assign).await.unwrap().into_inner();
        assigned.case.unwrap()
    }

    /// Takes a case in, asks for a paper that need not have been asked for, extends the period, makes a note, and gives the task to a colleague.
    /// The id of the task.
    async fn work_on(&self, stack: &Stack, case: &proto::Case) -> String {
        let (mut officer, mut leader) = (self.staff(stack, "officer"), self.staff(stack, "unit_leader"));
        let case = self.take_in(stack, case).await;
        let asked = ask_for_by(&officer, &case, BIRTH_NOTICE).await;
        // Later than by either version.
        extend(&leader, extension(&asked, day(2026, 12, 4))).await.unwrap();
        let comment = proto::AddCommentRequest {
            request_id: request_id(),
            case_id: case.case_id.clone(),
            task_id: String::new(),
            text: "đã gọi cho công dân".to_owned(),
        };
        officer.work.add_comment(comment).await.unwrap();
        let open = inbox(&leader, proto::InboxView::Unit, self.unit_id).await;
        let task = open
            .into_iter()
            .filter_map(|item| item.task)
            .find(|task| task.case_id == case.case_id)
            .unwrap();
        let reassign = proto::ReassignTaskRequest {
            request_id: request_id(),
            task_id: task.task_id,
            etag: task.etag,
            assignee_id: Uuid::from_u128(0xA1).to_string(),
            reason: "cân đối việc".to_owned(),
        };
        let given = leader.work.reassign_task(reassign).await.unwrap().into_inner();
        given.task.unwrap().task_id
    }

    /// Takes a case to its result.
    async fn decide(&self, stack: &Stack, case: &proto::Case) -> proto::Case {
        let case = self.take_in(stack, case).await;
        let mut leader = self.staff(stack, "unit_leader");
        let said = proto::ResultMetadata {
            issue_date: Some(day(2026, 11, 23)),
            signer_name: "Trần Văn Ký".to_owned(),
            signer_title: "Chủ tịch UBND phường".to_owned(),
            form: proto::ResultForm::ElectronicOriginal.into(),
            ..Default::default()
        };
        let request = proto::ApproveCaseRequest {
            request_id: request_id(),
            case_id: case.case_id,
            etag: case.etag,
            results: vec![proto::CaseResult {
                result_code: "KQ.G15.000031".to_owned(),
                number: "01/2026".to_owned(),
                file_id: upload(&leader, PDF).await,
                metadata: Some(said),
                ..Default::default()
            }],
            reason: String::new(),
        };
        let approved = leader.cases.approve_case(request).await.unwrap().into_inner();
        approved.case.unwrap()
    }

    /// Cash for a case of the unit against the first receipt, which is waived after that; a file of the treasury in which it has another amount
    /// and the second receipt is nobody's, the day reconciled, and another file taken back. The id of the file that counts.
    pub(crate) async fn money(&self, stack: &Stack, case: &proto::Case, [receipt, stray]: [&str; 2]) -> String {
        let clerk = self.staff(stack, "one_stop_clerk");
        let owed = charge(&clerk, case).await.unwrap();
        let paid = cash(&clerk, &owed, receipt, 8_000).await.unwrap();
        exempt(&self.staff(stack, "officer"), &paid, 0).await.unwrap();
        let accountant = self.staff(stack, "fee_accountant");
        let (today, code) = (jiff::civil::date(2026, 11, 23), &case.case_code);
        let lines = format!("23/11/2026,{code},{receipt},9000\n23/11/2026,{code},{stray},5000\n");
        let counts = import_treasury(&accountant, self.unit_id, today, &lines).await.unwrap();
        let tomorrow = today.tomorrow().unwrap();
        let mistaken = import_treasury(&accountant, self.unit_id, tomorrow, &lines)
            .await
            .unwrap();
        let done = reconcile_day(&accountant, self.unit_id, today).await.unwrap();
        assert!(done.open_differences >= 2, "{done:?}");
        take_back(&accountant, &mistaken.file_id).await.unwrap();
        counts.file_id
    }

    /// A draft with a change. Drafts are the province's: only here a unit has one, so that its wall is seen to hold.
    async fn draft(&self, stack: &Stack) -> String {
        let client = controller(stack);
        let draft = create(&client, BIRTH, "").await.unwrap();
        let text = format!("{}\n# {}\n", draft.definition, self.unit_code);
        update(&client, &draft, &text).await.unwrap();
        self.take_over(stack, "procedure_drafts", "draft_id", &draft.draft_id)
            .await;
        draft.draft_id
    }

    /// Makes a row of the province one of the unit.
    async fn take_over(&self, stack: &Stack, table: &str, key: &str, id: &str) {
        let mut superuser = stack.database.connect_as_superuser().await.unwrap();
        let statement = format!("UPDATE {table} SET responsible_unit_id = $1 WHERE {key} = $2::uuid");
        let changed = sqlx::query(AssertSqlSafe(statement))
            .bind(self.unit_id)
            .bind(id)
            .execute(&mut superuser)
            .await
            .unwrap();
        assert_eq!(changed.rows_affected(), 1, "{table} {id}");
    }

    /// A migration of the unit's cases, and the version to which they went: the first is done, in which what was promised a case keeps it where it
    /// is; the second is a copy of it. Migrations are the province's, as drafts are.
    async fn migrate(&self, stack: &Stack) -> (String, i32) {
        let mut superuser = stack.database.connect_as_superuser().await.unwrap();
        let done: Option<(Uuid, i32)> = sqlx::query_as("SELECT migration_id, to_version FROM procedure_migrations")
            .fetch_optional(&mut superuser)
            .await
            .unwrap();
        if let Some((done, version)) = done {
            let copy: Uuid = sqlx::query_scalar(
                "WITH copied AS (
                     INSERT INTO procedure_migrations (migration_id, procedure_code, from_version, to_version, steps, reason, legal_basis,
                                                       actor_id, on_behalf_of, state, reached_time, reached_case_id, moved, kept,
                                                       responsible_unit_id, create_time, update_time)
                     SELECT gen_random_uuid(), procedure_code, from_version, to_version, steps, reason, legal_basis, actor_id, on_behalf_of,
                            state, reached_time, reached_case_id, moved, kept, $2::int, create_time, update_time
                     FROM procedure_migrations WHERE migration_id = $1
                     RETURNING migration_id
                 ), cases_of_it AS (
                     INSERT INTO procedure_migration_cases (migration_id, case_id, moved, hindrances, record_time)
                     SELECT copied.migration_id, cases.case_id, true, '{}'::text[], cases.update_time
                     FROM copied, cases WHERE cases.responsible_unit_id = $2
                 )
                 SELECT migration_id FROM copied",
            )
            .bind(done)
            .bind(self.unit_id)
            .fetch_one(&mut superuser)
            .await
            .unwrap();
            return (copy.to_string(), version);
        }
        let slower =
            |text: String| text.replace("value = 1\nunit = \"working_day\"", "value = 5\nunit = \"working_day\"");
        let version = next_version(stack, slower).await;
        let mut client = controller(stack);
        let request = start(1, version, Vec::new());
        let started = client.definitions.start_migration(request).await.unwrap().into_inner();
        let id = started.migration.unwrap().migration_id;
        let mut now = migration(&client, &id).await;
        while now.state() != proto::MigrationState::Finished {
            migrate_cases(&stack.pool, Profile::Demo, 50, || false).await.unwrap();
            now = migration(&client, &id).await;
        }
        assert!(now.moved > 0 && now.kept > 0, "{now:?}");
        self.take_over(stack, "procedure_migrations", "migration_id", &id).await;
        (id, version)
    }

    /// Gives what waits for its acceptance the first version of its procedure, as if it had been filed earlier.
    pub(crate) async fn filed_by_the_first_version(&self, stack: &Stack) {
        let mut superuser = stack.database.connect_as_superuser().await.unwrap();
        let changed = sqlx::query(
            "UPDATE cases SET procedure_version = 1 WHERE responsible_unit_id = $1 AND procedure_code = $2 AND state = 1",
        )
        .bind(self.unit_id)
        .bind(BIRTH)
        .execute(&mut superuser)
        .await
        .unwrap();
        assert!(changed.rows_affected() > 0);
    }

    /// What fills fields, by their names. Of ids those of this side.
    pub(crate) fn known(&self, filed: &Filed, handled: &Handled) -> Known {
        let date = |day: i32| json!({"year": 2026, "month": 11, "day": day});
        let other = if self.unit_id == OURS.unit_id {
            &NEIGHBOUR
        } else {
            &OURS
        };
        let cases = [&filed.decided, &filed.working, &filed.scanned, &filed.charged];
        Known(BTreeMap::from([
            ("case_id", cases.map(|case| json!(case.case_id)).to_vec()),
            ("linked_case_id", vec![json!(filed.linked_case_id)]),
            ("task_id", vec![json!(handled.task_id)]),
            ("draft_id", vec![json!(handled.draft_id)]),
            ("migration_id", vec![json!(handled.migration_id)]),
            ("report_id", vec![json!(filed.report_id)]),
            ("group_id", vec![json!(filed.group_id)]),
            (
                "file_id",
                vec![json!(handled.result_file_id), json!(handled.treasury_file_id)],
            ),
            ("upload_id", vec![json!(filed.upload_id)]),
            ("case_code", vec![json!(filed.first_code())]),
            ("lookup_secret", vec![json!(filed.first.lookup_secret)]),
            ("unit_id", vec![json!(self.unit_id), json!(other.unit_id)]),
            ("unit_code", vec![json!(self.unit_code), json!(other.unit_code)]),
            ("procedure_code", vec![json!(BIRTH), json!(DECIDED)]),
            ("sector_code", vec![json!("ho_tich")]),
            ("level", vec![json!("commune")]),
            ("path", vec![json!("fees")]),
            ("version", vec![json!(1)]),
            ("to_version", vec![json!(handled.version)]),
            ("step", vec![json!("tham_tra")]),
            ("role", vec![json!("officer"), json!("one_stop_clerk")]),
            ("assignee_id", vec![json!(self.official)]),
            ("steps", vec![json!({"from": "tham_tra", "to": "tham_tra"})]),
            // No version here has outcomes: what is refused says nothing of rows either.
            (
                "outcomes",
                vec![json!({"step": "tham_tra", "from": "đạt", "to": "đạt"})],
            ),
            ("notices", vec![json!({"name": "2026-b.toml", "text": NOTICE})]),
            (
                "statistics",
                vec![json!({"dimension": 1, "from": date(23), "to": date(23)})],
            ),
            ("format", vec![json!(1)]),
            ("year", vec![json!(2026)]),
            ("month", vec![json!(10)]),
            ("offset", vec![json!(1)]),
            ("length", vec![json!(20)]),
            // The last is the code that the neighbour's first case will have.
            (
                "query",
                [
                    "nguyen",
                    "Nguyễn Thị ",
                    "huong nguyen t",
                    "tran v",
                    "h",
                    "0912345678",
                    "040190000123",
                    "H41",
                    "H41.202-261123-0001",
                ]
                .map(|query| json!(query))
                .to_vec(),
            ),
            ("google.type.Date", vec![date(23), date(30)]),
            // By then also what is due by the later version is at risk.
            ("as_of", vec![date(30), json!({"year": 2026, "month": 12, "day": 10})]),
            ("google.protobuf.Timestamp", vec![json!("2026-11-23T00:00:00Z")]),
        ]))
    }

    /// Changes everything that is not a case.
    pub(crate) async fn change(&self, stack: &Stack) {
        let mut superuser = tampering(stack).await;
        for change in CHANGES {
            let changed = sqlx::query(change)
                .bind(self.unit_id)
                .execute(&mut superuser)
                .await
                .unwrap();
            assert!(changed.rows_affected() > 0, "{change}");
        }
        // Folded by now, or not yet: what waits comes first, since it may become a sum in between.
        let mut figures = 0;
        for table in ["statistic_changes", "statistic_sums"] {
            let change =
                format!("UPDATE {table} SET amount = amount + 5 WHERE responsible_unit_id = $1 AND day < '2026-11-01'");
            let changed = sqlx::query(AssertSqlSafe(change))
                .bind(self.unit_id)
                .execute(&mut superuser)
                .await
                .unwrap();
            figures += changed.rows_affected();
        }
        assert!(figures > 0);
    }

    /// Changes its cases: other names, times and states.
    pub(crate) async fn change_cases(&self, stack: &Stack) {
        let mut superuser = stack.database.connect_as_superuser().await.unwrap();
        let changed = sqlx::query(
            "UPDATE cases SET owner = jsonb_set(owner, '{full_name}', '\"Trần Thị Hường\"'), submit_time = submit_time - interval '3 days',
                              due_date = '2026-11-23', state = 5
             WHERE responsible_unit_id = $1",
        )
        .bind(self.unit_id)
        .execute(&mut superuser)
        .await
        .unwrap();
        assert_eq!(changed.rows_affected(), 6);
    }

    /// Takes away all that the unit and its citizen have, table after table. Panics with the tables that have rows of ours and had none of this
    /// side: of them nothing was shown.
    pub(crate) async fn delete(&self, stack: &Stack) {
        let mut superuser = tampering(stack).await;
        let columns: Vec<(String, String)> = sqlx::query_as(
            "SELECT c.relname::text, a.attname::text
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
               AND a.attname IN ('draft_id', 'case_id', 'responsible_unit_id', 'owner_id')",
        )
        .fetch_all(&mut superuser)
        .await
        .unwrap();
        let (unit, citizen) = (self.unit_id, self.citizen);
        let mut deleted = BTreeSet::new();
        // What belongs to something goes before what it belongs to.
        for (column, of, belongs_to) in [
            (
                "draft_id",
                format!("IN (SELECT draft_id FROM procedure_drafts WHERE responsible_unit_id = {unit})"),
                "procedure_drafts",
            ),
            (
                "case_id",
                format!("IN (SELECT case_id FROM cases WHERE responsible_unit_id = {unit})"),
                "cases",
            ),
            ("responsible_unit_id", format!("= {unit}"), ""),
            ("owner_id", format!("= '{citizen}'"), ""),
        ] {
            let tables = columns.iter().filter(|(_, name)| name == column);
            for (table, _) in tables.filter(|(table, _)| table != belongs_to) {
                let statement = format!("DELETE FROM {table} WHERE {column} {of}");
                let gone = sqlx::query(AssertSqlSafe(statement))
                    .execute(&mut superuser)
                    .await
                    .unwrap();
                if gone.rows_affected() > 0 {
                    deleted.insert(table.as_str());
                }
            }
        }
        let mut untouched = Vec::new();
        for (table, _) in columns.iter().filter(|(_, name)| name == "responsible_unit_id") {
            let statement = format!(
                "SELECT EXISTS (SELECT 1 FROM {table} WHERE responsible_unit_id = {})",
                OURS.unit_id
            );
            let ours: bool = sqlx::query_scalar(AssertSqlSafe(statement))
                .fetch_one(&mut superuser)
                .await
                .unwrap();
            // What waits to be folded is there for a moment only.
            if ours && !deleted.contains(table.as_str()) && table != "statistic_changes" {
                untouched.push(table.as_str());
            }
        }
        assert!(untouched.is_empty(), "the neighbour has no rows in {untouched:?}");
        for table in [
            "cases",
            "case_tokens",
            "case_tasks",
            "uploads",
            "linked_cases",
            "procedure_draft_changes",
        ] {
            assert!(deleted.contains(table), "{table}: {deleted:?}");
        }
    }
}
