//! Thành phần hồ sơ: the checklist, digitisation at reception, the store and what is used of it again, papers asked for in vain.

use std::collections::BTreeMap;

use egov_onestop::operations::rebuild_leaves::rebuild_leaves;
use egov_onestop::operations::rebuild_statistics::rebuild_statistics;
use egov_onestop::{Round, follow_units};
use egov_proto::egov::onestop::v1::{
    AvoidablePaper, Case, CaseState, ChecklistItem, ComparedWith, ComponentState, ConfirmComponentsRequest,
    ConfirmComponentsResponse, ConfirmedComponent, GetFileRequest, ListAvoidablePapersRequest, ListCaseHistoryRequest,
    ListChecklistRequest, ListOwnHistoryRequest, ListStoredPapersRequest, PaperValidity, RequestSupplementRequest,
    ReturnResultRequest, ReuseStoredPaperRequest, ReuseStoredPaperResponse, SetComponentStateRequest,
    SetComponentStateResponse, SetPaperValidityRequest, StoredPaper, StoredPaperKind, SubmitCaseRequest,
    SupplementItem, SupplyComponentsRequest, WithdrawCaseRequest,
};
use jiff::SignedDuration;
use prost::Message as _;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::generated::verified;
use crate::support::*;

/// Giấy chứng sinh: the definition lets data replace it.
pub(crate) const BIRTH_NOTICE: &str = "giay_chung_sinh";
/// The e-form: nothing stands in its place.
const FORM: &str = "mau_dien_tu";

async fn checklist(client: &Client, case: &Case) -> Result<BTreeMap<String, ChecklistItem>, Status> {
    let request = ListChecklistRequest {
        case_id: case.case_id.clone(),
    };
    let answer = client.clone().components.list_checklist(request).await?.into_inner();
    Ok(answer
        .items
        .into_iter()
        .map(|item| (item.component_code.clone(), item))
        .collect())
}

fn confirmation(case: &Case, code: &str, file_ids: Vec<String>) -> ConfirmComponentsRequest {
    ConfirmComponentsRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        components: vec![ConfirmedComponent {
            component_code: code.to_owned(),
            compared_with: ComparedWith::Original.into(),
            file_ids,
            valid_until: None,
            note: "Đã so với bản chính của bà Hường".to_owned(),
        }],
    }
}

async fn confirm(client: &Client, request: ConfirmComponentsRequest) -> Result<ConfirmComponentsResponse, Status> {
    Ok(client
        .clone()
        .components
        .confirm_components(request)
        .await?
        .into_inner())
}

/// Scans a component at the counter and confirms it.
async fn digitise(stack: &Stack, case: &Case, code: &str) -> Case {
    digitise_by(&stack.staff("one_stop_clerk", TRUONG_VINH), case, code).await
}

/// The same, by this clerk.
pub(crate) async fn digitise_by(clerk: &Client, case: &Case, code: &str) -> Case {
    let scan = upload(clerk, PDF).await;
    let confirmed = confirm(clerk, confirmation(case, code, vec![scan])).await.unwrap();
    confirmed.case.unwrap()
}

fn said(case: &Case, code: &str, state: ComponentState, register: &str) -> SetComponentStateRequest {
    SetComponentStateRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        component_code: code.to_owned(),
        state: state.into(),
        reason: "Không đọc được".to_owned(),
        register_code: register.to_owned(),
        owner_date_of_birth: None,
    }
}

async fn say(client: &Client, request: SetComponentStateRequest) -> Result<SetComponentStateResponse, Status> {
    Ok(client
        .clone()
        .components
        .set_component_state(request)
        .await?
        .into_inner())
}

/// Says that a paper is needed which a register, and perhaps the store, could have answered.
async fn ask_for(stack: &Stack, case: &Case, code: &str) -> Case {
    ask_for_by(&stack.staff("officer", TRUONG_VINH), case, code).await
}

/// The same, by this officer.
pub(crate) async fn ask_for_by(officer: &Client, case: &Case, code: &str) -> Case {
    let request = said(case, code, ComponentState::Needed, "");
    say(officer, request).await.unwrap().case.unwrap()
}

pub(crate) async fn papers(client: &Client, case_id: &str) -> Result<Vec<StoredPaper>, Status> {
    let request = ListStoredPapersRequest {
        case_id: case_id.to_owned(),
        ..Default::default()
    };
    Ok(client
        .clone()
        .components
        .list_stored_papers(request)
        .await?
        .into_inner()
        .papers)
}

pub(crate) fn reuse_of(case: &Case, code: &str, paper: &StoredPaper) -> ReuseStoredPaperRequest {
    ReuseStoredPaperRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        component_code: code.to_owned(),
        paper_id: paper.paper_id.clone(),
    }
}

pub(crate) async fn reuse(
    client: &Client,
    request: ReuseStoredPaperRequest,
) -> Result<ReuseStoredPaperResponse, Status> {
    Ok(client
        .clone()
        .components
        .reuse_stored_paper(request)
        .await?
        .into_inner())
}

/// A birth registration without the notice, which a witness replaces, at the unit with this code.
fn with_a_witness(unit_code: &str, personal_number: &str) -> SubmitCaseRequest {
    let mut request = SubmitCaseRequest {
        competent_unit_code: unit_code.to_owned(),
        components: [FORM, "van_ban_lam_chung"].map(component).to_vec(),
        ..birth_registration()
    };
    if let Some(owner) = &mut request.owner {
        personal_number.clone_into(&mut owner.personal_number);
    }
    request
}

async fn file(stack: &Stack, account: Uuid, request: SubmitCaseRequest) -> Case {
    let answer = stack.portal(account).cases.submit_case(request).await.unwrap();
    answer.into_inner().case.unwrap()
}

pub(crate) async fn supplement(client: &Client, case: &Case, codes: &[&str]) -> Case {
    let items = codes.iter().map(|code| SupplementItem {
        component_code: (*code).to_owned(),
        instruction: "Nộp bản rõ hơn".to_owned(),
    });
    let request = RequestSupplementRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        items: items.collect(),
        reason: "Bản chụp mờ".to_owned(),
        legal_basis: "Điều 1".to_owned(),
        stage: "Thẩm tra".to_owned(),
    };
    let answer = client.clone().cases.request_supplement(request).await.unwrap();
    answer.into_inner().case.unwrap()
}

pub(crate) async fn return_result(stack: &Stack, case: &Case) -> Case {
    let request = ReturnResultRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        channel: 1,
        ..Default::default()
    };
    let mut clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let answer = clerk.cases.return_result(request).await.unwrap();
    answer.into_inner().case.unwrap()
}

async fn number(stack: &Stack, what: &'static str) -> i64 {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(what).fetch_one(&mut superuser).await.unwrap()
}

/// What the figures say of components: all, digitised, reused.
async fn counted(stack: &Stack) -> (i64, i64, i64) {
    let of = |measure: i16| async move {
        let mut superuser = stack.database.connect_as_superuser().await.unwrap();
        sqlx::query_scalar::<_, i64>(
            "SELECT coalesce(sum(amount), 0)::bigint FROM statistic_changes WHERE measure = $1",
        )
        .bind(measure)
        .fetch_one(&mut superuser)
        .await
        .unwrap()
    };
    (of(20_i16).await, of(21_i16).await, of(22_i16).await)
}

#[tokio::test]
async fn a_component_is_scanned_at_reception_confirmed_and_counts_as_digitised() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let before = checklist(&clerk, &case).await.unwrap();
    assert_eq!(before[BIRTH_NOTICE].state(), ComponentState::ToBeChecked);
    assert_eq!(before["van_ban_lam_chung"].state(), ComponentState::NotApplicable);
    assert!(before[BIRTH_NOTICE].required && before[BIRTH_NOTICE].reusable && !before[BIRTH_NOTICE].digitised);
    assert_eq!(before[BIRTH_NOTICE].registers[0].code, "birth_notice");

    let scan = upload(&clerk, PDF).await;
    let request = confirmation(&case, BIRTH_NOTICE, vec![scan.clone()]);
    let answer = confirm(&clerk, request.clone()).await.unwrap();
    assert_eq!(
        confirm(&clerk, request).await.unwrap(),
        answer,
        "the same request, the same answer"
    );
    let item = answer
        .items
        .iter()
        .find(|item| item.component_code == BIRTH_NOTICE)
        .unwrap();
    assert_eq!(item.state(), ComponentState::Confirmed);
    assert_eq!(item.file_ids, std::slice::from_ref(&scan));
    let check = item.check.as_ref().unwrap();
    assert_eq!(check.compared_with(), ComparedWith::Original);
    assert!(!check.officer_id.is_empty() && check.time.is_some());
    let confirmed = answer.case.unwrap();
    assert_ne!(confirmed.etag, case.etag);
    assert_eq!(
        counted(&stack).await,
        (0, 0, 0),
        "nothing counts before the case is taken in"
    );

    accept(&stack, &confirmed).await;
    assert_eq!(counted(&stack).await, (2, 1, 0));
    for (what, expected) in [
        ("SELECT count(*) FROM component_checks", 1),
        (
            "SELECT count(*) FROM case_history WHERE operation = 'confirm_components' AND from_state = to_state",
            1,
        ),
        (
            "SELECT (SELECT count(*) FROM egov.outbox WHERE kind = 'case_components_confirmed')
                  + (SELECT count(*) FROM egov.event_log WHERE kind = 'case_components_confirmed')",
            1,
        ),
        (
            "SELECT count(*) FROM egov.leaves WHERE kind = 'case' AND version = 2",
            1,
        ),
        // The scan is the case's, and what may be used again is in the store.
        ("SELECT count(*) FROM files WHERE case_id IS NOT NULL", 1),
        ("SELECT count(*) FROM stored_papers WHERE kind = 'component'", 1),
    ] {
        assert_eq!(number(&stack, what).await, expected, "{what}");
    }
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn figures_of_digitised_and_reused_components_are_those_of_the_histories_whenever_it_happens() {
    let stack = Stack::start().await;
    // Scanned after the acceptance, and again; a paper is reused before, another after.
    let first = digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    accept(&stack, &first).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    for before_acceptance in [true, false] {
        let mut case = file(&stack, citizen(), with_a_witness("16690", "040190000123")).await;
        if !before_acceptance {
            case = accept(&stack, &case).await.case.unwrap();
        }
        let paper = papers(&clerk, &case.case_id).await.unwrap().remove(0);
        case = reuse(&clerk, reuse_of(&case, BIRTH_NOTICE, &paper))
            .await
            .unwrap()
            .case
            .unwrap();
        if before_acceptance {
            case = accept(&stack, &case).await.case.unwrap();
        }
        let once = digitise(&stack, &case, FORM).await;
        digitise(&stack, &once, FORM).await;
    }
    // Three filings of two; one, then one scan and one reused paper each.
    assert_eq!(counted(&stack).await, (2 + 3 + 3, 1 + 2 + 2, 2));
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
    rebuild_statistics(&stack.pool, |_| {}).await.unwrap();
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn a_confirmation_is_refused_with_everything_that_is_wrong_and_nothing_changes() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let both = |first: &str, second: &str| {
        let mut request = confirmation(&case, first, Vec::new());
        request.components.push(ConfirmedComponent {
            component_code: second.to_owned(),
            compared_with: ComparedWith::Copy.into(),
            ..Default::default()
        });
        request
    };
    let status = confirm(&clerk, both(BIRTH_NOTICE, "giay_cam_doan")).await.unwrap_err();
    assert_eq!(reason(&status), "COMPONENT_NOT_FILED");
    assert_eq!(
        egov_fault::fault_of(&status).metadata()["components"],
        "giay_chung_sinh, giay_cam_doan"
    );
    let status = confirm(&clerk, both("la_lung", BIRTH_NOTICE)).await.unwrap_err();
    assert_eq!(reason(&status), "COMPONENT_UNKNOWN");
    let status = confirm(&clerk, both(BIRTH_NOTICE, BIRTH_NOTICE)).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_FIELD");
    // Somebody else's upload is nobody's scan.
    let foreign = upload(&stack.staff("one_stop_clerk", THANH_VINH), PDF).await;
    let status = confirm(&clerk, confirmation(&case, BIRTH_NOTICE, vec![foreign]))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "FILE_NOT_USABLE");
    let mut unspecified = confirmation(&case, BIRTH_NOTICE, Vec::new());
    unspecified.components[0].compared_with = 0;
    assert_eq!(
        reason(&confirm(&clerk, unspecified).await.unwrap_err()),
        "INVALID_FIELD"
    );
    let blank = SetComponentStateRequest {
        reason: "  ".to_owned(),
        ..said(&case, BIRTH_NOTICE, ComponentState::NotApplicable, "")
    };
    let status = say(&clerk, blank).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "reason");
    for (state, register) in [
        (ComponentState::ReplacedByData, ""),
        (ComponentState::Needed, "population"),
    ] {
        let status = say(&clerk, said(&case, BIRTH_NOTICE, state, register))
            .await
            .unwrap_err();
        assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "register_code");
    }
    let status = say(&clerk, said(&case, FORM, ComponentState::ReplacedByData, "population"))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "COMPONENT_NOT_REUSABLE");
    let status = say(
        &clerk,
        said(&case, BIRTH_NOTICE, ComponentState::ReplacedByData, "land"),
    )
    .await
    .unwrap_err();
    assert_eq!(reason(&status), "REGISTER_UNKNOWN");
    assert_eq!(get(&clerk, &case.case_id).await.unwrap().etag, case.etag);
    assert_eq!(number(&stack, "SELECT count(*) FROM component_checks").await, 0);

    let after = digitise(&stack, &case, BIRTH_NOTICE).await;
    let stale = confirmation(&case, BIRTH_NOTICE, Vec::new());
    assert_eq!(reason(&confirm(&clerk, stale).await.unwrap_err()), "STALE_ETAG");
    let withdraw = WithdrawCaseRequest {
        request_id: request_id(),
        case_id: after.case_id.clone(),
        etag: after.etag.clone(),
        reason: "Rút".to_owned(),
        ..Default::default()
    };
    let ended = clerk.clone().cases.withdraw_case(withdraw).await.unwrap().into_inner();
    let ended = ended.case.unwrap();
    let status = confirm(&clerk, confirmation(&ended, BIRTH_NOTICE, Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_OPEN");
}

#[tokio::test]
async fn who_may_check_and_who_may_not_and_a_neighbour_knows_of_nothing() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let reader = stack.staff("case_reader", TRUONG_VINH);
    assert!(checklist(&reader, &case).await.is_ok());
    let status = confirm(&reader, confirmation(&case, FORM, Vec::new()))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let status = say(&reader, said(&case, FORM, ComponentState::Needed, ""))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    assert_eq!(
        papers(&reader, &case.case_id).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let neighbour = stack.staff("one_stop_clerk", THANH_VINH);
    for status in [
        checklist(&neighbour, &case).await.unwrap_err(),
        confirm(&neighbour, confirmation(&case, FORM, Vec::new()))
            .await
            .unwrap_err(),
        say(&neighbour, said(&case, FORM, ComponentState::Needed, ""))
            .await
            .unwrap_err(),
        papers(&neighbour, &case.case_id).await.unwrap_err(),
    ] {
        assert_eq!(reason(&status), "CASE_NOT_FOUND");
    }
    let stranger = stack.portal(Uuid::from_u128(0xC2));
    assert_eq!(
        reason(&checklist(&stranger, &case).await.unwrap_err()),
        "CASE_NOT_FOUND"
    );
    let own = stack.portal(citizen());
    let status = confirm(&own, confirmation(&case, FORM, Vec::new())).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let nobody = stack.client(Some(stack.portal_token(citizen())), None);
    assert_eq!(reason(&checklist(&nobody, &case).await.unwrap_err()), "PURPOSE_MISSING");
}

#[tokio::test]
async fn an_applicant_reads_the_own_checklist_without_officials_and_their_words_and_the_reading_is_recorded() {
    let stack = Stack::start().await;
    let case = digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let own = stack.portal(citizen());
    let items = checklist(&own, &case).await.unwrap();
    let check = items[BIRTH_NOTICE].check.clone().unwrap();
    assert_eq!(check.state(), ComponentState::Confirmed);
    assert_eq!((check.officer_id.as_str(), check.reason.as_str()), ("", ""));
    let recorded = "SELECT count(*) FROM egov.read_records WHERE method LIKE '%/ListChecklist' AND purpose = 'own_case'
                    AND '00000000-0000-0000-0000-0000000000c1'::uuid = ANY (subjects)";
    assert_eq!(number(&stack, recorded).await, 1);
    // What the office checks is the inside of the office.
    let history = ListOwnHistoryRequest {
        case_id: case.case_id.clone(),
        ..Default::default()
    };
    let own_history = own.clone().work.list_own_history(history).await.unwrap().into_inner();
    assert_eq!(own_history.entries.len(), 1, "{own_history:?}");
    let history = ListCaseHistoryRequest {
        case_id: case.case_id.clone(),
        ..Default::default()
    };
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let whole = clerk
        .clone()
        .cases
        .list_case_history(history)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(whole.entries[1].operation, "confirm_components");
    let said = serde_json::to_string(&format!("{whole:?}")).unwrap();
    assert!(
        !said.contains("bà Hường"),
        "a note of an official is no part of the history"
    );
}

#[tokio::test]
async fn a_paper_that_one_unit_confirmed_is_used_by_another_and_only_then_read_there() {
    let stack = Stack::start().await;
    digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let case = file(&stack, Uuid::from_u128(0xC7), with_a_witness("16681", "040190000123")).await;
    let officer = stack.staff("officer", THANH_VINH);
    let found = papers(&officer, &case.case_id).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    let paper = &found[0];
    assert_eq!(
        (paper.kind(), paper.type_code.as_str()),
        (StoredPaperKind::Component, BIRTH_NOTICE)
    );
    assert_eq!((paper.validity(), paper.unit_id), (PaperValidity::Valid, TRUONG_VINH));
    assert_eq!(paper.stands_for, [BIRTH_NOTICE]);
    let look = GetFileRequest {
        file_id: paper.file_ids[0].clone(),
    };
    let status = officer.clone().files.get_file(look.clone()).await.unwrap_err();
    assert_eq!(
        reason(&status),
        "FILE_NOT_FOUND",
        "the store is not open to whoever has a case of the person"
    );

    let request = reuse_of(&case, BIRTH_NOTICE, paper);
    let answer = reuse(&officer, request.clone()).await.unwrap();
    assert_eq!(reuse(&officer, request).await.unwrap(), answer);
    let item = answer
        .items
        .iter()
        .find(|item| item.component_code == BIRTH_NOTICE)
        .unwrap();
    assert_eq!(item.state(), ComponentState::ReplacedByData);
    assert!(
        item.source.contains("Giấy chứng sinh") && item.source.contains(&paper.case_code),
        "{}",
        item.source
    );
    assert_eq!(item.file_ids, paper.file_ids);
    let read = officer.clone().files.get_file(look.clone()).await.unwrap().into_inner();
    assert_eq!(read.file.unwrap().file_id, look.file_id);
    // Whose paper it is gets to know who read it.
    let recorded = "SELECT count(*) FROM egov.read_records WHERE method LIKE '%/GetFile'
                    AND '00000000-0000-0000-0000-0000000000c1'::uuid = ANY (subjects)";
    assert_eq!(number(&stack, recorded).await, 1);
    let recorded = "SELECT count(*) FROM egov.read_records WHERE method LIKE '%/ListStoredPapers'
                    AND '00000000-0000-0000-0000-0000000000c1'::uuid = ANY (subjects)";
    assert_eq!(number(&stack, recorded).await, 1);
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn a_stored_paper_is_refused_for_another_person_another_component_and_when_it_no_longer_holds() {
    let stack = Stack::start().await;
    digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let officer = stack.staff("officer", TRUONG_VINH);
    let case = file(&stack, citizen(), with_a_witness("16690", "040190000123")).await;
    let paper = papers(&clerk, &case.case_id).await.unwrap().remove(0);

    // Another person: not listed; at the own unit refused, elsewhere unknown.
    let others = file(&stack, Uuid::from_u128(0xC8), with_a_witness("16690", "040190000999")).await;
    assert_eq!(papers(&clerk, &others.case_id).await.unwrap(), []);
    let status = reuse(&clerk, reuse_of(&others, BIRTH_NOTICE, &paper))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PAPER_OF_ANOTHER_PERSON");
    let elsewhere = file(&stack, Uuid::from_u128(0xC9), with_a_witness("16681", "040190000999")).await;
    let neighbour = stack.staff("officer", THANH_VINH);
    let status = reuse(&neighbour, reuse_of(&elsewhere, BIRTH_NOTICE, &paper))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PAPER_NOT_FOUND");
    let stranger = stack.portal(Uuid::from_u128(0xC8));
    let status = reuse(&stranger, reuse_of(&others, BIRTH_NOTICE, &paper))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PAPER_NOT_FOUND");

    for (code, expected) in [
        (FORM, "COMPONENT_NOT_REUSABLE"),
        ("giay_to_tuy_than", "PAPER_FOR_OTHER_COMPONENT"),
        ("la_lung", "COMPONENT_UNKNOWN"),
    ] {
        let status = reuse(&clerk, reuse_of(&case, code, &paper)).await.unwrap_err();
        assert_eq!(reason(&status), expected);
    }

    // It ends today: it holds today, and not tomorrow.
    let ends = SetPaperValidityRequest {
        request_id: request_id(),
        paper_id: paper.paper_id.clone(),
        etag: paper.etag.clone(),
        valid_until: Some(jiff::civil::date(2026, 11, 23).into()),
        reason: "Hết giá trị sử dụng theo giấy".to_owned(),
        ..Default::default()
    };
    let changed = officer.clone().components.set_paper_validity(ends).await.unwrap();
    let changed = changed.into_inner().paper.unwrap();
    assert_eq!(changed.validity(), PaperValidity::Valid);
    stack.advance(SignedDuration::from_hours(24)).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let officer = stack.staff("officer", TRUONG_VINH);
    let status = reuse(&clerk, reuse_of(&case, BIRTH_NOTICE, &paper)).await.unwrap_err();
    assert_eq!(reason(&status), "PAPER_NOT_VALID");
    assert_eq!(egov_fault::fault_of(&status).metadata()["validity"], "expired");
    assert_eq!(
        papers(&clerk, &case.case_id).await.unwrap()[0].validity(),
        PaperValidity::Expired
    );

    let replaced = SetPaperValidityRequest {
        request_id: request_id(),
        paper_id: paper.paper_id.clone(),
        etag: changed.etag,
        replaced: true,
        reason: "Cải chính".to_owned(),
        ..Default::default()
    };
    officer.clone().components.set_paper_validity(replaced).await.unwrap();
    let status = reuse(&clerk, reuse_of(&case, BIRTH_NOTICE, &paper)).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).metadata()["validity"], "replaced");
    assert_eq!(get(&clerk, &case.case_id).await.unwrap().etag, case.etag);
}

#[tokio::test]
async fn while_a_supplement_is_awaited_a_stored_paper_is_the_supply_also_by_the_citizen() {
    let stack = Stack::start().await;
    digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let case = file(&stack, citizen(), with_a_witness("16690", "040190000123")).await;
    let accepted = accept(&stack, &case).await.case.unwrap();
    let assigned = assign(&stack, &accepted).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let asked = supplement(&officer, &assigned, &[BIRTH_NOTICE]).await;
    assert_eq!(asked.state(), CaseState::SupplementRequested);
    let own = stack.portal(citizen());
    let paper = papers(&own, &case.case_id).await.unwrap().remove(0);
    assert_eq!(paper.validity_reason, "");
    let answer = reuse(&own, reuse_of(&asked, BIRTH_NOTICE, &paper)).await.unwrap();
    let supplied = answer.case.unwrap();
    assert_eq!(supplied.state(), CaseState::Processing);
    assert!(
        answer
            .items
            .iter()
            .all(|item| item.check.as_ref().is_none_or(|check| check.officer_id.is_empty()))
    );
    assert_eq!(
        number(
            &stack,
            "SELECT count(*) FROM case_history WHERE operation = 'supply' AND to_state = 4"
        )
        .await,
        1
    );
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn of_two_papers_that_a_supplement_asks_for_one_that_is_reused_leaves_the_other_awaited() {
    let stack = Stack::start().await;
    digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let case = file(&stack, citizen(), with_a_witness("16690", "040190000123")).await;
    let accepted = accept(&stack, &case).await.case.unwrap();
    let assigned = assign(&stack, &accepted).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let asked = supplement(&officer, &assigned, &[BIRTH_NOTICE, FORM]).await;
    let own = stack.portal(citizen());
    let paper = papers(&own, &case.case_id).await.unwrap().remove(0);
    let answer = reuse(&own, reuse_of(&asked, BIRTH_NOTICE, &paper)).await.unwrap();
    let waiting = answer.case.unwrap();
    assert_eq!(waiting.state(), CaseState::SupplementRequested);
    assert_eq!(waiting.supplement_items.len(), 2);
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);

    let supply = SupplyComponentsRequest {
        request_id: request_id(),
        case_id: waiting.case_id.clone(),
        etag: waiting.etag.clone(),
        components: vec![component(FORM)],
    };
    let supplied = own.clone().cases.supply_components(supply).await.unwrap().into_inner();
    assert_eq!(supplied.case.unwrap().state(), CaseState::Processing);
    for (what, expected) in [
        (
            "SELECT count(*) FROM case_history WHERE operation = 'reuse_paper' AND from_state = 5 AND to_state = 5",
            1,
        ),
        (
            "SELECT count(*) FROM case_history WHERE operation = 'supply' AND from_state = 5 AND to_state = 4",
            1,
        ),
    ] {
        assert_eq!(number(&stack, what).await, expected, "{what}");
    }
    // Two filings, the reused one, and the one that was supplied, each once; live and worked out again.
    assert_eq!(counted(&stack).await, (4, 1, 1));
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
    rebuild_statistics(&stack.pool, |_| {}).await.unwrap();
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn a_stored_paper_is_used_once_in_a_place_and_an_applicant_overrules_no_officer() {
    let stack = Stack::start().await;
    digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let case = file(&stack, citizen(), with_a_witness("16690", "040190000123")).await;
    let own = stack.portal(citizen());
    let paper = papers(&own, &case.case_id).await.unwrap().remove(0);
    // Until it is taken in the applicant may, once.
    let first = reuse(&own, reuse_of(&case, BIRTH_NOTICE, &paper)).await.unwrap();
    let first = first.case.unwrap();
    let status = reuse(&own, reuse_of(&first, BIRTH_NOTICE, &paper)).await.unwrap_err();
    assert_eq!(reason(&status), "COMPONENT_STANDS_ALREADY");
    assert_eq!(egov_fault::fault_of(&status).metadata()["component"], BIRTH_NOTICE);
    assert_eq!(get(&own, &case.case_id).await.unwrap().etag, first.etag);

    let accepted = accept(&stack, &first).await.case.unwrap();
    let assigned = assign(&stack, &accepted).await;
    let needed = ask_for(&stack, &assigned, BIRTH_NOTICE).await;
    let status = reuse(&own, reuse_of(&needed, BIRTH_NOTICE, &paper)).await.unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_OPEN");
    assert_eq!(egov_fault::fault_of(&status).metadata()["state"], "4");
    // The office itself may.
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let answer = reuse(&clerk, reuse_of(&needed, BIRTH_NOTICE, &paper)).await.unwrap();
    let item = answer.items.iter().find(|item| item.component_code == BIRTH_NOTICE);
    assert_eq!(item.unwrap().state(), ComponentState::ReplacedByData);
    // A register that answered is named once too.
    let register = said(
        &answer.case.unwrap(),
        BIRTH_NOTICE,
        ComponentState::ReplacedByData,
        "birth_notice",
    );
    let answer = say(&clerk, register).await.unwrap();
    let again = said(
        &answer.case.unwrap(),
        BIRTH_NOTICE,
        ComponentState::ReplacedByData,
        "birth_notice",
    );
    let status = say(&clerk, again).await.unwrap_err();
    assert_eq!(reason(&status), "COMPONENT_STANDS_ALREADY");
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn a_reused_paper_that_is_confirmed_is_not_stored_once_more() {
    let stack = Stack::start().await;
    digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = file(&stack, citizen(), with_a_witness("16690", "040190000123")).await;
    let paper = papers(&clerk, &case.case_id).await.unwrap().remove(0);
    let reused = reuse(&clerk, reuse_of(&case, BIRTH_NOTICE, &paper)).await.unwrap();
    let request = confirmation(&reused.case.unwrap(), BIRTH_NOTICE, Vec::new());
    let answer = confirm(&clerk, request).await.unwrap();
    let item = answer.items.iter().find(|item| item.component_code == BIRTH_NOTICE);
    assert_eq!(item.unwrap().state(), ComponentState::Confirmed);
    assert_eq!(number(&stack, "SELECT count(*) FROM stored_papers").await, 1);
    assert_eq!(papers(&clerk, &case.case_id).await.unwrap(), [paper]);
}

/// Trường Vinh and its centre merge into Thành Vinh, and the open cases have followed.
async fn merged(stack: &Stack) {
    let today = jiff::civil::date(2026, 11, 23);
    let closed = [(TRUONG_VINH, THANH_VINH), (COUNTER, THANH_VINH)];
    stack.reorganise(today, &closed, Vec::new()).await;
    loop {
        let clock = stack.clock.shared();
        match follow_units(&stack.pool, &stack.directory, &clock, 100, || false).await {
            Ok(Some(Round { moved: 0, .. })) => return,
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            Err(fault) => panic!("{fault:?}"),
        }
    }
}

#[tokio::test]
async fn what_a_successor_confirms_anew_replaces_what_the_unit_before_had_stored() {
    let stack = Stack::start().await;
    let case = digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    merged(&stack).await;
    let clerk = stack.staff("one_stop_clerk", THANH_VINH);
    let moved = get(&clerk, &case.case_id).await.unwrap();
    assert_eq!(moved.responsible_unit_id, THANH_VINH);
    let scan = upload(&clerk, PDF).await;
    confirm(&clerk, confirmation(&moved, BIRTH_NOTICE, vec![scan]))
        .await
        .unwrap();
    let mut found: Vec<(i32, PaperValidity)> = papers(&clerk, &case.case_id)
        .await
        .unwrap()
        .iter()
        .map(|paper| (paper.unit_id, paper.validity()))
        .collect();
    found.sort_by_key(|(unit_id, _)| *unit_id);
    assert_eq!(
        found,
        [
            (TRUONG_VINH, PaperValidity::Replaced),
            (THANH_VINH, PaperValidity::Valid)
        ]
    );
    assert_eq!(number(&stack, "SELECT count(*) FROM paper_acts").await, 3);
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn a_result_with_a_file_goes_to_the_store_of_its_owner_who_alone_lists_it() {
    let stack = Stack::start().await;
    let approved = approve(&stack, &processing(&stack).await).await;
    let own = stack.portal(citizen());
    assert_eq!(papers(&own, "").await.unwrap(), [], "issued is not delivered");
    return_result(&stack, &approved).await;
    let found = papers(&own, "").await.unwrap();
    assert_eq!(found.len(), 1);
    let paper = &found[0];
    assert_eq!(
        (paper.kind(), paper.type_code.as_str()),
        (StoredPaperKind::Result, "KQ.G15.000031")
    );
    assert_eq!(
        (paper.number.as_str(), paper.case_code.as_str()),
        ("01/2026", approved.case_code.as_str())
    );
    assert_eq!(paper.file_ids, [approved.results[0].file_id.clone()]);
    assert_eq!(paper.unit_name, "Phường Trường Vinh");
    assert_eq!(papers(&stack.portal(Uuid::from_u128(0xC2)), "").await.unwrap(), []);
    // Officials look for papers of a case, not of persons, and see no more than what may stand for one of its components.
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let status = papers(&clerk, "").await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "case_id");
    let next = submit(&stack).await.case.unwrap();
    assert_eq!(papers(&clerk, &next.case_id).await.unwrap(), []);
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn what_is_confirmed_anew_replaces_what_the_same_case_had_stored() {
    let stack = Stack::start().await;
    let once = digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let twice = digitise(&stack, &once, BIRTH_NOTICE).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let found = papers(&clerk, &twice.case_id).await.unwrap();
    let standing: Vec<PaperValidity> = found.iter().map(StoredPaper::validity).collect();
    assert_eq!(standing.len(), 2);
    assert!(
        standing.contains(&PaperValidity::Valid) && standing.contains(&PaperValidity::Replaced),
        "{standing:?}"
    );
    let valid = found
        .iter()
        .find(|paper| paper.validity() == PaperValidity::Valid)
        .unwrap();
    let replaced = found
        .iter()
        .find(|paper| paper.validity() == PaperValidity::Replaced)
        .unwrap();
    assert_eq!(replaced.replaced_by, valid.paper_id);
    // Page by page, each once.
    let mut request = ListStoredPapersRequest {
        case_id: twice.case_id.clone(),
        page_size: 1,
        ..Default::default()
    };
    let mut paged = Vec::new();
    loop {
        let page = clerk
            .clone()
            .components
            .list_stored_papers(request.clone())
            .await
            .unwrap()
            .into_inner();
        paged.extend(page.papers);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(paged, found);
}

#[tokio::test]
async fn the_validity_of_a_paper_is_the_word_of_the_unit_that_confirmed_it() {
    let stack = Stack::start().await;
    let case = digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let paper = papers(&officer, &case.case_id).await.unwrap().remove(0);
    let wanted = |valid_until, replaced, replaced_by: &str| SetPaperValidityRequest {
        request_id: request_id(),
        paper_id: paper.paper_id.clone(),
        etag: paper.etag.clone(),
        valid_until,
        replaced,
        replaced_by: replaced_by.to_owned(),
        reason: "Theo thông báo".to_owned(),
    };
    let set = |client: Client, request: SetPaperValidityRequest| async move {
        client.clone().components.set_paper_validity(request).await
    };
    let status = set(stack.staff("officer", THANH_VINH), wanted(None, true, ""))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PAPER_NOT_FOUND");
    let status = set(stack.staff("one_stop_clerk", TRUONG_VINH), wanted(None, true, ""))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let early = Some(jiff::civil::date(2026, 11, 22).into());
    let status = set(officer.clone(), wanted(early, false, "")).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "valid_until");
    let status = set(officer.clone(), wanted(None, false, &paper.paper_id))
        .await
        .unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "replaced_by");
    let status = set(officer.clone(), wanted(None, true, &paper.paper_id))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PAPER_NOT_FOUND", "nothing replaces itself");
    // Of two at once one is told.
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let (one, two) = tokio::join!(
        set(officer.clone(), wanted(None, true, "")),
        set(leader, wanted(None, true, ""))
    );
    let refused = match (one, two) {
        (Ok(_), Err(status)) | (Err(status), Ok(_)) => status,
        other => panic!("exactly one must succeed: {other:?}"),
    };
    assert_eq!(reason(&refused), "STALE_ETAG");
    let back = SetPaperValidityRequest {
        etag: papers(&officer, &case.case_id).await.unwrap()[0].etag.clone(),
        ..wanted(None, false, "")
    };
    assert_eq!(reason(&set(officer, back).await.unwrap_err()), "PAPER_NOT_VALID");
    assert_eq!(number(&stack, "SELECT count(*) FROM paper_acts").await, 2);
}

#[tokio::test]
async fn what_was_done_with_stored_papers_is_in_the_ledger_and_can_be_worked_out_again() {
    let stack = Stack::start().await;
    let once = digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    digitise(&stack, &once, BIRTH_NOTICE).await;
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let leaves: Vec<(Uuid, i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT resource_id, version, commitment, salt FROM egov.leaves JOIN egov.leaf_salts USING (leaf_id)
         WHERE kind = 'stored_paper'",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(leaves.len(), 3, "two were stored, one was replaced");
    for (resource, version, commitment, salt) in leaves {
        let again = rebuilt
            .iter()
            .find(|one| one.kind == "stored_paper" && one.resource == resource && one.version == version)
            .unwrap();
        assert_eq!(
            egov_database::leaf_commitment(&salt, &again.canonical).as_slice(),
            commitment
        );
    }
}

async fn avoidable(client: &Client, unit_id: i32) -> Result<Vec<AvoidablePaper>, Status> {
    let request = ListAvoidablePapersRequest {
        unit_id,
        ..Default::default()
    };
    Ok(client
        .clone()
        .components
        .list_avoidable_papers(request)
        .await?
        .into_inner()
        .papers)
}

fn short(rows: &[AvoidablePaper]) -> Vec<(i32, &str, &str, i64)> {
    rows.iter()
        .map(|row| {
            let register = row.register.as_ref().unwrap();
            (
                row.unit_id,
                row.component_code.as_str(),
                register.code.as_str(),
                row.count,
            )
        })
        .collect()
}

#[tokio::test]
async fn a_paper_that_a_register_could_have_answered_is_counted_with_the_missing_connection() {
    let stack = Stack::start().await;
    let officer = stack.staff("officer", TRUONG_VINH);
    // Nothing answers for the e-form; the notice is a register's to answer, not yet the store's.
    let first = processing(&stack).await;
    supplement(&officer, &first, &[BIRTH_NOTICE, FORM, BIRTH_NOTICE]).await;
    let rows = avoidable(&officer, 0).await.unwrap();
    assert_eq!(short(&rows), [(TRUONG_VINH, BIRTH_NOTICE, "birth_notice", 1)]);
    let register = rows[0].register.as_ref().unwrap();
    assert_eq!(register.connection, "Liên thông giấy chứng sinh, giấy báo tử điện tử");
    assert!(!register.connected);
    assert_eq!(rows[0].unit_name, "Phường Trường Vinh");
    let basis = register.basis.as_ref().unwrap();
    assert_eq!(
        basis.status,
        i32::from(egov_proto::egov::types::v1::FactStatus::Unconfirmed)
    );

    // Once the store holds it, asking for it is the office's own fault; a word on the checklist counts as a letter does.
    digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let second = file(&stack, citizen(), with_a_witness("16690", "040190000123")).await;
    let request = said(&second, BIRTH_NOTICE, ComponentState::Needed, "");
    say(&officer, request.clone()).await.unwrap();
    say(&officer, request).await.unwrap();
    let rows = avoidable(&officer, TRUONG_VINH).await.unwrap();
    let expected = [
        (TRUONG_VINH, BIRTH_NOTICE, "birth_notice", 2),
        (TRUONG_VINH, BIRTH_NOTICE, "citizen_store", 1),
    ];
    assert_eq!(short(&rows), expected);
    // Somebody else's paper answers nothing.
    let other = file(&stack, Uuid::from_u128(0xC8), with_a_witness("16690", "040190000999")).await;
    say(&officer, said(&other, BIRTH_NOTICE, ComponentState::Needed, ""))
        .await
        .unwrap();
    let rows = avoidable(&officer, 0).await.unwrap();
    assert_eq!(short(&rows)[1], (TRUONG_VINH, BIRTH_NOTICE, "citizen_store", 1));
    let sums =
        "SELECT count(*) FROM (SELECT responsible_unit_id, procedure_code, component_code, register_code, day, count(*)
                FROM avoidable_papers GROUP BY 1, 2, 3, 4, 5 EXCEPT SELECT * FROM avoidable_paper_sums) AS d";
    assert_eq!(number(&stack, sums).await, 0);

    // By days, by pages, and not for the neighbour.
    let by_day = |from: i8, to: i8| ListAvoidablePapersRequest {
        from: Some(jiff::civil::date(2026, 11, from).into()),
        to: Some(jiff::civil::date(2026, 11, to).into()),
        ..Default::default()
    };
    let mut client = officer.clone().components;
    assert_eq!(
        client
            .list_avoidable_papers(by_day(23, 23))
            .await
            .unwrap()
            .into_inner()
            .papers
            .len(),
        2
    );
    assert_eq!(
        client
            .list_avoidable_papers(by_day(1, 22))
            .await
            .unwrap()
            .into_inner()
            .papers,
        []
    );
    let status = client.list_avoidable_papers(by_day(23, 22)).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "to");
    let page = ListAvoidablePapersRequest {
        page_size: 1,
        ..Default::default()
    };
    let one = client.list_avoidable_papers(page.clone()).await.unwrap().into_inner();
    let next = ListAvoidablePapersRequest {
        page_token: one.next_page_token,
        ..page
    };
    let two = client.list_avoidable_papers(next).await.unwrap().into_inner();
    assert_eq!(
        (short(&one.papers)[0].2, short(&two.papers)[0].2),
        ("birth_notice", "citizen_store")
    );
    assert_eq!(two.next_page_token, "");
    let neighbour = stack.staff("officer", THANH_VINH);
    assert_eq!(avoidable(&neighbour, 0).await.unwrap(), []);
    let status = avoidable(&neighbour, TRUONG_VINH).await.unwrap_err();
    assert_eq!(reason(&status), "UNIT_NOT_IN_SCOPE");
    assert_eq!(
        avoidable(&stack.portal(citizen()), 0).await.unwrap_err().code(),
        Code::PermissionDenied
    );
}

#[tokio::test]
async fn a_paper_that_is_asked_for_again_in_a_case_is_counted_once() {
    let stack = Stack::start().await;
    let needed = ask_for(&stack, &processing(&stack).await, BIRTH_NOTICE).await;
    stack.advance(SignedDuration::from_hours(24)).await;
    let again = ask_for(&stack, &needed, BIRTH_NOTICE).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    supplement(&officer, &again, &[BIRTH_NOTICE]).await;
    let rows = avoidable(&officer, 0).await.unwrap();
    assert_eq!(short(&rows), [(TRUONG_VINH, BIRTH_NOTICE, "birth_notice", 1)]);
    for table in [
        "SELECT count(*) FROM avoidable_papers",
        "SELECT sum(amount)::bigint FROM avoidable_paper_sums",
    ] {
        assert_eq!(number(&stack, table).await, 1, "{table}");
    }
    // In another case it is another paper.
    ask_for(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let rows = avoidable(&officer, 0).await.unwrap();
    assert_eq!(short(&rows), [(TRUONG_VINH, BIRTH_NOTICE, "birth_notice", 2)]);
}

#[tokio::test]
async fn papers_that_are_asked_for_at_the_same_moment_are_all_counted() {
    let stack = Stack::start().await;
    let mut cases = Vec::new();
    for _ in 0..6 {
        cases.push(submit(&stack).await.case.unwrap());
    }
    let officer = stack.staff("officer", TRUONG_VINH);
    let asks = cases.iter().map(|case| {
        let (officer, request) = (officer.clone(), said(case, BIRTH_NOTICE, ComponentState::Needed, ""));
        tokio::spawn(async move { say(&officer, request).await })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap().unwrap();
    }
    let rows = avoidable(&officer, 0).await.unwrap();
    assert_eq!(short(&rows), [(TRUONG_VINH, BIRTH_NOTICE, "birth_notice", 6)]);
}

#[tokio::test]
async fn a_register_that_answered_stands_in_the_place_of_the_paper() {
    let stack = Stack::start().await;
    let case = file(&stack, citizen(), with_a_witness("16690", "040190000123")).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let request = said(&case, BIRTH_NOTICE, ComponentState::ReplacedByData, "birth_notice");
    let answer = say(&officer, request).await.unwrap();
    let item = answer
        .items
        .iter()
        .find(|item| item.component_code == BIRTH_NOTICE)
        .unwrap();
    assert_eq!(item.state(), ComponentState::ReplacedByData);
    assert!(item.source.starts_with("Dữ liệu giấy chứng sinh"), "{}", item.source);
    let accepted = accept(&stack, &answer.case.unwrap()).await.case.unwrap();
    assert_eq!(counted(&stack).await, (3, 0, 1));
    let assigned = assign(&stack, &accepted).await;
    let asked = supplement(&officer, &assigned, &[FORM]).await;
    assert_eq!(asked.state(), CaseState::SupplementRequested);
}

#[tokio::test]
async fn a_caller_that_hangs_up_and_asks_again_reuses_a_paper_once() {
    let stack = Stack::start().await;
    digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let case = file(&stack, citizen(), with_a_witness("16690", "040190000123")).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let paper = papers(&clerk, &case.case_id).await.unwrap().remove(0);
    let request = reuse_of(&case, BIRTH_NOTICE, &paper);
    for pause in [0, 1, 2, 4, 8, 16] {
        let (clerk, request) = (clerk.clone(), request.clone());
        let call = tokio::spawn(async move { reuse(&clerk, request).await });
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        call.abort();
    }
    let answer = reuse(&clerk, request).await.unwrap();
    assert_eq!(answer.case.unwrap().components.len(), 3);
    assert_eq!(number(&stack, "SELECT count(*) FROM paper_uses").await, 1);
    assert_eq!(
        number(
            &stack,
            "SELECT count(*) FROM component_checks WHERE state = 'replaced_by_data'"
        )
        .await,
        1
    );
}

#[tokio::test]
async fn of_two_officers_who_deal_with_a_component_at_once_one_is_told() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let (clerk, officer) = (
        stack.staff("one_stop_clerk", TRUONG_VINH),
        stack.staff("officer", TRUONG_VINH),
    );
    let scan = upload(&clerk, PDF).await;
    let (one, two) = tokio::join!(
        confirm(&clerk, confirmation(&case, BIRTH_NOTICE, vec![scan])),
        say(&officer, said(&case, BIRTH_NOTICE, ComponentState::Needed, "")),
    );
    let refused = match (one, two) {
        (Ok(_), Err(status)) | (Err(status), Ok(_)) => status,
        other => panic!("exactly one must succeed: {other:?}"),
    };
    assert_eq!(reason(&refused), "STALE_ETAG");
    assert_eq!(number(&stack, "SELECT count(*) FROM component_checks").await, 1);
}

#[tokio::test]
async fn what_was_said_and_stored_is_never_changed_behind_the_rules() {
    let stack = Stack::start().await;
    digitise(&stack, &submit(&stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let mut app = stack.database.connect_as_app().await.unwrap();
    for forbidden in [
        "UPDATE component_checks SET state = 'confirmed'",
        "DELETE FROM component_checks",
        "UPDATE stored_papers SET owner_number = '1'",
        "DELETE FROM stored_papers",
        "DELETE FROM paper_acts",
        "DELETE FROM paper_uses",
        "DELETE FROM avoidable_papers",
    ] {
        let refused = sqlx::query(forbidden).execute(&mut app).await.unwrap_err();
        let code = refused
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap_or_default();
        assert_eq!(code, "42501", "{forbidden}");
    }
}

#[tokio::test]
async fn the_verification_names_a_component_check_that_nobody_made() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query(
        "INSERT INTO component_checks VALUES ($1::uuid, 0, 1, 2, 'giay_chung_sinh', 'confirmed', 'original', '{}', '', NULL, '', NULL,
                                              gen_random_uuid(), now())",
    )
    .bind(&case.case_id)
    .execute(&mut superuser)
    .await
    .unwrap();
    let found = verified(&stack).await;
    let rules: Vec<String> = found.violated.keys().map(|rule| format!("{rule:?}")).collect();
    assert!(
        rules.contains(&"Row".to_owned()) && rules.contains(&"Leaves".to_owned()),
        "{rules:?}"
    );
}

/// What a neighbour asks of another's papers and counts, by either wall.
async fn neighbour_sees_nothing(stack: &Stack, case: &Case, paper: &StoredPaper) {
    let neighbour = stack.staff("officer", THANH_VINH);
    let other = file(stack, Uuid::from_u128(0xC9), with_a_witness("16681", "040190000999")).await;
    assert_eq!(papers(&neighbour, &other.case_id).await.unwrap(), []);
    assert_eq!(
        reason(&papers(&neighbour, &case.case_id).await.unwrap_err()),
        "CASE_NOT_FOUND"
    );
    assert_eq!(
        reason(&checklist(&neighbour, case).await.unwrap_err()),
        "CASE_NOT_FOUND"
    );
    let status = reuse(&neighbour, reuse_of(&other, BIRTH_NOTICE, paper))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PAPER_NOT_FOUND");
    let look = GetFileRequest {
        file_id: paper.file_ids[0].clone(),
    };
    let status = neighbour.clone().files.get_file(look).await.unwrap_err();
    assert_eq!(reason(&status), "FILE_NOT_FOUND");
    assert_eq!(avoidable(&neighbour, 0).await.unwrap(), []);
    assert_eq!(papers(&stack.portal(Uuid::from_u128(0xC9)), "").await.unwrap(), []);
}

async fn a_case_with_everything(stack: &Stack) -> (Case, StoredPaper) {
    let case = digitise(stack, &submit(stack).await.case.unwrap(), BIRTH_NOTICE).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let paper = papers(&officer, &case.case_id).await.unwrap().remove(0);
    let second = file(stack, citizen(), with_a_witness("16690", "040190000123")).await;
    let second = reuse(&officer, reuse_of(&second, BIRTH_NOTICE, &paper))
        .await
        .unwrap()
        .case
        .unwrap();
    say(&officer, said(&second, FORM, ComponentState::Needed, ""))
        .await
        .unwrap();
    let third = file(stack, citizen(), with_a_witness("16690", "040190000123")).await;
    say(&officer, said(&third, BIRTH_NOTICE, ComponentState::Needed, ""))
        .await
        .unwrap();
    (case, paper)
}

#[tokio::test]
async fn a_neighbour_sees_no_papers_and_no_counts() {
    let stack = Stack::start().await;
    let (case, paper) = a_case_with_everything(&stack).await;
    neighbour_sees_nothing(&stack, &case, &paper).await;
}

#[cfg(not(feature = "test-without-query-filter"))]
#[tokio::test]
async fn a_neighbour_sees_no_papers_and_no_counts_when_row_level_security_is_off() {
    use sqlx::Executor as _;

    let stack = Stack::start().await;
    let (case, paper) = a_case_with_everything(&stack).await;
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    for table in [
        "cases",
        "files",
        "component_checks",
        "stored_papers",
        "paper_acts",
        "paper_uses",
        "avoidable_papers",
        "avoidable_paper_sums",
    ] {
        superuser
            .execute(sqlx::AssertSqlSafe(format!(
                "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
            )))
            .await
            .unwrap();
    }
    neighbour_sees_nothing(&stack, &case, &paper).await;
}

#[tokio::test]
async fn an_answer_is_the_same_over_the_wire_byte_for_byte() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let officer = stack.staff("officer", TRUONG_VINH);
    let request = said(&case, BIRTH_NOTICE, ComponentState::NotApplicable, "");
    let (one, two) = tokio::join!(say(&officer, request.clone()), say(&officer, request));
    assert_eq!(one.unwrap().encode_to_vec(), two.unwrap().encode_to_vec());
    assert_eq!(number(&stack, "SELECT count(*) FROM component_checks").await, 1);
}
