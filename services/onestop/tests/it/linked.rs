//! Dịch vụ công liên thông: one application, its members as ordinary cases, what one hands to another, and what the end of one does to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::import::{Outcome, Packs, import};
use egov_onestop::{LINKED_LEASE, LinkedCoordinator};
use egov_proto::egov::onestop::v1::*;
use jiff::SignedDuration;
use sqlx::PgConnection;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::*;
use crate::work::{claim, inbox, with_roles};

pub(crate) mod killed;

const SERVICE: &str = "2.000986";

fn member(code: &str, unit: &str, components: &[&str], conditions: &[&str]) -> LinkedMemberFiling {
    LinkedMemberFiling {
        member_code: code.to_owned(),
        competent_unit_code: unit.to_owned(),
        components: components.iter().map(|code| component(code)).collect(),
        conditions: conditions.iter().map(ToString::to_string).collect(),
    }
}

/// Birth at Trường Vinh, residence at Thành Vinh with relatives, the card at Trường Vinh.
fn application() -> SubmitLinkedCaseRequest {
    SubmitLinkedCaseRequest {
        request_id: request_id(),
        service_code: SERVICE.to_owned(),
        channel: Channel::Online.into(),
        owner: Some(owner("Nguyễn Thị Hường")),
        members: vec![
            member("khai_sinh", "16690", &["mau_dien_tu", "giay_chung_sinh"], &[]),
            member("thuong_tru", "16681", &["to_khai_ct01"], &["nguoi_than"]),
            member("the_bhyt", "16690", &["to_khai"], &[]),
        ],
        subject: "Khai sinh, thường trú cho con".to_owned(),
        ..Default::default()
    }
}

async fn file(stack: &Stack, request: SubmitLinkedCaseRequest) -> Result<SubmitLinkedCaseResponse, Status> {
    let answer = stack.portal(citizen()).linked.submit_linked_case(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn filed(stack: &Stack) -> LinkedCase {
    file(stack, application()).await.unwrap().linked_case.unwrap()
}

async fn read(client: &Client, id: &str) -> Result<LinkedCase, Status> {
    let request = GetLinkedCaseRequest {
        linked_case_id: id.to_owned(),
    };
    let answer = client.clone().linked.get_linked_case(request).await;
    answer.map(|answer| answer.into_inner().linked_case.unwrap())
}

fn of<'a>(linked: &'a LinkedCase, code: &str) -> &'a LinkedMember {
    linked.members.iter().find(|member| member.member_code == code).unwrap()
}

fn states(linked: &LinkedCase) -> Vec<LinkedMemberState> {
    linked.members.iter().map(LinkedMember::state).collect()
}

/// Waits until the running coordinator has made this true.
async fn until(stack: &Stack, id: &str, wanted: impl Fn(&LinkedCase) -> bool) -> LinkedCase {
    let began = Instant::now();
    loop {
        let now = read(&stack.portal(citizen()), id).await.unwrap();
        if wanted(&now) {
            return now;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it never came: {now:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn case_of(stack: &Stack, unit: i32, case_id: &str) -> Case {
    get(&stack.staff("unit_leader", unit), case_id).await.unwrap()
}

/// Takes a case into processing.
async fn take_in(stack: &Stack, unit: i32, case_id: &str) -> Case {
    let etag = case_of(stack, unit, case_id).await.etag;
    let request = AcceptCaseRequest {
        request_id: request_id(),
        case_id: case_id.to_owned(),
        etag,
    };
    let case = stack
        .staff("one_stop_clerk", unit)
        .cases
        .accept_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    let request = AssignCaseRequest {
        request_id: request_id(),
        case_id: case_id.to_owned(),
        etag: case.etag,
        assignee_id: Uuid::from_u128(0xA1).to_string(),
        reason: String::new(),
    };
    stack
        .staff("unit_leader", unit)
        .cases
        .assign_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap()
}

/// Takes a case to its result, and hands that over.
async fn decide(stack: &Stack, unit: i32, case_id: &str, result_code: &str) -> String {
    take_in(stack, unit, case_id).await;
    issue(stack, unit, case_id, result_code).await
}

/// Issues the result of a case that is processed; gives the file.
async fn issue(stack: &Stack, unit: i32, case_id: &str, result_code: &str) -> String {
    let leader = stack.staff("unit_leader", unit);
    let file_id = upload(&leader, PDF).await;
    let request = ApproveCaseRequest {
        request_id: request_id(),
        case_id: case_id.to_owned(),
        etag: case_of(stack, unit, case_id).await.etag,
        results: vec![CaseResult {
            result_code: result_code.to_owned(),
            number: "12/2026".to_owned(),
            file_id: file_id.clone(),
            ..Default::default()
        }],
        reason: String::new(),
    };
    leader.clone().cases.approve_case(request).await.unwrap();
    file_id
}

async fn hand_out(stack: &Stack, unit: i32, case_id: &str) {
    let request = ReturnResultRequest {
        request_id: request_id(),
        case_id: case_id.to_owned(),
        etag: case_of(stack, unit, case_id).await.etag,
        channel: Channel::Counter.into(),
        ..Default::default()
    };
    stack
        .staff("one_stop_clerk", unit)
        .cases
        .return_result(request)
        .await
        .unwrap();
}

async fn reject(stack: &Stack, unit: i32, case_id: &str) {
    let request = RejectCaseRequest {
        request_id: request_id(),
        case_id: case_id.to_owned(),
        etag: case_of(stack, unit, case_id).await.etag,
        reason: "không thuộc thẩm quyền".to_owned(),
        legal_basis: "NĐ 118/2025/NĐ-CP".to_owned(),
    };
    stack
        .staff("one_stop_clerk", unit)
        .cases
        .reject_case(request)
        .await
        .unwrap();
}

async fn stop(stack: &Stack, unit: i32, case_id: &str) {
    let request = StopCaseRequest {
        request_id: request_id(),
        case_id: case_id.to_owned(),
        etag: case_of(stack, unit, case_id).await.etag,
        reason: "không đủ điều kiện".to_owned(),
        legal_basis: "Luật Hộ tịch 60/2014/QH13".to_owned(),
    };
    stack.staff("unit_leader", unit).cases.stop_case(request).await.unwrap();
}

async fn superuser(stack: &Stack) -> PgConnection {
    stack.database.connect_as_superuser().await.unwrap()
}

async fn count(stack: &Stack, what: &'static str) -> i64 {
    sqlx::query_scalar(what)
        .fetch_one(&mut superuser(stack).await)
        .await
        .unwrap()
}

/// This linked service, to be imported besides the shipped packs.
fn with_service(text: &str) -> Packs {
    Packs {
        linked: [("2.009999.toml".to_owned(), text.to_owned())].into(),
        ..Packs::default()
    }
}

/// A service of the test's: birth and residence side by side, and a marriage that waits for both, with what happens to each as `rules` say.
fn side_by_side(birth: &str, residence: &str, marriage: &str) -> String {
    let fact = "{ status = \"confirmed\", source = \"test\" }";
    let ends = |then: &str, of: &[&str]| -> String {
        let rules: Vec<String> = of
            .iter()
            .map(|of| {
                format!("{{ of = \"{of}\", rejected = \"{then}\", stopped = \"{then}\", withdrawn = \"{then}\" }}")
            })
            .collect();
        format!("[{}]", rules.join(", "))
    };
    let member = |code: &str, procedure: &str, after: &str, on_end: String| {
        format!(
            "[[members]]\ncode = \"{code}\"\nname = \"{code}\"\nname_en = \"{code}\"\nprocedure = \"{procedure}\"\nafter = {after}\nfact = {fact}\nflow_fact = {fact}\non_end = {on_end}\n"
        )
    };
    let head = format!(
        "code = \"2.009999\"\nversion = 1\nname = \"thử\"\nname_en = \"test\"\neffective_from = \"2026-01-01\"\nchannels = [\"online\"]\nfact = {fact}\neffective_fact = {fact}\nchannels_fact = {fact}\nlegal_basis = []\n[[owners]]\nowner = \"local\"\neffective_from = \"2026-01-01\"\nfact = {fact}\n"
    );
    let shared = format!(
        "[[shared]]\ncode = \"giay_chung\"\nname = \"Giấy chứng\"\nfact = {fact}\nas = [{{ member = \"khai_sinh\", component = \"giay_chung_sinh\" }}, {{ member = \"thuong_tru\", component = \"giay_to_quan_he\" }}]\n"
    );
    [
        head,
        member("khai_sinh", "1.001193", "[]", ends(birth, &["thuong_tru"])),
        member("thuong_tru", "1.004222", "[]", ends(residence, &["khai_sinh"])),
        member(
            "khai_sinh_2",
            "1.001193",
            "[\"khai_sinh\", \"thuong_tru\"]",
            ends(marriage, &["khai_sinh", "thuong_tru"]),
        ),
        shared,
    ]
    .join("\n")
}

/// An application for it, with one file that is asked once.
fn side_by_side_application(file_id: &str) -> SubmitLinkedCaseRequest {
    SubmitLinkedCaseRequest {
        service_code: "2.009999".to_owned(),
        members: vec![
            member("khai_sinh", "16690", &["mau_dien_tu"], &[]),
            member("thuong_tru", "16681", &["to_khai_ct01"], &["nguoi_than"]),
            member("khai_sinh_2", "16690", &["mau_dien_tu", "giay_chung_sinh"], &[]),
        ],
        shared_components: vec![CaseComponent {
            component_code: "giay_chung".to_owned(),
            file_ids: vec![file_id.to_owned()],
            ..Default::default()
        }],
        ..application()
    }
}

#[tokio::test]
async fn one_application_becomes_cases_in_their_order_and_hands_the_birth_certificate_over() {
    let stack = Stack::start().await;
    let answer = file(&stack, application()).await.unwrap();
    let linked = answer.linked_case.unwrap();
    assert_eq!(linked.linked_code, "LT-H41.201-261123-0001");
    assert_eq!(
        states(&linked),
        [
            LinkedMemberState::Running,
            LinkedMemberState::Waiting,
            LinkedMemberState::Waiting
        ]
    );
    assert_eq!(of(&linked, "thuong_tru").waits_for, ["khai_sinh"]);
    assert_eq!(of(&linked, "the_bhyt").waits_for, ["khai_sinh", "thuong_tru"]);
    let birth = of(&linked, "khai_sinh").case_id.clone();
    assert_eq!(answer.lookup_secrets.len(), 1);
    assert_eq!(answer.lookup_secrets[0].case_code, of(&linked, "khai_sinh").case_code);
    // The first member is a case like any other: tracked, taken in, dated.
    let tracked = TrackCaseRequest {
        case_code: answer.lookup_secrets[0].case_code.clone(),
        lookup_secret: answer.lookup_secrets[0].lookup_secret.clone(),
    };
    stack.public().cases.track_case(tracked).await.unwrap();
    let result = decide(&stack, TRUONG_VINH, &birth, "KQ.G15.000031").await;

    let linked = until(&stack, &linked.linked_case_id, |now| {
        of(now, "thuong_tru").state() == LinkedMemberState::Running
    })
    .await;
    let member = of(&linked, "khai_sinh").clone();
    assert_eq!(
        (member.state(), member.case_state()),
        (LinkedMemberState::Issued, CaseState::Completed)
    );
    assert!(member.due_date.is_some(), "each member has its own due date");
    let residence = of(&linked, "thuong_tru").case_id.clone();
    let case = case_of(&stack, THANH_VINH, &residence).await;
    let taken = case
        .components
        .iter()
        .find(|component| component.component_code == "giay_to_quan_he")
        .unwrap();
    assert_eq!(
        taken.replaced_by_data,
        format!("KQ.G15.000031 12/2026 ({})", member.case_code)
    );
    assert_eq!(
        taken.file_ids,
        std::slice::from_ref(&result),
        "the certificate itself is handed over"
    );
    assert_eq!(case.owner.unwrap().full_name, "Nguyễn Thị Hường", "asked once");

    // Who decides the residence reads the certificate, and nothing else of the birth.
    let officer = stack.staff("officer", THANH_VINH);
    let request = GetFileRequest {
        file_id: result.clone(),
    };
    officer.clone().files.get_file(request.clone()).await.unwrap();
    assert_eq!(reason(&get(&officer, &birth).await.unwrap_err()), "CASE_NOT_FOUND");
    // A unit to which nothing was handed reads neither.
    let stranger = stack.staff("officer", COUNTER);
    assert_eq!(
        stranger.clone().files.get_file(request).await.unwrap_err().code(),
        Code::NotFound
    );

    assert_eq!(
        of(&linked, "the_bhyt").state(),
        LinkedMemberState::Waiting,
        "the card waits for the residence as well"
    );
    decide(&stack, THANH_VINH, &residence, "KQ.G01.000065").await;
    let card = running(&stack, &linked.linked_case_id, "the_bhyt").await;
    let taken = handed_over(&stack, TRUONG_VINH, &card, "giay_khai_sinh").await;
    assert_eq!(taken.file_ids, std::slice::from_ref(&result));
    decide(&stack, TRUONG_VINH, &card, "KQ.G18.000047").await;
    for (unit, case_id) in [(TRUONG_VINH, &birth), (THANH_VINH, &residence), (TRUONG_VINH, &card)] {
        hand_out(&stack, unit, case_id).await;
    }
    let linked = until(&stack, &linked.linked_case_id, |now| {
        now.state() == LinkedCaseState::Finished
    })
    .await;
    assert_eq!(states(&linked), [LinkedMemberState::Returned; 3]);
    assert_eq!(
        due_dates(&linked),
        [day(2026, 11, 25), day(2026, 12, 3), day(2026, 11, 30)],
        "one, seven and four working days; 24/11 is a day off"
    );
    assert!(linked.end_time.is_some());

    // Another one, with the declaration asked once. Its residence is refused: what becomes of the card, a leader of its unit decides.
    let declaration = upload(&stack.portal(citizen()), PDF).await;
    let mut request = application();
    request.members[0].components.remove(0);
    request.members[1].components.clear();
    request.shared_components = vec![CaseComponent {
        component_code: "to_khai_lien_thong".to_owned(),
        file_ids: vec![declaration.clone()],
        ..Default::default()
    }];
    let other = file(&stack, request).await.unwrap().linked_case.unwrap();
    let id = other.linked_case_id.clone();
    let birth = of(&other, "khai_sinh").case_id.clone();
    let asked_once = handed_over(&stack, TRUONG_VINH, &birth, "mau_dien_tu").await;
    assert_eq!(asked_once.file_ids, std::slice::from_ref(&declaration));
    decide(&stack, TRUONG_VINH, &birth, "KQ.G15.000031").await;
    let residence = running(&stack, &id, "thuong_tru").await;
    let asked_once = handed_over(&stack, THANH_VINH, &residence, "to_khai_ct01").await;
    assert_eq!(asked_once.file_ids, [declaration]);
    reject(&stack, THANH_VINH, &residence).await;
    let question = |now: &LinkedCase| {
        let about = |effect: &&LinkedEffect| effect.member_code == "the_bhyt";
        now.effects.iter().find(about).cloned()
    };
    let asked = until(&stack, &id, |now| question(now).is_some()).await;
    let effect = question(&asked).unwrap();
    assert_eq!((effect.kind(), effect.open), (LinkedEffectKind::Asked, true));
    let request = DecideLinkedMemberRequest {
        request_id: request_id(),
        linked_case_id: id.clone(),
        etag: asked.etag.clone(),
        number: effect.number,
        decision: LinkedDecision::Continue.into(),
        reason: "trẻ vẫn được cấp thẻ".to_owned(),
    };
    let mut leader = stack.staff("unit_leader", TRUONG_VINH);
    leader.linked.decide_linked_member(request).await.unwrap();
    let card = running(&stack, &id, "the_bhyt").await;
    handed_over(&stack, TRUONG_VINH, &card, "giay_khai_sinh").await;
    decide(&stack, TRUONG_VINH, &card, "KQ.G18.000047").await;
    for case_id in [&birth, &card] {
        hand_out(&stack, TRUONG_VINH, case_id).await;
    }
    let over = until(&stack, &id, |now| now.state() != LinkedCaseState::Running).await;
    assert_eq!(
        (over.state(), states(&over)),
        (
            LinkedCaseState::PartlyFinished,
            vec![
                LinkedMemberState::Returned,
                LinkedMemberState::Rejected,
                LinkedMemberState::Returned
            ]
        )
    );
    assert_eq!(
        count(&stack, "SELECT count(*) FROM linked_case_submissions").await,
        0,
        "nothing personal is kept twice"
    );
    whole(&stack).await;
}

fn day(year: i32, month: i32, day: i32) -> egov_proto::google::r#type::Date {
    egov_proto::google::r#type::Date { year, month, day }
}

/// The due dates of all members, in their order.
fn due_dates(linked: &LinkedCase) -> Vec<egov_proto::google::r#type::Date> {
    linked.members.iter().map(|member| member.due_date.unwrap()).collect()
}

/// Waits until the turn of a member has come, and gives its case.
async fn running(stack: &Stack, id: &str, code: &str) -> String {
    let now = until(stack, id, |now| of(now, code).state() == LinkedMemberState::Running).await;
    of(&now, code).case_id.clone()
}

/// A component of a case that nobody filed for it alone.
async fn handed_over(stack: &Stack, unit: i32, case_id: &str, code: &str) -> CaseComponent {
    let mut components = case_of(stack, unit, case_id).await.components.into_iter();
    components.find(|one| one.component_code == code).unwrap()
}

#[tokio::test]
async fn a_death_leads_to_the_residence_and_the_funeral_allowance_side_by_side() {
    let stack = Stack::start().await;
    // Death at Trường Vinh, where the allowance is asked for; residence at Thành Vinh. The declaration is asked once.
    let of_death = async || {
        let declaration = upload(&stack.portal(citizen()), PDF).await;
        let request = SubmitLinkedCaseRequest {
            service_code: "2.002913".to_owned(),
            members: vec![
                member("khai_tu", "16690", &["giay_bao_tu"], &[]),
                member("xoa_thuong_tru", "16681", &[], &[]),
                member("mai_tang_phi", "16690", &["to_khai"], &[]),
            ],
            shared_components: vec![CaseComponent {
                component_code: "to_khai_lien_thong".to_owned(),
                file_ids: vec![declaration.clone()],
                ..Default::default()
            }],
            subject: "Khai tử, xóa thường trú, mai táng phí".to_owned(),
            ..application()
        };
        let linked = file(&stack, request).await.unwrap().linked_case.unwrap();
        (linked, declaration)
    };
    let (linked, declaration) = of_death().await;
    let id = linked.linked_case_id.clone();
    assert_eq!(
        states(&linked),
        [
            LinkedMemberState::Running,
            LinkedMemberState::Waiting,
            LinkedMemberState::Waiting
        ]
    );
    let death = of(&linked, "khai_tu").case_id.clone();
    let asked_once = handed_over(&stack, TRUONG_VINH, &death, "mau_dien_tu").await;
    assert_eq!(asked_once.file_ids, std::slice::from_ref(&declaration));
    let extract = decide(&stack, TRUONG_VINH, &death, "KQ.G15.000034").await;

    // Both begin at once, each with the extract.
    let residence = running(&stack, &id, "xoa_thuong_tru").await;
    let allowance = running(&stack, &id, "mai_tang_phi").await;
    let code = of(&linked, "khai_tu").case_code.clone();
    for (unit, case_id, component) in [
        (THANH_VINH, &residence, "giay_to_ly_do_xoa"),
        (TRUONG_VINH, &allowance, "trich_luc_khai_tu"),
    ] {
        let taken = handed_over(&stack, unit, case_id, component).await;
        assert_eq!(taken.replaced_by_data, format!("KQ.G15.000034 12/2026 ({code})"));
        assert_eq!(taken.file_ids, std::slice::from_ref(&extract));
    }
    let asked_once = handed_over(&stack, THANH_VINH, &residence, "to_khai_ct01").await;
    assert_eq!(asked_once.file_ids, [declaration]);
    decide(&stack, TRUONG_VINH, &allowance, "KQ.H41.900002").await;
    decide(&stack, THANH_VINH, &residence, "KQ.G01.000065").await;
    for (unit, case_id) in [
        (TRUONG_VINH, &death),
        (THANH_VINH, &residence),
        (TRUONG_VINH, &allowance),
    ] {
        hand_out(&stack, unit, case_id).await;
    }
    let over = until(&stack, &id, |now| now.state() == LinkedCaseState::Finished).await;
    assert_eq!(states(&over), [LinkedMemberState::Returned; 3]);
    assert_eq!(
        due_dates(&over),
        [day(2026, 11, 25), day(2026, 12, 1), day(2026, 12, 8)],
        "one, five and ten working days; 24/11 is a day off"
    );

    // Where the residence is refused the allowance goes its way.
    let (linked, _) = of_death().await;
    let id = linked.linked_case_id.clone();
    decide(&stack, TRUONG_VINH, &of(&linked, "khai_tu").case_id, "KQ.G15.000034").await;
    let residence = running(&stack, &id, "xoa_thuong_tru").await;
    let allowance = running(&stack, &id, "mai_tang_phi").await;
    reject(&stack, THANH_VINH, &residence).await;
    let told = until(&stack, &id, |now| now.effects.len() == 2).await;
    assert!(
        told.effects
            .iter()
            .all(|effect| effect.kind() == LinkedEffectKind::Continued && !effect.open)
    );
    assert_eq!(
        states(&told),
        [
            LinkedMemberState::Issued,
            LinkedMemberState::Rejected,
            LinkedMemberState::Running
        ]
    );
    decide(&stack, TRUONG_VINH, &allowance, "KQ.H41.900002").await;

    // Where the death is not registered nothing else is filed.
    let (linked, _) = of_death().await;
    reject(&stack, TRUONG_VINH, &of(&linked, "khai_tu").case_id).await;
    let ended = until(&stack, &linked.linked_case_id, |now| {
        now.state() == LinkedCaseState::Ended
    })
    .await;
    assert_eq!(
        states(&ended),
        [
            LinkedMemberState::Rejected,
            LinkedMemberState::Cancelled,
            LinkedMemberState::Cancelled
        ]
    );
    whole(&stack).await;
}

/// Everything that the ledger commits to of applications is worked out again; cases verify as ever.
async fn whole(stack: &Stack) {
    let verified =
        egov_onestop::operations::verify::verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
            .await
            .unwrap();
    assert!(verified.is_whole(), "{:#?}", verified.violations);
    let rebuilt = egov_onestop::operations::rebuild_leaves::rebuild_leaves(&stack.pool)
        .await
        .unwrap();
    let leaves: Vec<(Uuid, i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT l.resource_id, l.version, l.commitment, s.salt FROM egov.leaves AS l JOIN egov.leaf_salts AS s USING (leaf_id)
         WHERE l.kind = 'linked_case'",
    )
    .fetch_all(&mut superuser(stack).await)
    .await
    .unwrap();
    assert!(!leaves.is_empty());
    for (resource, version, commitment, salt) in &leaves {
        let one = rebuilt
            .iter()
            .find(|one| one.kind == "linked_case" && one.resource == *resource && one.version == *version)
            .unwrap();
        assert_eq!(
            egov_database::leaf_commitment(salt, &one.canonical).as_slice(),
            commitment.as_slice()
        );
    }
    let versions = count(stack, "SELECT count(*) FROM linked_case_history").await;
    assert_eq!(i64::try_from(leaves.len()).unwrap(), versions, "a leaf a version");
    let events = count(
        stack,
        "SELECT (SELECT count(*) FROM egov.outbox WHERE aggregate_kind = 'linked_case')
              + (SELECT count(*) FROM egov.event_log WHERE aggregate_kind = 'linked_case')",
    )
    .await;
    assert_eq!(events, versions, "an event a version");
}

#[tokio::test]
async fn a_birth_that_is_not_taken_in_or_stopped_takes_the_residence_along() {
    let stack = Stack::start().await;
    let refused = filed(&stack).await;
    reject(&stack, TRUONG_VINH, &of(&refused, "khai_sinh").case_id).await;
    let refused = until(&stack, &refused.linked_case_id, |now| {
        now.state() == LinkedCaseState::Ended
    })
    .await;
    assert_eq!(
        states(&refused),
        [
            LinkedMemberState::Rejected,
            LinkedMemberState::Cancelled,
            LinkedMemberState::Cancelled
        ]
    );
    let cancelled: Vec<(&str, &str, LinkedEffectKind)> = refused
        .effects
        .iter()
        .map(|effect| {
            (
                effect.cause_member_code.as_str(),
                effect.member_code.as_str(),
                effect.kind(),
            )
        })
        .collect();
    assert_eq!(
        cancelled,
        [
            ("khai_sinh", "thuong_tru", LinkedEffectKind::Cancelled),
            ("khai_sinh", "the_bhyt", LinkedEffectKind::Cancelled)
        ]
    );

    let stopped = filed(&stack).await;
    let birth = of(&stopped, "khai_sinh").case_id.clone();
    take_in(&stack, TRUONG_VINH, &birth).await;
    stop(&stack, TRUONG_VINH, &birth).await;
    let stopped = until(&stack, &stopped.linked_case_id, |now| {
        now.state() == LinkedCaseState::Ended
    })
    .await;
    assert_eq!(
        states(&stopped),
        [
            LinkedMemberState::Stopped,
            LinkedMemberState::Cancelled,
            LinkedMemberState::Cancelled
        ]
    );
    assert_eq!(
        count(&stack, "SELECT count(*) FROM cases").await,
        2,
        "no residence was ever filed"
    );
    assert_eq!(count(&stack, "SELECT count(*) FROM linked_case_submissions").await, 0);
    whole(&stack).await;
}

#[tokio::test]
async fn members_that_run_side_by_side_are_taken_back_and_what_is_asked_once_is_seen_by_both() {
    let stack = Stack::with_packs(with_service(&side_by_side("withdraw", "withdraw", "withdraw"))).await;
    let file_id = upload(&stack.portal(citizen()), PDF).await;
    let linked = file(&stack, side_by_side_application(&file_id))
        .await
        .unwrap()
        .linked_case
        .unwrap();
    assert_eq!(
        states(&linked),
        [
            LinkedMemberState::Running,
            LinkedMemberState::Running,
            LinkedMemberState::Waiting
        ]
    );
    for (unit, code, component) in [
        (TRUONG_VINH, "khai_sinh", "giay_chung_sinh"),
        (THANH_VINH, "thuong_tru", "giay_to_quan_he"),
    ] {
        let case = case_of(&stack, unit, &of(&linked, code).case_id).await;
        let shared = case
            .components
            .iter()
            .find(|filed| filed.component_code == component)
            .unwrap();
        assert_eq!(shared.file_ids, std::slice::from_ref(&file_id));
        let request = GetFileRequest {
            file_id: file_id.clone(),
        };
        stack.staff("officer", unit).files.get_file(request).await.unwrap();
    }
    let residence = of(&linked, "thuong_tru").case_id.clone();
    take_in(&stack, THANH_VINH, &residence).await;
    reject(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id).await;
    let ended = until(&stack, &linked.linked_case_id, |now| {
        now.state() == LinkedCaseState::Ended
    })
    .await;
    assert_eq!(
        states(&ended),
        [
            LinkedMemberState::Rejected,
            LinkedMemberState::Withdrawn,
            LinkedMemberState::Cancelled
        ]
    );
    // The residence was taken back by the platform, with the reason, by the ordinary act.
    let case = case_of(&stack, THANH_VINH, &residence).await;
    assert_eq!(case.state(), CaseState::Withdrawn);
    let request = ListCaseHistoryRequest {
        case_id: residence,
        ..Default::default()
    };
    let history = stack
        .staff("officer", THANH_VINH)
        .cases
        .list_case_history(request)
        .await
        .unwrap()
        .into_inner()
        .entries;
    let last = history.last().unwrap();
    assert_eq!(
        (last.operation.as_str(), last.actor_kind.as_str()),
        ("withdraw", "system")
    );
    assert!(last.reason.contains(&linked.linked_code), "{}", last.reason);
    whole(&stack).await;
}

#[tokio::test]
async fn where_the_definition_asks_an_officer_of_the_members_unit_decides_and_nobody_else() {
    let stack = Stack::with_packs(with_service(&side_by_side("withdraw", "ask", "ask"))).await;
    let file_id = upload(&stack.portal(citizen()), PDF).await;
    let linked = file(&stack, side_by_side_application(&file_id))
        .await
        .unwrap()
        .linked_case
        .unwrap();
    reject(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id).await;
    let asked = until(&stack, &linked.linked_case_id, |now| now.effects.len() == 2).await;
    assert!(
        asked
            .effects
            .iter()
            .all(|effect| effect.open && effect.kind() == LinkedEffectKind::Asked)
    );
    let number = |code: &str| {
        asked
            .effects
            .iter()
            .find(|effect| effect.member_code == code)
            .unwrap()
            .number
    };

    let decision = |number: i32, etag: &str, decision: LinkedDecision| DecideLinkedMemberRequest {
        request_id: request_id(),
        linked_case_id: linked.linked_case_id.clone(),
        etag: etag.to_owned(),
        number,
        decision: decision.into(),
        reason: "đã trao đổi với công dân".to_owned(),
    };
    let put = async |client: Client, request: DecideLinkedMemberRequest| {
        let answer = client.clone().linked.decide_linked_member(request).await;
        answer.map(|answer| answer.into_inner().linked_case.unwrap())
    };
    let to_decide = ListLinkedCasesRequest {
        to_decide: true,
        ..Default::default()
    };
    for unit in [TRUONG_VINH, THANH_VINH] {
        let found = stack
            .staff("unit_leader", unit)
            .linked
            .list_linked_cases(to_decide.clone())
            .await
            .unwrap();
        assert_eq!(found.into_inner().linked_cases.len(), 1, "unit {unit} is asked");
    }
    // The residence is Thành Vinh's question: an officer's role does not reach, the neighbour's leader neither.
    let residence = number("thuong_tru");
    let status = put(
        stack.staff("officer", THANH_VINH),
        decision(residence, &asked.etag, LinkedDecision::Continue),
    )
    .await
    .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let status = put(
        stack.staff("unit_leader", TRUONG_VINH),
        decision(residence, &asked.etag, LinkedDecision::Continue),
    )
    .await
    .unwrap_err();
    assert_eq!(reason(&status), "LINKED_QUESTION_UNKNOWN");
    let status = put(
        stack.staff("unit_leader", COUNTER),
        decision(residence, &asked.etag, LinkedDecision::Continue),
    )
    .await
    .unwrap_err();
    assert_eq!(reason(&status), "LINKED_CASE_NOT_FOUND");
    let leader = stack.staff("unit_leader", THANH_VINH);
    let status = put(
        leader.clone(),
        decision(residence, "1-000000000000", LinkedDecision::Continue),
    )
    .await
    .unwrap_err();
    assert_eq!(reason(&status), "STALE_ETAG");
    let status = put(leader.clone(), decision(99, &asked.etag, LinkedDecision::Continue))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "LINKED_QUESTION_UNKNOWN");

    // It goes on; the same request again changes nothing more; two at once: one is told that somebody was faster.
    let go_on = decision(residence, &asked.etag, LinkedDecision::Continue);
    let decided = put(leader.clone(), go_on.clone()).await.unwrap();
    assert_eq!(put(leader.clone(), go_on).await.unwrap(), decided);
    assert_eq!(of(&decided, "thuong_tru").state(), LinkedMemberState::Running);
    let status = put(
        leader.clone(),
        decision(residence, &decided.etag, LinkedDecision::Withdraw),
    )
    .await
    .unwrap_err();
    assert_eq!(reason(&status), "LINKED_QUESTION_UNKNOWN", "it has its answer");
    let (one, two) = tokio::join!(
        put(
            stack.staff("unit_leader", TRUONG_VINH),
            decision(number("khai_sinh_2"), &decided.etag, LinkedDecision::Withdraw)
        ),
        put(
            stack.staff("unit_leader", TRUONG_VINH),
            decision(number("khai_sinh_2"), &decided.etag, LinkedDecision::Withdraw)
        ),
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1, "{one:?} {two:?}");
    let now = read(&stack.portal(citizen()), &linked.linked_case_id).await.unwrap();
    assert_eq!(
        states(&now),
        [
            LinkedMemberState::Rejected,
            LinkedMemberState::Running,
            LinkedMemberState::Cancelled
        ]
    );
    whole(&stack).await;
}

#[tokio::test]
async fn a_result_that_was_issued_is_not_taken_back_and_an_officer_says_what_is_done() {
    let stack = Stack::with_packs(with_service(&side_by_side("withdraw", "withdraw", "withdraw"))).await;
    let file_id = upload(&stack.portal(citizen()), PDF).await;
    let linked = file(&stack, side_by_side_application(&file_id))
        .await
        .unwrap()
        .linked_case
        .unwrap();
    let (birth, residence) = (
        of(&linked, "khai_sinh").case_id.clone(),
        of(&linked, "thuong_tru").case_id.clone(),
    );
    decide(&stack, TRUONG_VINH, &birth, "KQ.G15.000031").await;
    reject(&stack, THANH_VINH, &residence).await;
    let told = until(&stack, &linked.linked_case_id, |now| now.effects.len() == 2).await;
    let effect = told
        .effects
        .iter()
        .find(|effect| effect.member_code == "khai_sinh")
        .unwrap();
    assert_eq!((effect.kind(), effect.open), (LinkedEffectKind::UndoImpossible, true));
    assert_eq!(
        case_of(&stack, TRUONG_VINH, &birth).await.state(),
        CaseState::Completed,
        "it stands"
    );
    let decision = |decision: LinkedDecision| DecideLinkedMemberRequest {
        request_id: request_id(),
        linked_case_id: linked.linked_case_id.clone(),
        etag: told.etag.clone(),
        number: effect.number,
        decision: decision.into(),
        reason: "Giấy khai sinh giữ nguyên hiệu lực".to_owned(),
    };
    let mut leader = stack.staff("unit_leader", TRUONG_VINH);
    let status = leader
        .linked
        .decide_linked_member(decision(LinkedDecision::Withdraw))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "LINKED_UNDO_IMPOSSIBLE");
    let answer = leader
        .linked
        .decide_linked_member(decision(LinkedDecision::Continue))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        answer.linked_case.unwrap().state(),
        LinkedCaseState::Running,
        "the result was not handed out yet"
    );
    hand_out(&stack, TRUONG_VINH, &birth).await;
    let over = until(&stack, &linked.linked_case_id, |now| {
        now.state() != LinkedCaseState::Running
    })
    .await;
    assert_eq!(over.state(), LinkedCaseState::PartlyFinished);
    let shown = over
        .effects
        .iter()
        .find(|effect| effect.member_code == "khai_sinh")
        .unwrap();
    assert_eq!(shown.reason, "Giấy khai sinh giữ nguyên hiệu lực");
    // The neighbour sees that something was decided, not why.
    let neighbour = read(&stack.staff("officer", THANH_VINH), &linked.linked_case_id)
        .await
        .unwrap();
    assert_eq!(
        neighbour
            .effects
            .iter()
            .find(|effect| effect.member_code == "khai_sinh")
            .unwrap()
            .reason,
        ""
    );
    whole(&stack).await;
}

#[tokio::test]
async fn a_member_takes_over_no_result_that_was_revoked_before_its_turn_came() {
    let stack = Stack::start().await;
    let linked = filed(&stack).await;
    let id = linked.linked_case_id.clone();
    let birth = of(&linked, "khai_sinh").case_id.clone();
    let certificate = decide(&stack, TRUONG_VINH, &birth, "KQ.G15.000031").await;
    let residence = running(&stack, &id, "thuong_tru").await;
    let taken = handed_over(&stack, THANH_VINH, &residence, "giay_to_quan_he").await;
    assert_eq!(taken.file_ids, [certificate], "while it stands it is taken over");
    let request = RevokeResultRequest {
        request_id: request_id(),
        case_id: birth.clone(),
        etag: case_of(&stack, TRUONG_VINH, &birth).await.etag,
        result_number: 1,
        reason: "Cấp không đúng thẩm quyền".to_owned(),
        legal_basis: "Điều 2".to_owned(),
        decision_number: "12/QĐ-UBND".to_owned(),
    };
    let mut leader = stack.staff("unit_leader", TRUONG_VINH);
    leader.results.revoke_result(request).await.unwrap();
    decide(&stack, THANH_VINH, &residence, "KQ.G01.000065").await;
    // The card needs the certificate: without it the member is held for an officer, and nothing is filed.
    let held = until(&stack, &id, |now| {
        of(now, "the_bhyt").state() != LinkedMemberState::Waiting
    })
    .await;
    assert_eq!(of(&held, "the_bhyt").state(), LinkedMemberState::Held);
    let about = |effect: &&LinkedEffect| effect.member_code == "the_bhyt";
    let effect = held.effects.iter().find(about).unwrap();
    assert_eq!((effect.kind(), effect.open), (LinkedEffectKind::NotFiled, true));
    assert_eq!(
        count(&stack, "SELECT count(*) FROM cases WHERE procedure_code = '9.900001'").await,
        0
    );
    let taken = handed_over(&stack, THANH_VINH, &residence, "giay_to_quan_he").await;
    assert_eq!(taken.file_ids.len(), 1, "what was filed before stays as it was filed");
    whole(&stack).await;
}

#[tokio::test]
async fn the_applicant_takes_the_whole_application_back_and_results_stay() {
    let stack = Stack::start().await;
    let linked = filed(&stack).await;
    let withdraw = |etag: &str| WithdrawLinkedCaseRequest {
        request_id: request_id(),
        linked_case_id: linked.linked_case_id.clone(),
        etag: etag.to_owned(),
        reason: "gia đình chuyển đi nơi khác".to_owned(),
    };
    // A unit that has one of the cases takes nothing back for the others, and a stranger knows nothing of it.
    let status = stack
        .staff("unit_leader", TRUONG_VINH)
        .linked
        .withdraw_linked_case(withdraw(&linked.etag))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let status = stack
        .portal(Uuid::from_u128(0xC9))
        .linked
        .withdraw_linked_case(withdraw(&linked.etag))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "LINKED_CASE_NOT_FOUND");

    let request = withdraw(&linked.etag);
    let mut portal = stack.portal(citizen());
    let taken = portal
        .linked
        .withdraw_linked_case(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        portal.linked.withdraw_linked_case(request).await.unwrap().into_inner(),
        taken,
        "the same request twice"
    );
    let taken = taken.linked_case.unwrap();
    assert_eq!(
        (taken.state(), states(&taken)),
        (
            LinkedCaseState::Ended,
            vec![
                LinkedMemberState::Withdrawn,
                LinkedMemberState::Cancelled,
                LinkedMemberState::Cancelled
            ]
        )
    );
    let status = portal
        .linked
        .withdraw_linked_case(withdraw(&taken.etag))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "LINKED_CASE_ENDED");

    // With the certificate issued, the residence and the card that waits for it are taken back.
    let linked = filed(&stack).await;
    decide(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id, "KQ.G15.000031").await;
    let now = until(&stack, &linked.linked_case_id, |now| {
        of(now, "thuong_tru").state() == LinkedMemberState::Running
    })
    .await;
    let request = WithdrawLinkedCaseRequest {
        linked_case_id: linked.linked_case_id.clone(),
        ..withdraw(&now.etag)
    };
    let taken = portal
        .linked
        .withdraw_linked_case(request)
        .await
        .unwrap()
        .into_inner()
        .linked_case
        .unwrap();
    assert_eq!(
        states(&taken),
        [
            LinkedMemberState::Issued,
            LinkedMemberState::Withdrawn,
            LinkedMemberState::Cancelled
        ]
    );
    assert_eq!(
        taken.state(),
        LinkedCaseState::Running,
        "the certificate is still to be handed out"
    );
    let request = WithdrawLinkedCaseRequest {
        linked_case_id: linked.linked_case_id.clone(),
        ..withdraw(&taken.etag)
    };
    let status = portal.linked.withdraw_linked_case(request).await.unwrap_err();
    assert_eq!(reason(&status), "LINKED_NOTHING_TO_WITHDRAW");
    whole(&stack).await;
}

#[tokio::test]
async fn the_same_application_twice_or_two_at_once_are_one() {
    let stack = Stack::start().await;
    let request = application();
    let (first, second) = tokio::join!(file(&stack, request.clone()), file(&stack, request.clone()));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first, second);
    assert_eq!(file(&stack, request.clone()).await.unwrap(), first);
    assert_eq!(count(&stack, "SELECT count(*) FROM linked_cases").await, 1);
    assert_eq!(count(&stack, "SELECT count(*) FROM cases").await, 1);
    let other = SubmitLinkedCaseRequest {
        subject: "việc khác".to_owned(),
        ..request
    };
    assert_eq!(reason(&file(&stack, other).await.unwrap_err()), "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_changes() {
    let stack = Stack::start().await;
    let with = |change: &dyn Fn(&mut SubmitLinkedCaseRequest)| {
        let mut request = application();
        change(&mut request);
        request
    };
    let cases: Vec<(SubmitLinkedCaseRequest, &str, &str)> = vec![
        (
            with(&|request| request.service_code = "2.009998".to_owned()),
            "LINKED_SERVICE_NOT_FOUND",
            "",
        ),
        (
            with(&|request| request.service_code = "2.001023".to_owned()),
            "FACT_NOT_DECIDED",
            "",
        ),
        (
            with(&|request| request.service_code = "2.002913".to_owned()),
            "LINKED_MEMBER_UNKNOWN",
            "",
        ),
        (
            with(&|request| {
                request.members.pop();
            }),
            "LINKED_MEMBER_UNKNOWN",
            "",
        ),
        (
            with(&|request| request.members[1].member_code = "khai_sinh".to_owned()),
            "LINKED_MEMBER_UNKNOWN",
            "",
        ),
        (
            with(&|request| request.members[1].member_code = "the_bhyt".to_owned()),
            "LINKED_MEMBER_UNKNOWN",
            "",
        ),
        (
            with(&|request| request.members[1].competent_unit_code = String::new()),
            "UNIT_NOT_FOUND",
            "",
        ),
        (
            with(&|request| request.members[1].competent_unit_code = "99999".to_owned()),
            "UNIT_NOT_FOUND",
            "",
        ),
        (
            with(&|request| request.shared_components = vec![component("khong_co")]),
            "LINKED_COMPONENT_UNKNOWN",
            "",
        ),
        (
            with(&|request| request.channel = Channel::Post.into()),
            "CHANNEL_NOT_OFFERED",
            "",
        ),
        // The member that waits is judged at filing, not weeks later.
        (
            with(&|request| request.members[1].components.clear()),
            "COMPONENTS_MISSING",
            "thuong_tru",
        ),
        (
            with(&|request| request.members[1].conditions.clear()),
            "CONDITION_UNKNOWN",
            "thuong_tru",
        ),
        (
            with(&|request| {
                request.members[0].components.pop();
            }),
            "COMPONENTS_MISSING",
            "khai_sinh",
        ),
    ];
    for (request, expected, member) in cases {
        let status = file(&stack, request.clone()).await.unwrap_err();
        assert_eq!(reason(&status), expected, "{request:?}");
        let fault = egov_fault::fault_of(&status);
        assert_eq!(
            fault.metadata().get("member").map_or("", String::as_str),
            member,
            "{request:?}"
        );
        assert!(!fault.vi().is_empty() && !fault.en().is_empty());
    }
    // A field that breaks a rule is named, all of them at once.
    let broken = with(&|request| {
        request.request_id = "x".to_owned();
        request.members[0].member_code = String::new();
        request.owner = None;
    });
    let status = file(&stack, broken).await.unwrap_err();
    let fields: Vec<String> = egov_fault::fault_of(&status)
        .violations()
        .iter()
        .map(|one| one.field.clone())
        .collect();
    for field in ["request_id", "members[0].member_code", "owner"] {
        assert!(fields.iter().any(|named| named == field), "{field}: {fields:?}");
    }
    for table in [
        "SELECT count(*) FROM linked_cases",
        "SELECT count(*) FROM cases",
        "SELECT count(*) FROM linked_case_submissions",
        "SELECT count(*) FROM egov.counters",
    ] {
        assert_eq!(count(&stack, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_unit_sees_the_application_through_its_own_case_and_of_the_others_state_and_due_date() {
    let stack = Stack::start().await;
    let linked = filed(&stack).await;
    let id = linked.linked_case_id.clone();
    let (birth_officer, residence_officer) = (stack.staff("officer", TRUONG_VINH), stack.staff("officer", THANH_VINH));
    // While the residence waits its unit has no case of it, and sees nothing.
    assert_eq!(
        reason(&read(&residence_officer, &id).await.unwrap_err()),
        "LINKED_CASE_NOT_FOUND"
    );
    decide(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id, "KQ.G15.000031").await;
    let whole = until(&stack, &id, |now| {
        of(now, "thuong_tru").state() == LinkedMemberState::Running
    })
    .await;

    let seen = read(&residence_officer, &id).await.unwrap();
    let (own, other) = (of(&seen, "thuong_tru"), of(&seen, "khai_sinh"));
    assert_eq!(
        (own.case_id.as_str(), own.case_code.as_str()),
        (
            of(&whole, "thuong_tru").case_id.as_str(),
            of(&whole, "thuong_tru").case_code.as_str()
        )
    );
    assert_eq!((other.case_id.as_str(), other.case_code.as_str()), ("", ""));
    assert_eq!(other.state(), LinkedMemberState::Issued);
    assert!(other.due_date.is_some());
    // The unit of the birth received the application, and reads each of its cases.
    let seen = read(&birth_officer, &id).await.unwrap();
    assert_eq!(seen.members, whole.members);

    // Others: the other citizen, a unit without a case of it, somebody without a purpose or a role.
    let others = [stack.portal(Uuid::from_u128(0xC9)), stack.staff("officer", COUNTER)];
    for other in others {
        assert_eq!(reason(&read(&other, &id).await.unwrap_err()), "LINKED_CASE_NOT_FOUND");
        let listed = other
            .clone()
            .linked
            .list_linked_cases(ListLinkedCasesRequest::default())
            .await
            .unwrap();
        assert_eq!(listed.into_inner().linked_cases.len(), 0);
    }
    let officer = stack.tokens.staff(Uuid::from_u128(5), &[("officer", TRUONG_VINH)]);
    assert_eq!(
        reason(&read(&stack.client(Some(officer), None), &id).await.unwrap_err()),
        "PURPOSE_MISSING"
    );
    let kiosk = stack.tokens.staff(Uuid::from_u128(5), &[("ticket_kiosk", TRUONG_VINH)]);
    assert_eq!(
        reason(
            &read(&stack.client(Some(kiosk), Some("case_handling")), &id)
                .await
                .unwrap_err()
        ),
        "PERMISSION_MISSING"
    );

    // Lists: own ones and those of the unit, once each, page by page, newest first; the application of a case.
    for _ in 0..3 {
        filed(&stack).await;
    }
    for client in [stack.portal(citizen()), birth_officer.clone()] {
        let mut found = Vec::new();
        let mut token = String::new();
        loop {
            let request = ListLinkedCasesRequest {
                page_size: 2,
                page_token: token,
                ..Default::default()
            };
            let page = client
                .clone()
                .linked
                .list_linked_cases(request)
                .await
                .unwrap()
                .into_inner();
            found.extend(page.linked_cases.into_iter().map(|linked| linked.linked_case_id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(found.len(), 4);
        assert!(found.contains(&id));
    }
    // It is found by its case, however many newer ones there are.
    let request = ListLinkedCasesRequest {
        case_id: of(&whole, "khai_sinh").case_id.clone(),
        page_size: 1,
        ..Default::default()
    };
    let found = birth_officer
        .clone()
        .linked
        .list_linked_cases(request.clone())
        .await
        .unwrap()
        .into_inner()
        .linked_cases;
    assert_eq!(
        found.iter().map(|one| one.linked_case_id.as_str()).collect::<Vec<_>>(),
        [id.as_str()]
    );
    let neighbour = stack
        .portal(Uuid::from_u128(0xC9))
        .linked
        .list_linked_cases(request)
        .await
        .unwrap();
    assert_eq!(neighbour.into_inner().linked_cases.len(), 0);
    // Who read it is recorded for the person.
    let recorded: i64 =
        sqlx::query_scalar("SELECT count(*) FROM egov.read_records WHERE $1 = ANY (subjects) AND resources && $2")
            .bind(citizen())
            .bind(vec![format!("linked_cases/{}", linked.linked_code)])
            .fetch_one(&mut superuser(&stack).await)
            .await
            .unwrap();
    assert!(recorded > 0);
}

/// The test's service, from the first day on coordinated by the national system.
fn national() -> String {
    side_by_side("withdraw", "withdraw", "withdraw").replace("owner = \"local\"", "owner = \"national\"")
}

/// How an application for it stands there, by these members.
fn there(code: &str, revision: i64, members: &[&str]) -> MirrorLinkedCaseRequest {
    MirrorLinkedCaseRequest {
        request_id: request_id(),
        service_code: "2.009999".to_owned(),
        linked_code: code.to_owned(),
        revision,
        channel: Channel::Online.into(),
        submit_time: Some(egov_proto::timestamp("2026-11-22T02:00:00Z".parse().unwrap())),
        members: members
            .iter()
            .map(|code| MirroredMember {
                member_code: (*code).to_owned(),
                competent_unit_code: "16690".to_owned(),
                state: CaseState::Processing.into(),
                ..Default::default()
            })
            .collect(),
    }
}

async fn mirror(stack: &Stack, request: MirrorLinkedCaseRequest) -> Result<LinkedCase, Status> {
    let token = stack
        .tokens
        .system(Uuid::from_u128(0x902), &[("linked_coordinator", PROVINCE)]);
    let answer = stack.client(Some(token), None).linked.mirror_linked_case(request).await;
    answer.map(|answer| answer.into_inner().linked_case.unwrap())
}

const ALL_MEMBERS: [&str; 3] = ["khai_sinh", "thuong_tru", "khai_sinh_2"];

#[tokio::test]
async fn an_application_that_is_first_heard_of_twice_at_once_is_mirrored_once() {
    let stack = Stack::with_packs(with_service(&national())).await;
    for number in 0..10 {
        let code = format!("G22.99-261123-{number:07}");
        let (one, two) = tokio::join!(
            mirror(&stack, there(&code, 1, &ALL_MEMBERS)),
            mirror(&stack, there(&code, 1, &ALL_MEMBERS))
        );
        assert_eq!(one.unwrap(), two.unwrap());
        // Of two revisions at once the later one stands, whoever came first.
        let (one, two) = tokio::join!(
            mirror(&stack, there(&code, 3, &ALL_MEMBERS)),
            mirror(&stack, there(&code, 2, &ALL_MEMBERS))
        );
        assert_eq!(one.unwrap().linked_case_id, two.unwrap().linked_case_id);
        let revision: i64 =
            sqlx::query_scalar("SELECT (document ->> 'revision')::bigint FROM linked_cases WHERE code = $1")
                .bind(&code)
                .fetch_one(&mut superuser(&stack).await)
                .await
                .unwrap();
        assert_eq!(revision, 3);
    }
    assert_eq!(count(&stack, "SELECT count(*) FROM linked_cases").await, 10);
    whole(&stack).await;
}

#[tokio::test]
async fn each_member_is_named_once_or_everything_that_is_wrong_is_named() {
    let stack = Stack::with_packs(with_service(&national())).await;
    let code = "G22.99-261123-0000001";
    let wrong = there(code, 1, &["khai_sinh", "khai_sinh", "ket_hon"]);
    let status = mirror(&stack, wrong).await.unwrap_err();
    assert_eq!(reason(&status), "LINKED_MEMBER_UNKNOWN");
    let fault = egov_fault::fault_of(&status);
    assert_eq!(
        fault.metadata()["members"],
        "khai_sinh, ket_hon, thuong_tru, khai_sinh_2"
    );
    let named: Vec<&str> = fault.violations().iter().map(|one| one.en.as_str()).collect();
    assert_eq!(
        named,
        [
            "khai_sinh: the member is named more than once",
            "ket_hon: the service has no such member",
            "thuong_tru: the member is missing",
            "khai_sinh_2: the member is missing",
        ]
    );
    assert_eq!(count(&stack, "SELECT count(*) FROM linked_cases").await, 0);
    // What is known of one service is not taken for one of another.
    mirror(&stack, there(code, 1, &ALL_MEMBERS)).await.unwrap();
    let other = MirrorLinkedCaseRequest {
        service_code: SERVICE.to_owned(),
        ..there(code, 2, &["khai_sinh", "thuong_tru", "the_bhyt"])
    };
    let status = mirror(&stack, other).await.unwrap_err();
    assert_eq!(reason(&status), "LINKED_SERVICE_OTHER");
    assert_eq!(egov_fault::fault_of(&status).metadata()["service"], "2.009999");
}

#[tokio::test]
async fn a_mirrored_application_goes_on_by_the_definition_with_which_it_became_known() {
    let stack = Stack::with_packs(with_service(&national())).await;
    let (known, new) = ("G22.99-261123-0000001", "G22.99-261123-0000002");
    mirror(&stack, there(known, 1, &ALL_MEMBERS)).await.unwrap();
    // A second version has no third member.
    let text = national().replace("version = 1", "version = 2");
    let (before, rest) = text.split_once("[[members]]\ncode = \"khai_sinh_2\"").unwrap();
    let (_, shared) = rest.split_once("[[shared]]").unwrap();
    let given = Packs {
        linked: [("2.009999-2.toml".to_owned(), format!("{before}[[shared]]{shared}"))].into(),
        ..Packs::default()
    };
    let report = import(&stack.pool, &given, Profile::Demo, |_| {}).await.unwrap();
    assert_eq!(report[0].outcome, Outcome::Imported, "{report:?}");
    let began = Instant::now();
    loop {
        let request = ListLinkedServicesRequest {};
        let listed = stack.public().linked.list_linked_services(request).await.unwrap();
        let mut services = listed.into_inner().services.into_iter();
        let service = services.find(|service| service.service_code == "2.009999").unwrap();
        if service.version == 2 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let two = ["khai_sinh", "thuong_tru"];
    let status = mirror(&stack, there(new, 1, &ALL_MEMBERS)).await.unwrap_err();
    assert_eq!(reason(&status), "LINKED_MEMBER_UNKNOWN");
    assert_eq!(mirror(&stack, there(new, 1, &two)).await.unwrap().members.len(), 2);
    let status = mirror(&stack, there(known, 2, &two)).await.unwrap_err();
    assert_eq!(reason(&status), "LINKED_MEMBER_UNKNOWN");
    assert_eq!(egov_fault::fault_of(&status).metadata()["members"], "khai_sinh_2");
    let on = mirror(&stack, there(known, 2, &ALL_MEMBERS)).await.unwrap();
    assert_eq!(on.members.len(), 3);
    let versions: Vec<(String, i64)> =
        sqlx::query_as("SELECT code, (document ->> 'service_version')::bigint FROM linked_cases ORDER BY code")
            .fetch_all(&mut superuser(&stack).await)
            .await
            .unwrap();
    assert_eq!(versions, [(known.to_owned(), 1), (new.to_owned(), 2)]);
    whole(&stack).await;
}

#[tokio::test]
async fn a_decision_about_a_service_that_there_is_not_is_refused_and_named() {
    let stack = Stack::start().await;
    let decisions = |service: &str, version: i32| {
        format!(
            "by = \"Chủ tịch\"\nwhen = \"2026-11-20\"\nbasis = \"QĐ\"\n[[decision]]\nservice = \"{service}\"\nversion = {version}\npath = \"channels\"\n"
        )
    };
    let given = Packs {
        linked_decisions: [
            // Its pack was imported before, and does not come along.
            ("known.toml".to_owned(), decisions(SERVICE, 1)),
            ("other-version.toml".to_owned(), decisions(SERVICE, 2)),
            ("nowhere.toml".to_owned(), decisions("2.009998", 1)),
        ]
        .into(),
        ..Packs::default()
    };
    let report = import(&stack.pool, &given, Profile::Demo, |_| {}).await.unwrap();
    let line = |name: &str| {
        report
            .iter()
            .find(|line| line.name == format!("linked/{name}"))
            .unwrap()
    };
    assert_eq!(line("known.toml").outcome, Outcome::Imported, "{report:?}");
    for (name, expected) in [
        (
            "other-version.toml",
            "2.000986 version 2: there is no such linked service",
        ),
        ("nowhere.toml", "2.009998 version 1: there is no such linked service"),
    ] {
        assert_eq!(
            (line(name).outcome, line(name).detail.as_str()),
            (Outcome::Refused, expected)
        );
    }
}

#[tokio::test]
async fn from_2027_the_national_system_coordinates_and_is_mirrored() {
    let stack = Stack::start().await;
    let before = filed(&stack).await;
    let mirrored = |revision: i64, states: [CaseState; 3]| MirrorLinkedCaseRequest {
        request_id: request_id(),
        service_code: SERVICE.to_owned(),
        linked_code: "G22.99-270104-0000123".to_owned(),
        revision,
        channel: Channel::Online.into(),
        submit_time: Some(egov_proto::timestamp("2027-01-04T02:00:00Z".parse().unwrap())),
        members: vec![
            MirroredMember {
                member_code: "khai_sinh".to_owned(),
                competent_unit_code: "16690".to_owned(),
                state: states[0].into(),
                case_code: "H41.201-270104-0001".to_owned(),
                due_date: Some(jiff::civil::date(2027, 1, 5).into()),
            },
            MirroredMember {
                member_code: "thuong_tru".to_owned(),
                competent_unit_code: "16681".to_owned(),
                state: states[1].into(),
                ..Default::default()
            },
            MirroredMember {
                member_code: "the_bhyt".to_owned(),
                competent_unit_code: "16690".to_owned(),
                state: states[2].into(),
                ..Default::default()
            },
        ],
    };
    let system = |units: &[i32]| {
        let roles: Vec<(&str, i32)> = units.iter().map(|unit| ("linked_coordinator", *unit)).collect();
        stack.client(Some(stack.tokens.system(Uuid::from_u128(0x902), &roles)), None)
    };
    let put = async |client: Client, request: MirrorLinkedCaseRequest| {
        let answer = client.clone().linked.mirror_linked_case(request).await;
        answer.map(|answer| answer.into_inner().linked_case.unwrap())
    };
    let national = || system(&[PROVINCE]);
    let waiting = [CaseState::Processing, CaseState::Unspecified, CaseState::Unspecified];
    assert_eq!(
        reason(&put(national(), mirrored(1, waiting)).await.unwrap_err()),
        "LINKED_SERVICE_LOCAL",
        "until then it is ours"
    );

    stack.advance(SignedDuration::from_hours(24 * 45)).await;
    assert_eq!(
        reason(&file(&stack, application()).await.unwrap_err()),
        "LINKED_SERVICE_NATIONAL"
    );
    let services = stack
        .public()
        .linked
        .list_linked_services(ListLinkedServicesRequest {})
        .await
        .unwrap()
        .into_inner()
        .services;
    let service = services.iter().find(|service| service.service_code == SERVICE).unwrap();
    assert_eq!((service.owner(), service.fileable), (LinkedOwner::National, false));
    assert!(
        service.open_facts.iter().any(|path| path == "owners.2027-01-01"),
        "that it is so is unconfirmed, and said"
    );
    // An application that was begun here is finished here.
    reject(&stack, TRUONG_VINH, &of(&before, "khai_sinh").case_id).await;
    until(&stack, &before.linked_case_id, |now| {
        now.state() == LinkedCaseState::Ended
    })
    .await;

    for client in [stack.staff("unit_leader", TRUONG_VINH), system(&[TRUONG_VINH])] {
        assert_eq!(
            reason(&put(client, mirrored(1, waiting)).await.unwrap_err()),
            "PERMISSION_MISSING",
            "every member's unit is asked for"
        );
    }
    let first = put(national(), mirrored(2, waiting)).await.unwrap();
    assert_eq!(
        (first.owner(), states(&first)),
        (
            LinkedOwner::National,
            vec![
                LinkedMemberState::Running,
                LinkedMemberState::Waiting,
                LinkedMemberState::Waiting
            ]
        )
    );
    assert_eq!(
        put(national(), mirrored(1, [CaseState::Registered; 3])).await.unwrap(),
        first,
        "an older revision changes nothing"
    );
    let rejected = mirrored(3, [CaseState::Rejected, CaseState::Processing, CaseState::Unspecified]);
    let (one, two) = tokio::join!(put(national(), rejected.clone()), put(national(), rejected.clone()));
    assert_eq!(one.unwrap(), two.unwrap(), "the same twice at once");
    let seen = read(&stack.staff("officer", THANH_VINH), &first.linked_case_id)
        .await
        .unwrap();
    assert_eq!(
        states(&seen),
        [
            LinkedMemberState::Rejected,
            LinkedMemberState::Running,
            LinkedMemberState::Waiting
        ],
        "we compensate nothing: that is theirs"
    );
    assert_eq!((of(&seen, "khai_sinh").case_code.as_str(), seen.effects.len()), ("", 0));
    let over = put(
        national(),
        mirrored(4, [CaseState::Rejected, CaseState::Returned, CaseState::Returned]),
    )
    .await
    .unwrap();
    assert_eq!(over.state(), LinkedCaseState::PartlyFinished);
    let mut twice = mirrored(5, waiting);
    twice.members[1].member_code = "khai_sinh".to_owned();
    assert_eq!(
        reason(&put(national(), twice).await.unwrap_err()),
        "LINKED_MEMBER_UNKNOWN"
    );
    assert_eq!(
        count(&stack, "SELECT count(*) FROM cases").await,
        1,
        "no case of ours is made"
    );
    whole(&stack).await;
}

#[tokio::test]
async fn a_member_that_cannot_be_filed_when_its_turn_comes_is_held_until_an_officer_decides() {
    let stack = Stack::start().await;
    let portal = stack.portal(citizen());
    let file_id = upload(&portal, PDF).await;
    let mut request = application();
    request.members[1].components[0].file_ids = vec![file_id.clone()];
    let linked = file(&stack, request).await.unwrap().linked_case.unwrap();
    // Meanwhile the applicant gives the file to another case.
    let mut other = birth_registration();
    other.components[0].file_ids = vec![file_id];
    portal.clone().cases.submit_case(other).await.unwrap();
    decide(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id, "KQ.G15.000031").await;
    let held = until(&stack, &linked.linked_case_id, |now| {
        of(now, "thuong_tru").state() == LinkedMemberState::Held
    })
    .await;
    let effect = &held.effects[0];
    assert_eq!(
        (effect.kind(), effect.refusal.as_str(), effect.open),
        (LinkedEffectKind::NotFiled, "FILE_NOT_USABLE", true)
    );
    assert_eq!(
        count(&stack, "SELECT count(*) FROM cases WHERE procedure_code = '1.004222'").await,
        0,
        "nothing of the attempt is left"
    );

    let decision = |etag: &str, number: i32, decision: LinkedDecision| DecideLinkedMemberRequest {
        request_id: request_id(),
        linked_case_id: linked.linked_case_id.clone(),
        etag: etag.to_owned(),
        number,
        decision: decision.into(),
        reason: "thử nộp lại".to_owned(),
    };
    let mut leader = stack.staff("unit_leader", THANH_VINH);
    assert_eq!(to_decide(&leader).await, [linked.linked_case_id.as_str()]);
    leader
        .linked
        .decide_linked_member(decision(&held.etag, effect.number, LinkedDecision::Continue))
        .await
        .unwrap();
    let again = until(&stack, &linked.linked_case_id, |now| now.effects.len() == 2).await;
    assert_eq!(
        of(&again, "thuong_tru").state(),
        LinkedMemberState::Held,
        "filed again, and held again"
    );
    let number = again.effects[1].number;
    let given_up = leader
        .linked
        .decide_linked_member(decision(&again.etag, number, LinkedDecision::Withdraw))
        .await
        .unwrap();
    let given_up = given_up.into_inner().linked_case.unwrap();
    assert_eq!(of(&given_up, "thuong_tru").state(), LinkedMemberState::Cancelled);
    // Its unit is asked nothing any more, though it never had a case of it; that of the card is, which waited for the residence.
    until(&stack, &linked.linked_case_id, |now| {
        now.effects.iter().any(|effect| effect.open)
    })
    .await;
    assert!(to_decide(&leader).await.is_empty());
    assert_eq!(
        to_decide(&stack.staff("unit_leader", TRUONG_VINH)).await,
        [linked.linked_case_id.as_str()]
    );
    assert_eq!(
        count(&stack, "SELECT count(*) FROM linked_case_units WHERE to_decide").await,
        1
    );
    whole(&stack).await;
}

/// The applications in which somebody must decide about a member of the caller's units.
async fn to_decide(client: &Client) -> Vec<String> {
    let request = ListLinkedCasesRequest {
        to_decide: true,
        ..Default::default()
    };
    let listed = client.clone().linked.list_linked_cases(request).await.unwrap();
    let listed = listed.into_inner().linked_cases.into_iter();
    listed.map(|linked| linked.linked_case_id).collect()
}

#[tokio::test]
async fn a_question_about_a_case_that_the_applicant_takes_back_is_moot_and_the_application_ends() {
    let stack = Stack::with_packs(with_service(&side_by_side("withdraw", "ask", "ask"))).await;
    let portal = stack.portal(citizen());
    let file_id = upload(&portal, PDF).await;
    let linked = file(&stack, side_by_side_application(&file_id))
        .await
        .unwrap()
        .linked_case
        .unwrap();
    let id = linked.linked_case_id.clone();
    reject(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id).await;
    until(&stack, &id, |now| now.effects.len() == 2).await;
    let neighbour = stack.staff("unit_leader", THANH_VINH);
    assert_eq!(to_decide(&neighbour).await.len(), 1);

    // Before anybody answers, the applicant takes the one case back by itself.
    let residence = of(&linked, "thuong_tru").case_id.clone();
    let request = WithdrawCaseRequest {
        request_id: request_id(),
        case_id: residence.clone(),
        etag: get(&portal, &residence).await.unwrap().etag,
        reason: "không cần nữa".to_owned(),
    };
    portal.clone().cases.withdraw_case(request).await.unwrap();
    let now = until(&stack, &id, |now| now.effects.len() == 3).await;
    let about = |linked: &LinkedCase, code: &str| -> Vec<(bool, LinkedDecision, String)> {
        let about = linked.effects.iter().filter(|effect| effect.member_code == code);
        about
            .map(|effect| (effect.open, effect.decision(), effect.reason.clone()))
            .collect()
    };
    assert_eq!(
        about(&now, "thuong_tru"),
        [(false, LinkedDecision::Withdraw, String::new())],
        "nothing is left to decide, and nobody gave a reason"
    );
    assert!(to_decide(&neighbour).await.is_empty());

    // Of two questions about one member the answer to the one makes the other moot: the application comes to its end.
    let open: Vec<i32> = now
        .effects
        .iter()
        .filter(|effect| effect.open)
        .map(|effect| effect.number)
        .collect();
    assert_eq!(open.len(), 2, "{:?}", now.effects);
    let request = DecideLinkedMemberRequest {
        request_id: request_id(),
        linked_case_id: id.clone(),
        etag: now.etag.clone(),
        number: open[0],
        decision: LinkedDecision::Withdraw.into(),
        reason: "không còn gì để nộp".to_owned(),
    };
    let mut leader = stack.staff("unit_leader", TRUONG_VINH);
    leader.linked.decide_linked_member(request).await.unwrap();
    let over = until(&stack, &id, |now| now.state() == LinkedCaseState::Ended).await;
    assert!(over.effects.iter().all(|effect| !effect.open));
    assert_eq!(
        count(&stack, "SELECT count(*) FROM linked_case_units WHERE to_decide").await,
        0
    );
    whole(&stack).await;
}

#[tokio::test]
async fn the_whole_application_is_taken_back_or_nothing_of_it() {
    // By transitions under which a case that was accepted is not withdrawn any more.
    let mut given = with_service(&side_by_side("withdraw", "withdraw", "withdraw"));
    let (name, transitions) = packs().transitions.remove_entry("national-2026.toml").unwrap();
    let edge = "[[transition]]\noperation = \"withdraw\"\nfrom = 2\nto = 7\n";
    assert!(transitions.contains(edge));
    given.transitions.insert(name, transitions.replace(edge, ""));
    let stack = Stack::with_packs(given).await;
    let portal = stack.portal(citizen());
    let file_id = upload(&portal, PDF).await;
    let linked = file(&stack, side_by_side_application(&file_id))
        .await
        .unwrap()
        .linked_case
        .unwrap();
    let id = linked.linked_case_id.clone();
    let (birth, residence) = (
        of(&linked, "khai_sinh").case_id.clone(),
        of(&linked, "thuong_tru").case_id.clone(),
    );
    let request = AcceptCaseRequest {
        request_id: request_id(),
        case_id: residence.clone(),
        etag: case_of(&stack, THANH_VINH, &residence).await.etag,
    };
    stack
        .staff("one_stop_clerk", THANH_VINH)
        .cases
        .accept_case(request)
        .await
        .unwrap();
    let now = until(&stack, &id, |now| {
        of(now, "thuong_tru").case_state() == CaseState::Accepted
    })
    .await;
    let request = WithdrawLinkedCaseRequest {
        request_id: request_id(),
        linked_case_id: id.clone(),
        etag: now.etag.clone(),
        reason: "gia đình chuyển đi nơi khác".to_owned(),
    };
    let status = portal.clone().linked.withdraw_linked_case(request).await.unwrap_err();
    assert_eq!(reason(&status), "TRANSITION_NOT_ALLOWED");
    assert_eq!(egov_fault::fault_of(&status).metadata()["member"], "thuong_tru");
    assert_eq!(read(&portal, &id).await.unwrap(), now, "nothing of it");
    assert_eq!(
        case_of(&stack, TRUONG_VINH, &birth).await.state(),
        CaseState::Registered
    );

    // What the coordinator would take back and cannot, an officer is asked about.
    reject(&stack, TRUONG_VINH, &birth).await;
    let asked = until(&stack, &id, |now| now.effects.len() == 2).await;
    let effect = asked
        .effects
        .iter()
        .find(|effect| effect.member_code == "thuong_tru")
        .unwrap();
    assert_eq!((effect.kind(), effect.open), (LinkedEffectKind::Asked, true));
    assert_eq!(of(&asked, "khai_sinh_2").state(), LinkedMemberState::Cancelled);
    whole(&stack).await;
}

#[tokio::test]
async fn files_of_a_member_that_waits_are_looked_at_when_it_is_filed() {
    let stack = Stack::start().await;
    let portal = stack.portal(citizen());
    let strangers = upload(&stack.portal(Uuid::from_u128(0xC9)), PDF).await;
    let taken = upload(&portal, PDF).await;
    let mut other = birth_registration();
    other.components[0].file_ids = vec![taken.clone()];
    portal.clone().cases.submit_case(other).await.unwrap();
    let unknown = Uuid::from_u128(0xF1).to_string();
    for file_id in [strangers, taken, unknown] {
        let mut request = application();
        request.members[1].components[0].file_ids = vec![file_id.clone()];
        let status = file(&stack, request).await.unwrap_err();
        assert_eq!(reason(&status), "FILE_NOT_USABLE", "{file_id}");
        assert_eq!(egov_fault::fault_of(&status).metadata()["member"], "thuong_tru");
    }
    assert_eq!(count(&stack, "SELECT count(*) FROM linked_cases").await, 0);
    assert_eq!(count(&stack, "SELECT count(*) FROM linked_case_submissions").await, 0);
    // A file that stands for components of both is taken by the first, and shown by the other when its turn comes.
    let both = upload(&portal, PDF).await;
    let mut request = application();
    for member in &mut request.members {
        member.components[0].file_ids = vec![both.clone()];
    }
    let linked = file(&stack, request).await.unwrap().linked_case.unwrap();
    decide(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id, "KQ.G15.000031").await;
    until(&stack, &linked.linked_case_id, |now| {
        of(now, "thuong_tru").state() == LinkedMemberState::Running
    })
    .await;
    whole(&stack).await;
}

#[tokio::test]
async fn the_unit_that_received_an_application_reads_its_cases_and_not_why_others_decided() {
    let stack = Stack::with_packs(with_service(&side_by_side("withdraw", "ask", "ask"))).await;
    let file_id = upload(&stack.portal(citizen()), PDF).await;
    let request = SubmitLinkedCaseRequest {
        receiving_unit_code: "16690.PVHCC".to_owned(),
        ..side_by_side_application(&file_id)
    };
    let linked = file(&stack, request).await.unwrap().linked_case.unwrap();
    let id = linked.linked_case_id.clone();
    let ids = |linked: &LinkedCase| -> Vec<(String, String)> {
        let members = linked.members.iter();
        members
            .map(|member| (member.case_id.clone(), member.case_code.clone()))
            .collect()
    };
    let counter = stack.staff("one_stop_clerk", COUNTER);
    let seen = read(&counter, &id).await.unwrap();
    assert_eq!(ids(&seen), ids(&linked));
    get(&counter, &of(&seen, "thuong_tru").case_id).await.unwrap();
    let listed = counter
        .clone()
        .linked
        .list_linked_cases(ListLinkedCasesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .linked_cases;
    assert_eq!(listed, [seen], "the list shows what the reading does");
    // A unit that has one of the cases reads that one.
    let seen = read(&stack.staff("officer", THANH_VINH), &id).await.unwrap();
    assert!(of(&seen, "khai_sinh").case_id.is_empty() && of(&seen, "khai_sinh").case_code.is_empty());
    assert_eq!(of(&seen, "thuong_tru").case_id, of(&linked, "thuong_tru").case_id);

    reject(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id).await;
    let asked = until(&stack, &id, |now| now.effects.len() == 2).await;
    let question = |linked: &LinkedCase| {
        let effect = linked
            .effects
            .iter()
            .find(|effect| effect.member_code == "thuong_tru")
            .unwrap();
        (effect.number, effect.reason.clone())
    };
    let request = DecideLinkedMemberRequest {
        request_id: request_id(),
        linked_case_id: id.clone(),
        etag: asked.etag.clone(),
        number: question(&asked).0,
        decision: LinkedDecision::Continue.into(),
        reason: "đã trao đổi với công dân".to_owned(),
    };
    let mut leader = stack.staff("unit_leader", THANH_VINH);
    let decided = leader.linked.decide_linked_member(request).await.unwrap().into_inner();
    let decided = decided.linked_case.unwrap();
    assert_eq!(question(&decided).1, "đã trao đổi với công dân");
    assert!(
        of(&decided, "khai_sinh").case_id.is_empty(),
        "the answer shows no more than a reading"
    );
    let seen = read(&counter, &id).await.unwrap();
    assert_eq!(question(&seen).1, "", "that is the other unit's");
    assert_eq!(of(&seen, "thuong_tru").case_id, of(&linked, "thuong_tru").case_id);
}

#[tokio::test]
async fn a_unit_whose_opinion_is_asked_for_reads_what_was_handed_over_as_long_as_it_is_asked() {
    let stack = Stack::with_packs(with_service(&side_by_side("withdraw", "withdraw", "withdraw"))).await;
    let file_id = upload(&stack.portal(citizen()), PDF).await;
    let linked = file(&stack, side_by_side_application(&file_id))
        .await
        .unwrap()
        .linked_case
        .unwrap();
    // The file is the birth's, and was handed to the residence, about which the counter is asked.
    let residence = of(&linked, "thuong_tru").case_id.clone();
    let request = AcceptCaseRequest {
        request_id: request_id(),
        case_id: residence.clone(),
        etag: case_of(&stack, THANH_VINH, &residence).await.etag,
    };
    stack
        .staff("one_stop_clerk", THANH_VINH)
        .cases
        .accept_case(request)
        .await
        .unwrap();
    let officer = with_roles(&stack, 0xA1, &[("officer", THANH_VINH)]);
    let waiting = inbox(&officer, InboxView::MyRoles, 0).await;
    let task = waiting
        .into_iter()
        .filter_map(|item| item.task)
        .find(|task| task.case_id == residence)
        .unwrap();
    let task = claim(&officer, &task).await.unwrap();
    let asked = with_roles(&stack, 0xC1, &[("officer", COUNTER)]);
    let look = async || {
        let request = GetFileRequest {
            file_id: file_id.clone(),
        };
        asked.clone().files.get_file(request).await
    };
    assert_eq!(look().await.unwrap_err().code(), Code::NotFound);
    let question = AskOpinionRequest {
        request_id: request_id(),
        task_id: task.task_id.clone(),
        etag: task.etag.clone(),
        unit_code: "16690.PVHCC".to_owned(),
        question: "Giấy chứng có đúng của trẻ không?".to_owned(),
    };
    officer.clone().work.ask_opinion(question).await.unwrap();
    look().await.unwrap();

    let waiting = inbox(&asked, InboxView::MyRoles, 0).await;
    let question = claim(&asked, waiting[0].task.as_ref().unwrap()).await.unwrap();
    let opinion = GiveOpinionRequest {
        request_id: request_id(),
        task_id: question.task_id.clone(),
        etag: question.etag.clone(),
        opinion: "Đúng".to_owned(),
        agrees: true,
    };
    asked.clone().work.give_opinion(opinion).await.unwrap();
    assert_eq!(look().await.unwrap_err().code(), Code::NotFound, "no longer");
}

#[tokio::test]
async fn what_a_deputy_files_and_takes_back_says_in_whose_name() {
    let stack = Stack::start().await;
    let (deputy, clerk) = (Uuid::from_u128(0x71), Uuid::from_u128(0x72));
    let token = stack.tokens.by_delegation(deputy, clerk, "one_stop_clerk", TRUONG_VINH);
    let mut client = stack.client(Some(token), Some("case_handling"));
    let request = SubmitLinkedCaseRequest {
        channel: Channel::Counter.into(),
        members: vec![
            member(
                "khai_sinh",
                "16690",
                &["to_khai", "giay_chung_sinh", "giay_to_tuy_than"],
                &[],
            ),
            member("thuong_tru", "16681", &["to_khai_ct01"], &["nguoi_than"]),
            member("the_bhyt", "16690", &["to_khai"], &[]),
        ],
        ..application()
    };
    let linked = client.linked.submit_linked_case(request).await.unwrap().into_inner();
    let linked = linked.linked_case.unwrap();
    let request = WithdrawLinkedCaseRequest {
        request_id: request_id(),
        linked_case_id: linked.linked_case_id.clone(),
        etag: linked.etag.clone(),
        reason: "công dân đề nghị rút".to_owned(),
    };
    let taken = client.linked.withdraw_linked_case(request).await.unwrap().into_inner();
    assert_eq!(taken.linked_case.unwrap().state(), LinkedCaseState::Ended);
    let request = ListCaseHistoryRequest {
        case_id: of(&linked, "khai_sinh").case_id.clone(),
        ..Default::default()
    };
    let history = client.cases.list_case_history(request).await.unwrap().into_inner();
    let done: Vec<(&str, &str, &str)> = history
        .entries
        .iter()
        .map(|entry| {
            (
                entry.operation.as_str(),
                entry.actor_id.as_str(),
                entry.on_behalf_of_id.as_str(),
            )
        })
        .collect();
    let (deputy, clerk) = (deputy.to_string(), clerk.to_string());
    assert_eq!(
        done,
        [
            ("submit", deputy.as_str(), clerk.as_str()),
            ("withdraw", deputy.as_str(), clerk.as_str())
        ]
    );
    assert_eq!(
        count(
            &stack,
            "SELECT count(*) FROM linked_case_history WHERE on_behalf_of = '00000000-0000-0000-0000-000000000072'"
        )
        .await,
        2,
        "so does the history of the application"
    );
    whole(&stack).await;
}

/// The coordinator, with the running service's one kept out.
async fn alone(stack: &Stack) -> (LinkedCoordinator, egov_database::Lease) {
    let began = Instant::now();
    let lease = loop {
        if let Some(lease) = stack
            .pool
            .acquire_lease(LINKED_LEASE, Duration::from_mins(10))
            .await
            .unwrap()
        {
            break lease;
        }
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let coordinator = LinkedCoordinator::new(
        stack.pool.clone(),
        Arc::clone(&stack.keyring),
        Arc::clone(&stack.directory),
        Profile::Demo,
    )
    .await
    .unwrap();
    (coordinator, lease)
}

/// Follows the log until nothing new comes any more: what the coordinator does makes events of its own.
async fn run_to_rest(stack: &Stack, coordinator: &LinkedCoordinator, lease: &mut egov_database::Lease) {
    loop {
        relayed(stack).await;
        let changed = coordinator.run(lease, &|| false).await.unwrap();
        relayed(stack).await;
        if changed == 0 && stack.pool.follower_lag(LINKED_LEASE).await.unwrap() == 0 {
            return;
        }
    }
}

async fn relayed(stack: &Stack) {
    let began = Instant::now();
    while count(stack, "SELECT count(*) FROM egov.outbox").await > 0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the running coordinator has looked at everything that was done so far.
pub(crate) async fn followed(stack: &Stack) {
    relayed(stack).await;
    let began = Instant::now();
    while stack.pool.follower_lag(LINKED_LEASE).await.unwrap() > 0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Where an application stands, and what was done, without ids: the same however often somebody was interrupted.
#[derive(Debug, PartialEq)]
struct Stand {
    members: Vec<(String, i32, i32)>,
    effects: Vec<(String, String, i32)>,
    state: i32,
    histories: Vec<Vec<String>>,
}

async fn stand(stack: &Stack, id: &str) -> Stand {
    let linked = read(&stack.portal(citizen()), id).await.unwrap();
    let members = linked
        .members
        .iter()
        .map(|member| (member.member_code.clone(), member.state, member.case_state))
        .collect();
    let effects = linked
        .effects
        .iter()
        .map(|effect| {
            (
                effect.cause_member_code.clone(),
                effect.member_code.clone(),
                effect.kind,
            )
        })
        .collect();
    let mut histories = Vec::new();
    for member in linked.members.iter().filter(|member| !member.case_id.is_empty()) {
        let operations: Vec<String> =
            sqlx::query_scalar("SELECT operation FROM case_history WHERE case_id = $1 ORDER BY version")
                .bind(Uuid::parse_str(&member.case_id).unwrap())
                .fetch_all(&mut superuser(stack).await)
                .await
                .unwrap();
        histories.push(operations);
    }
    Stand {
        members,
        effects,
        state: linked.state,
        histories,
    }
}

/// An application with members side by side of which one is refused and one is stopped while the coordinator is kept out, so that much
/// follows at once; and one whose birth is issued.
async fn prepared(stack: &Stack, ends: bool) -> String {
    if ends {
        let file_id = upload(&stack.portal(citizen()), PDF).await;
        let linked = file(stack, side_by_side_application(&file_id))
            .await
            .unwrap()
            .linked_case
            .unwrap();
        reject(stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id).await;
        linked.linked_case_id
    } else {
        let linked = filed(stack).await;
        decide(stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id, "KQ.G15.000031").await;
        linked.linked_case_id
    }
}

#[tokio::test]
async fn stopped_at_every_point_the_next_coordinator_comes_to_the_same_end() {
    let stack = Stack::with_packs(with_service(&side_by_side("withdraw", "withdraw", "withdraw"))).await;
    let (coordinator, mut lease) = alone(&stack).await;
    for ends in [true, false] {
        let undisturbed = prepared(&stack, ends).await;
        run_to_rest(&stack, &coordinator, &mut lease).await;
        let expected = stand(&stack, &undisturbed).await;
        let mut points = 0;
        for point in 0_usize.. {
            let id = prepared(&stack, ends).await;
            relayed(&stack).await;
            // Before the point nothing says stop, from it on everything does: between two events, between two actions, before the commit.
            let asked = AtomicUsize::new(0);
            let stop = || asked.fetch_add(1, Ordering::SeqCst) >= point;
            coordinator.run(&mut lease, &stop).await.unwrap();
            let reached = asked.load(Ordering::SeqCst) > point;
            run_to_rest(&stack, &coordinator, &mut lease).await;
            assert_eq!(stand(&stack, &id).await, expected, "stopped at point {point}");
            if !reached {
                break;
            }
            points += 1;
        }
        assert!(points >= 4, "only {points} points");
    }
    whole(&stack).await;
}

/// Lets this come so far as it does when it is looked at so many times, and drops it where it stands then: how often it was looked at, and
/// what it came to, if it ended before.
pub(crate) async fn looked_at<F: Future>(most: usize, future: F) -> (usize, Option<F::Output>) {
    let mut future = std::pin::pin!(future);
    let mut looks = 0;
    std::future::poll_fn(|context| {
        looks += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready((looks, Some(output))),
            Poll::Pending if looks >= most => Poll::Ready((looks, None)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn killed_in_the_middle_of_whatever_the_next_coordinator_comes_to_the_same_end() {
    let stack = Stack::with_packs(with_service(&side_by_side("withdraw", "withdraw", "withdraw"))).await;
    let (coordinator, mut lease) = alone(&stack).await;
    // One is refused and the others end with it; a result is handed over and the next member filed.
    for ends in [true, false] {
        let undisturbed = prepared(&stack, ends).await;
        relayed(&stack).await;
        let (looks, ended) = looked_at(usize::MAX, coordinator.run(&mut lease, &|| false)).await;
        ended.unwrap().unwrap();
        run_to_rest(&stack, &coordinator, &mut lease).await;
        let expected = stand(&stack, &undisturbed).await;
        // Each time it comes a little further before the future is dropped: a statement or a commit has just been sent, and nobody waits for
        // what becomes of it. Until a round comes to its end.
        let mut killed = 0;
        for point in 0_usize.. {
            let id = prepared(&stack, ends).await;
            relayed(&stack).await;
            let most = 1 + point * looks.div_ceil(16);
            let (_, ended) = looked_at(most, coordinator.run(&mut lease, &|| false)).await;
            let is_over = ended.map(Result::unwrap).is_some();
            run_to_rest(&stack, &coordinator, &mut lease).await;
            assert_eq!(stand(&stack, &id).await, expected, "killed at look {most} of {looks}");
            if is_over {
                break;
            }
            killed += 1;
        }
        assert!(killed >= 4, "only {killed} rounds were killed before their end");
    }
    whole(&stack).await;
}

/// Calls and hangs up after so long: what was told, if the answer came before.
async fn told_before<T>(hung_up_after: Duration, call: impl Future<Output = T>) -> Option<T> {
    let began = Instant::now();
    // A timer of the runtime would go by whole milliseconds.
    let over = async {
        while began.elapsed() < hung_up_after {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        () = over => None,
        told = call => Some(told),
    }
}

/// Lets callers hang up at points of an act that are spread over the time that it takes, and ask again: each comes to the end of one who waited.
async fn hang_up_and_ask_again<R: Clone, S: PartialEq + std::fmt::Debug>(
    act: &str,
    prepare: impl AsyncFn(u32) -> R,
    call: impl AsyncFn(R) -> Result<LinkedCase, Status>,
    stands: impl AsyncFn(&LinkedCase) -> S,
) {
    const POINTS: u32 = 6;
    // What is done for the first time takes longer.
    let first = call(prepare(0).await).await.unwrap();
    let expected = stands(&first).await;
    let request = prepare(1).await;
    let began = Instant::now();
    let undisturbed = call(request).await.unwrap();
    let takes = began.elapsed();
    assert_eq!(stands(&undisturbed).await, expected, "{act}");
    let mut hung_up = 0;
    for point in 1..=POINTS {
        let request = prepare(1 + point).await;
        let told = told_before(takes * point / POINTS, call(request.clone())).await;
        hung_up += u32::from(told.is_none());
        let answer = call(request.clone()).await.unwrap();
        if let Some(told) = told {
            assert_eq!(told.unwrap(), answer, "{act}");
        }
        assert_eq!(call(request).await.unwrap(), answer, "{act}: the same request");
        assert_eq!(
            stands(&answer).await,
            expected,
            "{act}: hung up after {point}/{POINTS} of {takes:?}"
        );
    }
    assert!(hung_up > 0, "{act}: every answer came before");
}

#[tokio::test]
async fn whoever_hangs_up_on_an_act_on_an_application_and_asks_again_finds_it_done_once() {
    let mut given = with_service(&side_by_side("withdraw", "ask", "ask"));
    given.linked.insert(
        "2.009997.toml".to_owned(),
        national().replacen("2.009999", "2.009997", 1),
    );
    let stack = Stack::with_packs(given).await;
    let (coordinator, lease) = alone(&stack).await;
    let lease = tokio::sync::Mutex::new(lease);
    let rest = async || {
        let mut lease = lease.lock().await;
        run_to_rest(&stack, &coordinator, &mut lease).await;
    };
    let portal = stack.portal(citizen());
    let application = async |_: u32| side_by_side_application(&upload(&portal, PDF).await);
    let filed = async || {
        let answer = file(&stack, application(0).await).await.unwrap();
        answer.linked_case.unwrap()
    };
    // How it stands when everything has followed, and what was done with the application itself.
    let done = async |linked: &LinkedCase| -> Vec<String> {
        sqlx::query_scalar("SELECT operation FROM linked_case_history WHERE linked_case_id = $1 ORDER BY version")
            .bind(Uuid::parse_str(&linked.linked_case_id).unwrap())
            .fetch_all(&mut superuser(&stack).await)
            .await
            .unwrap()
    };
    let stands = async |linked: &LinkedCase| {
        rest().await;
        (stand(&stack, &linked.linked_case_id).await, done(linked).await)
    };

    let submit = async |request: SubmitLinkedCaseRequest| {
        let answer = portal.clone().linked.submit_linked_case(request).await;
        answer.map(|answer| answer.into_inner().linked_case.unwrap())
    };
    hang_up_and_ask_again("SubmitLinkedCase", &application, submit, &stands).await;

    let asked = async |_: u32| {
        let linked = filed().await;
        reject(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id).await;
        rest().await;
        let asked = read(&stack.portal(citizen()), &linked.linked_case_id).await.unwrap();
        let mut effects = asked.effects.iter();
        let effect = effects.find(|effect| effect.member_code == "thuong_tru").unwrap();
        DecideLinkedMemberRequest {
            request_id: request_id(),
            linked_case_id: asked.linked_case_id.clone(),
            etag: asked.etag.clone(),
            number: effect.number,
            decision: LinkedDecision::Withdraw.into(),
            reason: "đã trao đổi với công dân".to_owned(),
        }
    };
    let leader = stack.staff("unit_leader", THANH_VINH);
    let decide = async |request: DecideLinkedMemberRequest| {
        let answer = leader.clone().linked.decide_linked_member(request).await;
        answer.map(|answer| answer.into_inner().linked_case.unwrap())
    };
    hang_up_and_ask_again("DecideLinkedMember", asked, decide, &stands).await;

    let runs = async |_: u32| {
        let linked = filed().await;
        WithdrawLinkedCaseRequest {
            request_id: request_id(),
            linked_case_id: linked.linked_case_id,
            etag: linked.etag,
            reason: "gia đình chuyển đi nơi khác".to_owned(),
        }
    };
    let withdraw = async |request: WithdrawLinkedCaseRequest| {
        let answer = portal.clone().linked.withdraw_linked_case(request).await;
        answer.map(|answer| answer.into_inner().linked_case.unwrap())
    };
    hang_up_and_ask_again("WithdrawLinkedCase", runs, withdraw, &stands).await;

    let stands_there = async |number: u32| MirrorLinkedCaseRequest {
        service_code: "2.009997".to_owned(),
        ..there(&format!("G22.99-261123-{number:07}"), 1, &ALL_MEMBERS)
    };
    let system = stack
        .tokens
        .system(Uuid::from_u128(0x902), &[("linked_coordinator", PROVINCE)]);
    let system = stack.client(Some(system), None);
    let mirror = async |request: MirrorLinkedCaseRequest| {
        let answer = system.clone().linked.mirror_linked_case(request).await;
        answer.map(|answer| answer.into_inner().linked_case.unwrap())
    };
    let mirrored = async |linked: &LinkedCase| (states(linked), linked.state(), done(linked).await);
    hang_up_and_ask_again("MirrorLinkedCase", stands_there, mirror, mirrored).await;
    whole(&stack).await;
}

#[tokio::test]
async fn two_coordinators_never_work_at_once_and_one_who_lost_the_lease_writes_nothing() {
    let stack = Stack::start().await;
    let (coordinator, mut lease) = alone(&stack).await;
    let id = prepared(&stack, false).await;
    relayed(&stack).await;
    assert!(
        stack
            .pool
            .acquire_lease(LINKED_LEASE, Duration::from_secs(5))
            .await
            .unwrap()
            .is_none()
    );
    sqlx::query("UPDATE egov.leases SET fence = fence + 1 WHERE name = $1")
        .bind(LINKED_LEASE)
        .execute(&mut superuser(&stack).await)
        .await
        .unwrap();
    let fault = coordinator.run(&mut lease, &|| false).await.unwrap_err();
    assert_eq!(fault.reason(), "LEASE_LOST");
    let now = read(&stack.portal(citizen()), &id).await.unwrap();
    assert_eq!(of(&now, "thuong_tru").state(), LinkedMemberState::Waiting);
}

#[tokio::test]
async fn an_application_that_fails_is_set_aside_and_the_others_go_on() {
    let stack = Stack::start().await;
    let broken = filed(&stack).await;
    let id = Uuid::parse_str(&broken.linked_case_id).unwrap();
    let mut superuser = superuser(&stack).await;
    let sound: String = sqlx::query_scalar("SELECT document::text FROM linked_cases WHERE linked_case_id = $1")
        .bind(id)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    sqlx::query("UPDATE linked_cases SET document = '{}' WHERE linked_case_id = $1")
        .bind(id)
        .execute(&mut superuser)
        .await
        .unwrap();
    reject(&stack, TRUONG_VINH, &of(&broken, "khai_sinh").case_id).await;
    // What comes after it in the log has its consequences all the same.
    let other = filed(&stack).await;
    decide(&stack, TRUONG_VINH, &of(&other, "khai_sinh").case_id, "KQ.G15.000031").await;
    until(&stack, &other.linked_case_id, |now| {
        of(now, "thuong_tru").state() == LinkedMemberState::Running
    })
    .await;
    let waiting = "SELECT count(*) FROM linked_case_retries WHERE reason = 'INTERNAL'";
    assert_eq!(count(&stack, waiting).await, 1);
    // Not before its pause is over, then again, and it waits longer.
    let attempts = "SELECT attempts::bigint FROM linked_case_retries";
    let (coordinator, mut lease) = alone(&stack).await;
    let before = count(&stack, attempts).await;
    coordinator.run(&mut lease, &|| false).await.unwrap();
    assert_eq!(count(&stack, attempts).await, before, "the clock stands still");
    lease.release().await.unwrap();
    stack.advance(SignedDuration::from_secs(20)).await;
    let again = Instant::now();
    while count(&stack, attempts).await == before {
        assert!(again.elapsed() < Duration::from_secs(30), "it is not tried again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Mended, it needs no event to go on.
    sqlx::query("UPDATE linked_cases SET document = $2::jsonb WHERE linked_case_id = $1")
        .bind(id)
        .bind(&sound)
        .execute(&mut superuser)
        .await
        .unwrap();
    stack.advance(SignedDuration::from_secs(60)).await;
    let ended = until(&stack, &broken.linked_case_id, |now| {
        now.state() == LinkedCaseState::Ended
    })
    .await;
    assert_eq!(
        states(&ended),
        [
            LinkedMemberState::Rejected,
            LinkedMemberState::Cancelled,
            LinkedMemberState::Cancelled
        ]
    );
    assert_eq!(count(&stack, "SELECT count(*) FROM linked_case_retries").await, 0);
    whole(&stack).await;
}

/// Waits until a lease was taken twice more: whoever took it and failed has given it back, long before it would have run out.
async fn taken_twice_more(stack: &Stack, lease: &'static str) {
    let fence = async || -> i64 {
        sqlx::query_scalar("SELECT coalesce(max(fence), 0) FROM egov.leases WHERE name = $1")
            .bind(lease)
            .fetch_one(&mut superuser(stack).await)
            .await
            .unwrap()
    };
    let (began, first) = (Instant::now(), fence().await);
    while fence().await < first + 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "{lease} is not given back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_round_that_fails_gives_its_lease_back() {
    let stack = Stack::start().await;
    let linked = filed(&stack).await;
    relayed(&stack).await;
    let mut superuser = superuser(&stack).await;
    for (table, lease) in [
        ("linked_case_members", LINKED_LEASE),
        ("statistic_sums", "onestop.statistics"),
    ] {
        let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
        let away = format!("{table}_away");
        sqlx::query(sqlx::AssertSqlSafe(rename(table, &away)))
            .execute(&mut superuser)
            .await
            .unwrap();
        if table == "linked_case_members" {
            // Something to follow.
            reject(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id).await;
        }
        taken_twice_more(&stack, lease).await;
        sqlx::query(sqlx::AssertSqlSafe(rename(&away, table)))
            .execute(&mut superuser)
            .await
            .unwrap();
    }
    until(&stack, &linked.linked_case_id, |now| {
        now.state() == LinkedCaseState::Ended
    })
    .await;
    whole(&stack).await;
}
