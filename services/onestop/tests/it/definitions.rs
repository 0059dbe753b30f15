//! Definitions of procedures: written as drafts, checked, published and never changed, tried on past cases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import::{Outcome, import};
use egov_onestop::staffing::{HeldAt, Holders};
use egov_proto::egov::onestop::v1::{
    CreateDraftRequest, DiscardDraftRequest, Draft, DraftChange, DraftState, FindingSeverity, GetDraftRequest,
    GetProcedureRequest, LintDraftRequest, LintDraftResponse, ListDraftChangesRequest, ListDraftsRequest, Procedure,
    PublishDraftRequest, PublishDraftResponse, SimulateRequest, SimulateResponse, UpdateDraftRequest,
};
use egov_proto::google::r#type::Date;
use jiff::SignedDuration;
use tonic::{Code, Status};

use crate::support::*;

/// A definition with everything that one may have.
pub(crate) const SOUND: &str = include_str!("../data/definition.toml");
/// Its procedure.
pub(crate) const CODE: &str = "9.000001";
/// Đăng ký khai sinh.
pub(crate) const BIRTH: &str = "1.001193";

/// The controller of procedures of the province.
pub(crate) fn controller(stack: &Stack) -> Client {
    stack.staff("procedure_controller", PROVINCE)
}

pub(crate) async fn create(client: &Client, code: &str, definition: &str) -> Result<Draft, Status> {
    let request = CreateDraftRequest {
        request_id: request_id(),
        procedure_code: code.to_owned(),
        definition: definition.to_owned(),
        ..Default::default()
    };
    let answer = client.clone().definitions.create_draft(request).await?;
    Ok(answer.into_inner().draft.unwrap())
}

pub(crate) async fn update(client: &Client, draft: &Draft, definition: &str) -> Result<Draft, Status> {
    let request = UpdateDraftRequest {
        request_id: request_id(),
        draft_id: draft.draft_id.clone(),
        etag: draft.etag.clone(),
        definition: definition.to_owned(),
        note: "sửa".to_owned(),
    };
    let answer = client.clone().definitions.update_draft(request).await?;
    Ok(answer.into_inner().draft.unwrap())
}

pub(crate) fn publication(draft: &Draft) -> PublishDraftRequest {
    PublishDraftRequest {
        request_id: request_id(),
        draft_id: draft.draft_id.clone(),
        etag: draft.etag.clone(),
        legal_basis: "Quyết định số 1/QĐ-UBND".to_owned(),
        accept_unknown_holders_reason: String::new(),
    }
}

pub(crate) async fn publish(client: &Client, draft: &Draft) -> Result<PublishDraftResponse, Status> {
    let answer = client.clone().definitions.publish_draft(publication(draft)).await?;
    Ok(answer.into_inner())
}

/// Publishes a text as the next version.
pub(crate) async fn published(stack: &Stack, code: &str, definition: &str) -> Procedure {
    let client = controller(stack);
    let draft = create(&client, code, definition).await.unwrap();
    publish(&client, &draft).await.unwrap().procedure.unwrap()
}

async fn linted(client: &Client, draft: &Draft) -> LintDraftResponse {
    let request = LintDraftRequest {
        draft_id: draft.draft_id.clone(),
    };
    client
        .clone()
        .definitions
        .lint_draft(request)
        .await
        .unwrap()
        .into_inner()
}

pub(crate) async fn procedure(stack: &Stack, code: &str) -> Result<Procedure, Status> {
    let request = GetProcedureRequest {
        procedure_code: code.to_owned(),
        on: None,
    };
    let answer = stack.public().procedures.get_procedure(request).await?;
    Ok(answer.into_inner().procedure.unwrap())
}

async fn count(stack: &Stack, query: &str) -> i64 {
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
        .fetch_one(&mut sql)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_draft_is_written_checked_published_and_never_changed_again() {
    let stack = Stack::start().await;
    let client = controller(&stack);
    let draft = create(&client, CODE, "code = ").await.unwrap();
    assert_eq!((draft.version, draft.state()), (1, DraftState::Open));
    let unread = linted(&client, &draft).await;
    assert!(!unread.publishable);
    assert_eq!(
        (unread.findings[0].kind.as_str(), unread.findings[0].path.as_str()),
        ("malformed", "line 1")
    );

    let draft = update(&client, &draft, SOUND).await.unwrap();
    let checked = linted(&client, &draft).await;
    assert_eq!(checked.etag, draft.etag);
    assert!(checked.publishable, "{:?}", checked.findings);
    assert_eq!(checked.findings, []);

    let request = publication(&draft);
    let answer = client
        .clone()
        .definitions
        .publish_draft(request.clone())
        .await
        .unwrap()
        .into_inner();
    let version = answer.procedure.clone().unwrap();
    assert_eq!(
        (version.version, answer.draft.as_ref().unwrap().published_version),
        (1, 1)
    );
    assert_eq!(procedure(&stack, CODE).await.unwrap(), version);
    let step = version.steps.iter().find(|step| step.code == "tham_tra").unwrap();
    let next: Vec<(&str, &str)> = step
        .next
        .iter()
        .map(|to| (to.to.as_str(), to.condition_code.as_str()))
        .collect();
    assert_eq!(next, [("xac_minh", "phuc_tap"), ("trinh_ky", "")]);
    assert_eq!(
        (version.eligibility.len(), version.fee_rows.len(), version.forms.len()),
        (1, 2, 1)
    );
    assert_eq!(version.forms[0].title, "Tờ khai cấp bản sao giấy khai sinh");
    assert_eq!(version.components[0].ways[1].accepts, ["e_form"]);
    assert_eq!(version.components[1].reuse_valid_days, 365);

    // The same request again gives the same answer; another one finds the draft closed, whatever it wants.
    let again = client
        .clone()
        .definitions
        .publish_draft(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, answer);
    let closed = answer.draft.unwrap();
    let discard = DiscardDraftRequest {
        request_id: request_id(),
        draft_id: closed.draft_id.clone(),
        etag: closed.etag.clone(),
        note: String::new(),
    };
    for refused in [
        publish(&client, &closed).await.map(|_| ()),
        update(&client, &closed, SOUND).await.map(|_| ()),
        client.clone().definitions.discard_draft(discard).await.map(|_| ()),
    ] {
        let status = refused.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, "DRAFT_CLOSED")
        );
    }
    // Whoever tries, row-level security or not.
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    let changed = sqlx::query("UPDATE procedures SET name = 'x' WHERE procedure_code = $1")
        .bind(CODE)
        .execute(&mut stack.database.connect_as_app().await.unwrap())
        .await;
    assert!(changed.is_err(), "a version never changes");
    let changed = sqlx::query("UPDATE procedure_draft_changes SET note = 'x'")
        .execute(&mut sql)
        .await;
    assert!(changed.is_err(), "nor does its history");

    // History, events and leaves: one a change.
    let request = ListDraftChangesRequest {
        draft_id: closed.draft_id.clone(),
        page_size: 2,
        ..Default::default()
    };
    let first = client
        .clone()
        .definitions
        .list_draft_changes(request.clone())
        .await
        .unwrap()
        .into_inner();
    let rest = ListDraftChangesRequest {
        page_token: first.next_page_token.clone(),
        ..request
    };
    let rest = client
        .clone()
        .definitions
        .list_draft_changes(rest)
        .await
        .unwrap()
        .into_inner();
    let operations: Vec<&str> = first
        .changes
        .iter()
        .chain(&rest.changes)
        .map(|change| change.operation.as_str())
        .collect();
    assert_eq!(operations, ["create", "update", "publish"]);
    assert_ne!(first.changes[0].definition_sha256, first.changes[1].definition_sha256);
    assert_eq!(first.changes[1].definition_sha256, rest.changes[0].definition_sha256);
    assert_eq!(
        count(
            &stack,
            "SELECT count(*) FROM egov.leaves WHERE kind = 'procedure_draft'"
        )
        .await,
        3
    );
    let rebuilt = egov_onestop::operations::rebuild_leaves::rebuild_leaves(&stack.pool)
        .await
        .unwrap();
    assert_eq!(rebuilt.iter().filter(|one| one.kind == "procedure_draft").count(), 3);
}

#[tokio::test]
async fn a_draft_that_cannot_work_is_refused_with_every_finding_and_nothing_changes() {
    let stack = Stack::start().await;
    let client = controller(&stack);
    let faulty = SOUND
        .replacen("role = \"unit_leader\"", "role = \"chu_tich\"", 1)
        .replacen("value = 3\nunit = \"working_day\"", "value = 1\nunit = \"tuần\"", 1)
        .replacen(
            "[{ to = \"xac_minh\", when = \"phuc_tap\" }, { to = \"trinh_ky\" }]",
            "[{ to = \"trinh_ky\" }]",
            1,
        );
    let draft = create(&client, CODE, &faulty).await.unwrap();
    let status = publish(&client, &draft).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "DRAFT_NOT_PUBLISHABLE")
    );
    let fault = egov_fault::fault_of(&status);
    let named: Vec<(&str, &str)> = fault
        .violations()
        .iter()
        .map(|violation| (violation.field.as_str(), violation.rule.as_str()))
        .collect();
    for expected in [
        ("channels.counter.time", "time_unit_unknown"),
        ("steps.ky.role", "role_unknown"),
        ("steps.xac_minh", "step_unreachable"),
    ] {
        assert!(named.contains(&expected), "{expected:?} in {named:?}");
    }
    assert_eq!(procedure(&stack, CODE).await.unwrap_err().code(), Code::NotFound);
    let request = GetDraftRequest {
        draft_id: draft.draft_id.clone(),
    };
    let kept = client
        .clone()
        .definitions
        .get_draft(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(kept.draft.unwrap(), draft);
}

/// Everybody holds every role at Trường Vinh, and somebody at the province signs for nobody else.
struct OnlyTruongVinh;

#[async_trait]
impl Holders for OnlyTruongVinh {
    async fn held(&self, roles: &BTreeSet<String>, token: &str) -> BTreeMap<String, HeldAt> {
        assert!(!token.is_empty(), "the caller's own token goes along");
        let everywhere = |units: &[i32]| HeldAt {
            seen: vec![(PROVINCE, true)],
            units: units.iter().copied().collect(),
        };
        roles
            .iter()
            .map(|role| {
                let held = match role.as_str() {
                    "unit_leader" => everywhere(&[TRUONG_VINH]),
                    "officer" => everywhere(&[PROVINCE]),
                    _ => everywhere(&[TRUONG_VINH, THANH_VINH]),
                };
                (role.clone(), held)
            })
            .collect()
    }
}

#[tokio::test]
async fn a_role_that_nobody_holds_at_a_competent_unit_keeps_a_draft_from_being_published() {
    let stack = Stack::with_holders(Arc::new(OnlyTruongVinh)).await;
    let client = controller(&stack);
    let draft = create(&client, CODE, SOUND).await.unwrap();
    let found = linted(&client, &draft).await.findings;
    // The officer of the province reaches every unit below; the leader of one commune does not reach the other.
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].kind.as_str(), found[0].path.as_str()),
        ("role_not_held", "steps.ky.role")
    );
    let text = found[0].text.clone().unwrap();
    assert!(
        text.vi.contains("Phường Thành Vinh (16681)") && !text.vi.contains("Trường Vinh"),
        "{text:?}"
    );
    assert_eq!(found[0].severity(), FindingSeverity::Error);
    // That nobody holds it is known: nobody accepts that, whatever reason is given.
    let accepting = PublishDraftRequest {
        accept_unknown_holders_reason: "sẽ bổ nhiệm sau".to_owned(),
        ..publication(&draft)
    };
    for request in [publication(&draft), accepting] {
        let status = client.clone().definitions.publish_draft(request).await.unwrap_err();
        assert_eq!(reason(&status), "DRAFT_NOT_PUBLISHABLE");
    }
    assert_eq!(procedure(&stack, CODE).await.unwrap_err().code(), Code::NotFound);
}

/// Identity that is away, or tells nothing to this caller, until it is back; then every role is held everywhere.
struct AwayUntilBack(AtomicBool);

#[async_trait]
impl Holders for AwayUntilBack {
    async fn held(&self, roles: &BTreeSet<String>, _token: &str) -> BTreeMap<String, HeldAt> {
        if !self.0.load(Ordering::Relaxed) {
            return BTreeMap::new();
        }
        let everywhere = HeldAt {
            seen: vec![(PROVINCE, true)],
            units: BTreeSet::from([PROVINCE, TRUONG_VINH, THANH_VINH]),
        };
        roles.iter().map(|role| (role.clone(), everywhere.clone())).collect()
    }
}

/// The last change of a draft, and the bytes to which its leaf commits.
async fn last_change(stack: &Stack, client: &Client, draft: &Draft) -> (DraftChange, String) {
    let request = ListDraftChangesRequest {
        draft_id: draft.draft_id.clone(),
        ..Default::default()
    };
    let changes = client.clone().definitions.list_draft_changes(request).await.unwrap();
    let last = changes.into_inner().changes.pop().unwrap();
    let rebuilt = egov_onestop::operations::rebuild_leaves::rebuild_leaves(&stack.pool)
        .await
        .unwrap();
    let leaf = rebuilt
        .into_iter()
        .find(|leaf| leaf.resource.to_string() == draft.draft_id && leaf.version == last.version)
        .unwrap();
    (last, String::from_utf8(leaf.canonical).unwrap())
}

#[tokio::test]
async fn where_nobody_knows_who_holds_a_role_nothing_is_published_unless_that_is_accepted_expressly() {
    let identity = Arc::new(AwayUntilBack(AtomicBool::new(false)));
    let holders: Arc<dyn Holders> = Arc::clone(&identity) as Arc<dyn Holders>;
    let stack = Stack::with_holders(holders).await;
    let client = controller(&stack);
    let draft = create(&client, CODE, SOUND).await.unwrap();
    let found = linted(&client, &draft).await;
    assert!(!found.publishable, "{:?}", found.findings);
    assert!(
        found
            .findings
            .iter()
            .all(|finding| finding.kind == "holders_unknown" && finding.severity() == FindingSeverity::Error),
        "{:?}",
        found.findings
    );
    // Neither silence nor blanks accept it, and nothing changes.
    let accepting = |draft: &Draft, reason: &str| PublishDraftRequest {
        accept_unknown_holders_reason: reason.to_owned(),
        ..publication(draft)
    };
    for request in [publication(&draft), accepting(&draft, " \u{a0} ")] {
        let status = client.clone().definitions.publish_draft(request).await.unwrap_err();
        assert_eq!(reason(&status), "DRAFT_NOT_PUBLISHABLE");
        let fault = egov_fault::fault_of(&status);
        let named = |path: &str| {
            let of =
                |violation: &&egov_fault::Violation| violation.field == path && violation.rule == "holders_unknown";
            fault.violations().iter().filter(of).count()
        };
        assert_eq!(
            (named("steps.ky.role"), named("steps.tham_tra.role")),
            (1, 1),
            "{fault:?}"
        );
    }
    assert_eq!(procedure(&stack, CODE).await.unwrap_err().code(), Code::NotFound);
    // The reason accepts what is unknown, and nothing that is wrong besides.
    let wrong = SOUND.replacen("role = \"unit_leader\"", "role = \"chu_tich\"", 1);
    let faulty = update(&client, &draft, &wrong).await.unwrap();
    let request = accepting(&faulty, "định danh đang bảo trì");
    let status = client.clone().definitions.publish_draft(request).await.unwrap_err();
    assert_eq!(reason(&status), "DRAFT_NOT_PUBLISHABLE");
    // Said expressly, it is published; the reason stands in the history and in what the leaf commits to.
    let draft = update(&client, &faulty, SOUND).await.unwrap();
    let request = accepting(&draft, " định danh đang bảo trì đến 30/11 ");
    let answer = client
        .clone()
        .definitions
        .publish_draft(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert!(
        !answer.warnings.is_empty() && answer.warnings.iter().all(|finding| finding.kind == "holders_unknown"),
        "{:?}",
        answer.warnings
    );
    assert_eq!(answer.procedure.clone().unwrap().version, 1);
    let again = client.clone().definitions.publish_draft(request).await.unwrap();
    assert_eq!(again.into_inner(), answer, "the same request again");
    let (change, bytes) = last_change(&stack, &client, &draft).await;
    assert_eq!(
        (change.operation.as_str(), change.accept_unknown_holders_reason.as_str()),
        ("publish", "định danh đang bảo trì đến 30/11")
    );
    assert!(
        bytes.contains("\"accepted_unknown_holders\":\"định danh đang bảo trì đến 30/11\""),
        "{bytes}"
    );
    // Where everything is known the reason is not needed, and not kept: it would say that something was unknown.
    identity.0.store(true, Ordering::Relaxed);
    let draft = create(&client, CODE, SOUND).await.unwrap();
    let request = accepting(&draft, "phòng xa");
    let answer = client.clone().definitions.publish_draft(request).await.unwrap();
    assert_eq!(answer.into_inner().warnings, []);
    let (change, bytes) = last_change(&stack, &client, &draft).await;
    assert_eq!(
        (change.operation.as_str(), change.accept_unknown_holders_reason.as_str()),
        ("publish", "")
    );
    assert!(!bytes.contains("accepted_unknown_holders"), "{bytes}");
}

#[tokio::test]
async fn a_draft_follows_the_latest_version_and_cases_keep_theirs() {
    let stack = Stack::start().await;
    let running = processing(&stack).await;
    assert_eq!(running.procedure_version, 1);
    let client = controller(&stack);
    // Without a text it begins with that of the latest version.
    let draft = create(&client, BIRTH, "").await.unwrap();
    assert_eq!(draft.base_version, 1);
    assert!(draft.definition.contains("code = \"1.001193\""), "{}", draft.definition);
    let today = draft
        .definition
        .replace("effective_from = \"2026-07-20\"", "effective_from = \"2026-11-23\"");
    let status = publish(&client, &draft).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "effective_from");
    let draft = update(&client, &draft, &today).await.unwrap();
    let version = publish(&client, &draft).await.unwrap().procedure.unwrap();
    assert_eq!(version.version, 2);

    let new = processing(&stack).await;
    assert_eq!(new.procedure_version, 2);
    let reader = stack.staff("case_reader", TRUONG_VINH);
    assert_eq!(get(&reader, &running.case_id).await.unwrap().procedure_version, 1);
    let decided = approve(&stack, &running).await;
    assert_eq!(decided.procedure_version, 1, "to the end");
}

#[tokio::test]
async fn of_two_who_write_at_once_one_is_told_and_a_definition_of_another_procedure_is_refused() {
    let stack = Stack::start().await;
    let client = controller(&stack);
    let draft = create(&client, CODE, SOUND).await.unwrap();
    let (one, two) = tokio::join!(update(&client, &draft, SOUND), update(&client, &draft, "x = 1"));
    let refused = [one, two].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(refused.len(), 1, "one of them wins");
    assert_eq!(
        (refused[0].code(), reason(&refused[0]).as_str()),
        (Code::Aborted, "STALE_ETAG")
    );
    let status = create(&client, BIRTH, SOUND).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "definition");
    let status = create(&client, "9.999999", "").await.unwrap_err();
    assert_eq!(reason(&status), "PROCEDURE_NOT_FOUND");
}

#[tokio::test]
async fn drafts_are_the_provinces_and_nobody_elses() {
    let stack = Stack::start().await;
    let client = controller(&stack);
    let draft = create(&client, CODE, SOUND).await.unwrap();
    let request = ListDraftsRequest::default();
    let listed = client
        .clone()
        .definitions
        .list_drafts(request.clone())
        .await
        .unwrap()
        .into_inner()
        .drafts;
    assert_eq!(listed.len(), 1);
    assert!(listed[0].definition.is_empty(), "a list has no texts");

    let commune = stack.staff("procedure_controller", TRUONG_VINH);
    let status = create(&commune, CODE, SOUND).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
    assert_eq!(
        commune
            .clone()
            .definitions
            .list_drafts(request.clone())
            .await
            .unwrap()
            .into_inner()
            .drafts,
        []
    );
    let get = GetDraftRequest {
        draft_id: draft.draft_id.clone(),
    };
    let lint = LintDraftRequest {
        draft_id: draft.draft_id.clone(),
    };
    let changes = ListDraftChangesRequest {
        draft_id: draft.draft_id.clone(),
        ..Default::default()
    };
    let simulate = SimulateRequest {
        draft_id: draft.draft_id.clone(),
        ..Default::default()
    };
    let discard = DiscardDraftRequest {
        request_id: request_id(),
        draft_id: draft.draft_id.clone(),
        etag: draft.etag.clone(),
        note: String::new(),
    };
    let mut definitions = commune.clone().definitions;
    for refused in [
        definitions.get_draft(get.clone()).await.map(|_| ()),
        definitions.lint_draft(lint).await.map(|_| ()),
        definitions.list_draft_changes(changes).await.map(|_| ()),
        definitions.simulate(simulate).await.map(|_| ()),
        definitions.discard_draft(discard).await.map(|_| ()),
        update(&commune, &draft, SOUND).await.map(|_| ()),
        publish(&commune, &draft).await.map(|_| ()),
    ] {
        let status = refused.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "DRAFT_NOT_FOUND")
        );
    }
    for role in ["one_stop_clerk", "officer", "unit_leader", "case_reader"] {
        let status = stack
            .staff(role, PROVINCE)
            .definitions
            .get_draft(get.clone())
            .await
            .unwrap_err();
        assert_eq!(reason(&status), "PERMISSION_MISSING", "{role}");
    }
    // The second wall: without a scope the rows are not there, even for the owner of the tables.
    let mut owner = stack.database.connect_as_owner().await.unwrap();
    for table in ["procedure_drafts", "procedure_draft_changes"] {
        let query = format!("SELECT count(*) FROM {table}");
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut owner)
            .await
            .unwrap();
        assert_eq!(seen, 0, "{table}");
    }
}

#[tokio::test]
async fn drafts_are_listed_page_by_page_and_by_state() {
    let stack = Stack::start().await;
    let client = controller(&stack);
    let mut drafts = Vec::new();
    for _ in 0..3 {
        drafts.push(create(&client, CODE, SOUND).await.unwrap().draft_id);
        stack.advance(SignedDuration::from_secs(1)).await;
    }
    drafts.reverse();
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListDraftsRequest {
            page_size: 2,
            page_token,
            procedure_code: CODE.to_owned(),
            ..Default::default()
        };
        let page = client
            .clone()
            .definitions
            .list_drafts(request)
            .await
            .unwrap()
            .into_inner();
        seen.extend(page.drafts.into_iter().map(|draft| draft.draft_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, drafts);
    let published = ListDraftsRequest {
        state: DraftState::Published.into(),
        ..Default::default()
    };
    assert_eq!(
        client
            .clone()
            .definitions
            .list_drafts(published)
            .await
            .unwrap()
            .into_inner()
            .drafts,
        []
    );
}

async fn simulated(client: &Client, draft: &Draft) -> SimulateResponse {
    let request = SimulateRequest {
        draft_id: draft.draft_id.clone(),
        filed_from: Some(Date {
            year: 2026,
            month: 11,
            day: 23,
        }),
        ..Default::default()
    };
    client.clone().definitions.simulate(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn past_cases_are_replayed_under_a_draft_with_times_fees_and_who_would_have_handled_them() {
    let stack = Stack::start().await;
    published(&stack, CODE, SOUND).await;
    let filed = crate::eforms::submit(&stack, &["ho_ngheo", "da_cu_tru"]).await.unwrap();
    let dear = crate::eforms::submit(&stack, &["phuc_tap", "da_cu_tru"]).await.unwrap();
    let accepted = accept(&stack, &filed).await.case.unwrap();
    // Decided four working days later: too late for 3 days, not for 5.
    let assigned = assign(&stack, &accepted).await;
    stack.advance(SignedDuration::from_hours(24 * 8)).await;
    approve(&stack, &assigned).await;

    let client = controller(&stack);
    let slower = SOUND
        .replace(
            "value = 3\nunit = \"working_day\"\nfact",
            "value = 10\nunit = \"working_day\"\nfact",
        )
        .replacen("amount_vnd = 4000", "amount_vnd = 6000", 1)
        .replacen(
            "role = \"officer\"\nstate = 4\ntime = { value = 3, unit = \"working_hour\" }",
            "role = \"unit_leader\"\nstate = 4\ntime = { value = 3, unit = \"working_hour\" }",
            1,
        )
        .replacen(
            "when = { applicant = \"organisation\", all = [\"chua_cu_tru\"] }",
            "when = { all = [\"phuc_tap\"] }",
            1,
        );
    let draft = create(&client, CODE, &slower).await.unwrap();
    let answer = simulated(&client, &draft).await;
    assert_eq!(answer.cases.len(), 2);
    let one = answer.cases.iter().find(|case| case.case_id == filed.case_id).unwrap();
    let other = answer.cases.iter().find(|case| case.case_id == dear.case_id).unwrap();
    assert_eq!((one.late, one.draft_late), (true, false));
    assert_eq!(one.due_date, accepted.deadline.as_ref().unwrap().due_date);
    assert_ne!(one.draft_due_date, one.due_date);
    assert_eq!(
        (one.fees.as_ref().unwrap().units, one.draft_fees.as_ref().unwrap().units),
        (0, 0),
        "exempt"
    );
    assert_eq!(
        (
            other.fees.as_ref().unwrap().units,
            other.draft_fees.as_ref().unwrap().units
        ),
        (4000, 6000)
    );
    assert_eq!((other.due_date, other.draft_due_date), (None, None), "never accepted");
    assert_eq!(
        (one.not_eligible_row.as_str(), other.not_eligible_row.as_str()),
        ("", "to_chuc_chua_cu_tru")
    );
    let role = |handlers: &[egov_proto::egov::onestop::v1::StepHandler], step: &str| {
        handlers
            .iter()
            .find(|handler| handler.step == step)
            .map(|handler| handler.role.clone())
    };
    assert_eq!(role(&one.handlers, "trinh_ky").as_deref(), Some("officer"));
    assert_eq!(role(&one.draft_handlers, "trinh_ky").as_deref(), Some("unit_leader"));
    assert_eq!(
        (role(&one.draft_handlers, "xac_minh"), one.responsible_unit_id),
        (None, TRUONG_VINH)
    );
    assert_eq!(role(&other.draft_handlers, "xac_minh").as_deref(), Some("officer"));
    let summary = answer.summary.unwrap();
    assert_eq!((summary.cases, summary.due_later, summary.due_earlier), (2, 1, 0));
    assert_eq!((summary.late, summary.draft_late, summary.not_filed), (1, 0, 1));
    assert_eq!(summary.draft_fees.unwrap().units, 6000);
    // It names nobody.
    let shown = format!("{:?}", answer.cases);
    assert!(!shown.contains("Hường") && !shown.contains("040190000123"), "{shown}");

    let unreadable = create(&client, CODE, "code = ").await.unwrap();
    let request = SimulateRequest {
        draft_id: unreadable.draft_id,
        ..Default::default()
    };
    let status = client.clone().definitions.simulate(request).await.unwrap_err();
    assert_eq!(reason(&status), "DRAFT_NOT_READABLE");
}

#[tokio::test]
async fn a_simulation_comes_page_by_page_the_newest_first() {
    let stack = Stack::start().await;
    let client = controller(&stack);
    let mut filed = Vec::new();
    for _ in 0..3 {
        filed.push(submit(&stack).await.case.unwrap().case_id);
        stack.advance(SignedDuration::from_secs(1)).await;
    }
    filed.reverse();
    let draft = create(&client, BIRTH, "").await.unwrap();
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = SimulateRequest {
            draft_id: draft.draft_id.clone(),
            page_size: 2,
            page_token,
            ..Default::default()
        };
        let page = client.clone().definitions.simulate(request).await.unwrap().into_inner();
        seen.extend(page.cases.into_iter().map(|case| case.case_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, filed);
    let tomorrow = SimulateRequest {
        draft_id: draft.draft_id,
        filed_from: Some(Date {
            year: 2026,
            month: 11,
            day: 24,
        }),
        ..Default::default()
    };
    let answer = client
        .clone()
        .definitions
        .simulate(tomorrow)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.cases.len(), answer.summary.unwrap().cases), (0, 0));
}

#[tokio::test]
async fn an_import_refuses_a_pack_that_cannot_work_and_says_where() {
    let stack = Stack::start().await;
    let mut given = packs();
    given.procedures.clear();
    given.catalogue.clear();
    let stuck = SOUND.replacen("{ to = \"xac_minh\", when = \"phuc_tap\" }, ", "", 1);
    given.procedures.insert("9.000001.toml".to_owned(), stuck);
    given
        .procedures
        .insert("9.000002.toml".to_owned(), SOUND.replacen("9.000001", "9.000002", 1));
    let report = import(&stack.pool, &given, Profile::Demo, |_| {}).await.unwrap();
    let line = |name: &str| report.iter().find(|line| line.name == name).unwrap();
    assert_eq!(line("9.000001.toml").outcome, Outcome::Refused);
    assert!(
        line("9.000001.toml").detail.contains("steps.xac_minh: no way leads"),
        "{report:?}"
    );
    assert_eq!(line("9.000002.toml").outcome, Outcome::Imported);
    assert_eq!(procedure(&stack, "9.000002").await.unwrap().version, 1);
}
