//! Kết quả as documents: issued with what is said of them, corrected, revoked; who does that, who reads it, what becomes of the store.

use egov_onestop::domain::verify::Rule;
use egov_onestop::operations::rebuild_leaves::rebuild_leaves;
use egov_proto::egov::onestop::v1::{
    ApproveCaseRequest, Case, CaseResult, CaseState, Channel as FilingChannel, CorrectResultRequest, GetFileRequest,
    ListOwnHistoryRequest, ListResultsRequest, PaperValidity, ResultChange, ResultForm, ResultMetadata, ResultStanding,
    ResultVersion, RevokeResultRequest, SetPaperValidityRequest, SubmitCaseRequest, TrackCaseRequest,
};
use jiff::civil::date;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::components::{papers, return_result, reuse, reuse_of};
use crate::generated::verified;
use crate::support::*;

const BIRTH_CERTIFICATE: &str = "KQ.G15.000031";

/// A second document, which is no copy of the first.
fn another_pdf() -> Vec<u8> {
    [PDF, b"%2\n"].concat()
}

fn metadata(has_file: bool) -> ResultMetadata {
    let form = if has_file {
        ResultForm::ElectronicOriginal
    } else {
        ResultForm::Unspecified
    };
    ResultMetadata {
        issue_date: Some(date(2026, 11, 23).into()),
        signer_name: " Trần  Văn Ký ".to_owned(),
        signer_title: "Chủ tịch UBND phường".to_owned(),
        valid_from: None,
        valid_until: None,
        form: form.into(),
    }
}

/// Decides a case of Trường Vinh with a result that is a file, of which this is said.
async fn approve_with(stack: &Stack, case: &Case, said: ResultMetadata) -> Result<Case, Status> {
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let file_id = upload(&leader, PDF).await;
    approve_as(
        &leader,
        case,
        CaseResult {
            result_code: BIRTH_CERTIFICATE.to_owned(),
            number: "01/2026".to_owned(),
            file_id,
            metadata: Some(said),
            ..Default::default()
        },
    )
    .await
}

async fn approve_as(leader: &Client, case: &Case, result: CaseResult) -> Result<Case, Status> {
    let request = ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        results: vec![result],
        reason: String::new(),
    };
    let answer = leader.clone().cases.approve_case(request).await?.into_inner();
    Ok(answer.case.unwrap())
}

/// A decided case of Trường Vinh whose result is described.
async fn described(stack: &Stack) -> Case {
    approve_with(stack, &processing(stack).await, metadata(true))
        .await
        .unwrap()
}

fn correction(case: &Case, number: &str, file_id: &str) -> CorrectResultRequest {
    CorrectResultRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        result_number: 1,
        number: number.to_owned(),
        file_id: file_id.to_owned(),
        metadata: Some(metadata(!file_id.is_empty())),
        reason: "Sai họ tên mẹ".to_owned(),
        legal_basis: "Điều 1".to_owned(),
    }
}

fn revocation(case: &Case) -> RevokeResultRequest {
    RevokeResultRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        result_number: 1,
        reason: "Cấp không đúng thẩm quyền".to_owned(),
        legal_basis: "Điều 2".to_owned(),
        decision_number: "12/QĐ-UBND".to_owned(),
    }
}

async fn correct_as(client: &Client, request: CorrectResultRequest) -> Result<Case, Status> {
    let answer = client.clone().results.correct_result(request).await?.into_inner();
    Ok(answer.case.unwrap())
}

async fn revoke_as(client: &Client, request: RevokeResultRequest) -> Result<Case, Status> {
    let answer = client.clone().results.revoke_result(request).await?.into_inner();
    Ok(answer.case.unwrap())
}

async fn list_as(client: &Client, case_id: &str) -> Result<Vec<ResultVersion>, Status> {
    let request = ListResultsRequest {
        case_id: case_id.to_owned(),
        ..Default::default()
    };
    Ok(client
        .clone()
        .results
        .list_results(request)
        .await?
        .into_inner()
        .versions)
}

/// Corrects the first result of a decided case, by the leader of its unit.
pub(crate) async fn correct(stack: &Stack, unit: i32, case: &Case) -> Case {
    let leader = stack.staff("unit_leader", unit);
    let file_id = upload(&leader, &another_pdf()).await;
    correct_as(&leader, correction(case, "01/2026-ĐC", &file_id))
        .await
        .unwrap()
}

async fn number(stack: &Stack, what: &'static str) -> i64 {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(what).fetch_one(&mut superuser).await.unwrap()
}

fn fields(status: &Status) -> Vec<String> {
    let fault = egov_fault::fault_of(status);
    fault.violations().iter().map(|one| one.field.clone()).collect()
}

async fn demand_whole(stack: &Stack) {
    let found = verified(stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn a_result_is_issued_with_what_is_said_of_it_and_what_the_case_knows_is_not_asked() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    // Everything that does not fit is named, and nothing happens.
    let wrong = ResultMetadata {
        issue_date: Some(date(2026, 11, 24).into()),
        valid_until: Some(date(2026, 11, 20).into()),
        form: ResultForm::Unspecified.into(),
        ..metadata(true)
    };
    let status = approve_with(&stack, &case, wrong).await.unwrap_err();
    let named = ["issue_date", "valid_until", "form"].map(|field| format!("results[0].metadata.{field}"));
    assert_eq!(fields(&status), named);
    let blank = ResultMetadata {
        signer_name: "  ".to_owned(),
        ..metadata(true)
    };
    let status = approve_with(&stack, &case, blank).await.unwrap_err();
    assert_eq!(fields(&status), ["results[0].metadata.signer_name"]);
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let worked_out = CaseResult {
        result_code: BIRTH_CERTIFICATE.to_owned(),
        standing: ResultStanding::Revoked.into(),
        ..Default::default()
    };
    let status = approve_as(&leader, &case, worked_out).await.unwrap_err();
    assert_eq!(fields(&status), ["results[0].standing"]);
    let without_file = CaseResult {
        result_code: BIRTH_CERTIFICATE.to_owned(),
        metadata: Some(metadata(true)),
        ..Default::default()
    };
    let status = approve_as(&leader, &case, without_file).await.unwrap_err();
    assert_eq!(fields(&status), ["results[0].metadata.form"]);
    let unchanged = get(&leader, &case.case_id).await.unwrap();
    assert_eq!(
        (unchanged.version, unchanged.state()),
        (case.version, CaseState::Processing)
    );
    assert_eq!(number(&stack, "SELECT count(*) FROM result_versions").await, 0);

    let approved = approve_with(&stack, &case, metadata(true)).await.unwrap();
    let result = &approved.results[0];
    assert_eq!(result.standing(), ResultStanding::InForce);
    let said = result.metadata.as_ref().unwrap();
    assert_eq!(said.signer_name, "Trần Văn Ký");
    assert_eq!(
        said.valid_from, said.issue_date,
        "from the day of issue, unless it says so"
    );
    let document = result.document.as_ref().unwrap();
    assert_eq!(
        (document.title.as_str(), document.issuing_unit_name.as_str()),
        ("Giấy khai sinh", "Phường Trường Vinh")
    );
    assert_eq!(
        (document.media_type.as_str(), document.sha256.as_str(), document.version),
        ("application/pdf", egov_files::Digest::of(PDF).to_string().as_str(), 1)
    );
    assert_eq!(get(&leader, &case.case_id).await.unwrap().results, approved.results);
    let listed = list_as(&leader, &case.case_id).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].change(), listed[0].current), (ResultChange::Issued, true));
    assert_eq!(listed[0].case_version, approved.version);
    assert!(!listed[0].actor_id.is_empty() && listed[0].record_time.is_some());

    // One of which nothing more is said is read all the same, and says so.
    let bare = approve(&stack, &processing(&stack).await).await;
    assert_eq!(bare.results[0].standing(), ResultStanding::InForce);
    assert!(bare.results[0].metadata.is_none() && bare.results[0].document.is_none());
    let listed = list_as(&leader, &bare.case_id).await.unwrap();
    assert_eq!((listed.len(), listed[0].version, listed[0].current), (1, 1, true));
    assert_eq!((listed[0].number.as_str(), listed[0].case_version), ("01/2026", 0));
    assert!(listed[0].metadata.is_none() && listed[0].document.is_none());
    for (what, expected) in [
        ("SELECT count(*) FROM result_versions", 1),
        ("SELECT count(*) FROM egov.leaves WHERE kind = 'result_version'", 1),
    ] {
        assert_eq!(number(&stack, what).await, expected, "{what}");
    }
    demand_whole(&stack).await;
}

#[tokio::test]
async fn a_correction_is_one_write_that_adds_a_version_and_leaves_the_one_before() {
    let stack = Stack::start().await;
    let approved = approve(&stack, &processing(&stack).await).await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let second = upload(&leader, &another_pdf()).await;
    let right = correction(&approved, "01/2026", &second);

    let acts = "SELECT count(*) FROM case_history";
    let before = number(&stack, acts).await;
    let strangers = upload(&stack.portal(citizen()), PDF).await;
    let refused = |change: fn(&mut CorrectResultRequest)| {
        let mut request = CorrectResultRequest {
            request_id: request_id(),
            ..right.clone()
        };
        change(&mut request);
        let leader = leader.clone();
        async move { correct_as(&leader, request).await.unwrap_err() }
    };
    let status = refused(|request| request.etag = "1-000000000000".to_owned()).await;
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "STALE_ETAG"));
    let status = refused(|request| request.result_number = 2).await;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "RESULT_NOT_FOUND")
    );
    let status = refused(|request| request.reason = " ".to_owned()).await;
    assert_eq!(fields(&status), ["reason"]);
    let status = refused(|request| request.metadata = None).await;
    assert_eq!(fields(&status), ["metadata"]);
    let status = refused(|request| request.file_id.clear()).await;
    assert_eq!(fields(&status), ["metadata.form"], "a form of no file");
    let status = correct_as(&leader, correction(&approved, "01/2026", &strangers))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "FILE_NOT_USABLE");
    let open = processing(&stack).await;
    let status = correct_as(&leader, correction(&open, "01/2026", "")).await.unwrap_err();
    assert_eq!(reason(&status), "RESULT_NOT_FOUND", "nothing was issued yet");
    let of_open = number(&stack, "SELECT version FROM cases WHERE state = 4").await;
    assert_eq!(number(&stack, acts).await, before + of_open, "nothing else was done");

    // The same request twice at once is one correction.
    let (one, two) = tokio::join!(correct_as(&leader, right.clone()), correct_as(&leader, right.clone()));
    let corrected = one.unwrap();
    assert_eq!(two.unwrap(), corrected);
    assert_eq!(corrected.state(), CaseState::Completed, "the state stays");
    assert_eq!(corrected.version, approved.version + 1);
    assert_eq!(corrected.results[0].standing(), ResultStanding::Corrected);
    assert_eq!(corrected.results[0].file_id, second);
    let document = corrected.results[0].document.as_ref().unwrap();
    assert_eq!(document.sha256, egov_files::Digest::of(&another_pdf()).to_string());
    let status = correct_as(&leader, correction(&corrected, "01/2026", &second))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "RESULT_UNCHANGED");
    // Of two others at once one is told that the case changed.
    let third = [
        correction(&corrected, "02/2026", &second),
        correction(&corrected, "03/2026", &second),
    ];
    let [one, two] = third.map(|request| correct_as(&leader, request));
    let status = match tokio::join!(one, two) {
        (Ok(_), Err(status)) | (Err(status), Ok(_)) => status,
        other => panic!("exactly one must succeed: {other:?}"),
    };
    assert_eq!(reason(&status), "STALE_ETAG");

    // Page by page, each version once; the first is what was issued.
    let listed = list_as(&leader, &approved.case_id).await.unwrap();
    let found: Vec<_> = listed
        .iter()
        .map(|one| (one.version, one.change(), one.current))
        .collect();
    assert_eq!(
        found,
        [
            (1, ResultChange::Issued, false),
            (2, ResultChange::Corrected, false),
            (3, ResultChange::Corrected, true)
        ]
    );
    assert_eq!(listed[0].file_id, approved.results[0].file_id);
    assert_eq!(
        (listed[1].reason.as_str(), listed[1].legal_basis.as_str()),
        ("Sai họ tên mẹ", "Điều 1")
    );
    let etag = get(&leader, &approved.case_id).await.unwrap().etag;
    let mut request = ListResultsRequest {
        case_id: approved.case_id.clone(),
        page_size: 1,
        ..Default::default()
    };
    let mut paged = Vec::new();
    loop {
        let page = leader.clone().results.list_results(request.clone()).await.unwrap();
        let page = page.into_inner();
        assert_eq!(page.etag, etag);
        paged.extend(page.versions);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(paged, listed);
    // The files of all versions stay the case's, and their owner's to read.
    for version in &listed {
        let look = GetFileRequest {
            file_id: version.file_id.clone(),
        };
        stack.portal(citizen()).files.get_file(look).await.unwrap();
    }

    for (what, expected) in [
        ("SELECT count(*) FROM result_versions", 2),
        ("SELECT count(*) FROM case_history WHERE operation = 'correct_result'", 2),
        (
            "SELECT count(*) FROM (SELECT kind FROM egov.outbox UNION ALL SELECT kind FROM egov.event_log) AS events
             WHERE kind = 'case_result_corrected'",
            2,
        ),
        (
            "SELECT count(*) FROM egov.leaves JOIN case_history ON resource_id = case_id AND leaves.version = case_history.version
             WHERE kind = 'case' AND operation = 'correct_result'",
            2,
        ),
    ] {
        assert_eq!(number(&stack, what).await, expected, "{what}");
    }
    // Versions are never changed: neither by the service nor by the owner of the tables.
    let mut app = stack.database.connect_as_app().await.unwrap();
    let mut owner = stack.database.connect_as_owner().await.unwrap();
    sqlx::query("SET egov.scope_all = 'on'")
        .execute(&mut owner)
        .await
        .unwrap();
    for forbidden in [
        "UPDATE result_versions SET content = '{}'",
        "DELETE FROM result_versions",
    ] {
        let code = |refused: sqlx::Error| refused.as_database_error().unwrap().code().unwrap().into_owned();
        let refused = sqlx::query(forbidden).execute(&mut app).await.unwrap_err();
        assert_eq!(code(refused), "42501", "{forbidden}");
        let refused = sqlx::query(forbidden).execute(&mut owner).await.unwrap_err();
        assert_eq!(code(refused), "EG002", "{forbidden}");
    }
    // What the ledger commits to can be worked out again.
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let leaves: Vec<(Uuid, i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT resource_id, version, commitment, salt FROM egov.leaves JOIN egov.leaf_salts USING (leaf_id)
         WHERE kind = 'result_version' ORDER BY version",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(leaves.iter().map(|leaf| leaf.1).collect::<Vec<_>>(), [2, 3]);
    for (resource, version, commitment, salt) in leaves {
        let again = rebuilt
            .iter()
            .find(|one| one.kind == "result_version" && one.resource == resource && one.version == version)
            .unwrap();
        let commits = egov_database::leaf_commitment(&salt, &again.canonical);
        assert_eq!(commits.as_slice(), commitment);
    }
    demand_whole(&stack).await;
}

#[tokio::test]
async fn a_revoked_result_stands_no_more_and_its_applicant_is_told() {
    let stack = Stack::start().await;
    let submitted = submit(&stack).await;
    let accepted = accept(&stack, submitted.case.as_ref().unwrap()).await.case.unwrap();
    let assigned = assign(&stack, &accepted).await;
    let approved = approve_with(&stack, &assigned, metadata(true)).await.unwrap();
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let mut blank = revocation(&approved);
    blank.decision_number = " ".to_owned();
    let status = revoke_as(&leader, blank).await.unwrap_err();
    assert_eq!(fields(&status), ["decision_number"]);

    let request = revocation(&approved);
    let revoked = revoke_as(&leader, request.clone()).await.unwrap();
    assert_eq!(revoke_as(&leader, request).await.unwrap(), revoked, "once");
    assert_eq!(revoked.state(), CaseState::Completed);
    assert_eq!(revoked.results[0].standing(), ResultStanding::Revoked);
    let status = revoke_as(&leader, revocation(&revoked)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "RESULT_REVOKED")
    );
    let status = correct_as(&leader, correction(&revoked, "02/2026", ""))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "RESULT_REVOKED");

    // The case ends like any other; what was revoked goes to nobody's store.
    let returned = return_result(&stack, &revoked).await;
    assert_eq!(returned.state(), CaseState::Returned);
    let own = stack.portal(citizen());
    assert_eq!(papers(&own, "").await.unwrap(), []);

    let track = TrackCaseRequest {
        case_code: approved.case_code.clone(),
        lookup_secret: submitted.lookup_secret,
    };
    let tracked = stack.public().cases.track_case(track).await.unwrap().into_inner();
    assert_eq!(tracked.results.len(), 1);
    assert_eq!(tracked.results[0].standing(), ResultStanding::Revoked);
    assert!(tracked.results[0].amend_time.is_some());
    let history = ListOwnHistoryRequest {
        case_id: approved.case_id.clone(),
        ..Default::default()
    };
    let history = own.clone().work.list_own_history(history).await.unwrap().into_inner();
    let told = history.entries.iter().find(|entry| entry.operation == "revoke_result");
    assert_eq!(told.unwrap().reason, "Cấp không đúng thẩm quyền");
    let listed = list_as(&own, &approved.case_id).await.unwrap();
    assert_eq!(listed.len(), 2);
    let last = &listed[1];
    assert_eq!((last.change(), last.current), (ResultChange::Revoked, true));
    assert_eq!(last.decision_number, "12/QĐ-UBND");
    assert_eq!((last.number.as_str(), &last.metadata), ("01/2026", &listed[0].metadata));
    assert!(listed.iter().all(|one| one.actor_id.is_empty()), "no official");
    let events =
        "SELECT count(*) FROM (SELECT kind FROM egov.outbox UNION ALL SELECT kind FROM egov.event_log) AS events
                  WHERE kind = 'case_result_revoked'";
    assert_eq!(number(&stack, events).await, 1);
    demand_whole(&stack).await;
}

/// What a neighbour tries on a case with results.
async fn neighbour_sees_nothing(stack: &Stack, case: &Case) {
    for role in ["unit_leader", "officer", "one_stop_clerk", "case_reader"] {
        let neighbour = stack.staff(role, THANH_VINH);
        let status = list_as(&neighbour, &case.case_id).await.unwrap_err();
        assert_eq!(reason(&status), "CASE_NOT_FOUND", "{role}");
    }
    let leader = stack.staff("unit_leader", THANH_VINH);
    let status = correct_as(&leader, correction(case, "02/2026", "")).await.unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_FOUND");
    let status = revoke_as(&leader, revocation(case)).await.unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_FOUND");
    let status = list_as(&stack.portal(Uuid::from_u128(0xC9)), &case.case_id)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_FOUND");
}

#[tokio::test]
async fn the_leader_of_the_unit_amends_who_reads_the_case_reads_its_results_and_a_neighbour_sees_nothing() {
    let stack = Stack::start().await;
    let case = described(&stack).await;
    neighbour_sees_nothing(&stack, &case).await;
    for role in ["officer", "one_stop_clerk", "case_reader"] {
        let client = stack.staff(role, TRUONG_VINH);
        assert_eq!(list_as(&client, &case.case_id).await.unwrap().len(), 1, "{role}");
        for status in [
            correct_as(&client, correction(&case, "02/2026", "")).await.unwrap_err(),
            revoke_as(&client, revocation(&case)).await.unwrap_err(),
        ] {
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::PermissionDenied, "PERMISSION_MISSING"),
                "{role}"
            );
        }
    }
    let own = stack.portal(citizen());
    assert_eq!(list_as(&own, &case.case_id).await.unwrap().len(), 1);
    let status = revoke_as(&own, revocation(&case)).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let token = stack.tokens.staff(Uuid::from_u128(5), &[("case_reader", TRUONG_VINH)]);
    let status = list_as(&stack.client(Some(token), None), &case.case_id)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PURPOSE_MISSING");
    let read = "SELECT count(*) FROM egov.read_records WHERE method LIKE '%/ListResults'
                AND '00000000-0000-0000-0000-0000000000c1'::uuid = ANY (subjects)";
    assert_eq!(number(&stack, read).await, 4, "three officials and the person");

    // The place of reception reads the results, and amends nothing.
    let clerk = stack.staff("one_stop_clerk", THANH_VINH);
    let request = SubmitCaseRequest {
        channel: FilingChannel::Counter.into(),
        receiving_unit_code: "16681".to_owned(),
        components: ["to_khai", "giay_chung_sinh", "giay_to_tuy_than"]
            .map(component)
            .to_vec(),
        ..birth_registration()
    };
    let received = clerk.clone().cases.submit_case(request).await.unwrap().into_inner();
    let accepted = accept(&stack, &received.case.unwrap()).await.case.unwrap();
    let assigned = assign(&stack, &accepted).await;
    let decided = approve_with(&stack, &assigned, metadata(true)).await.unwrap();
    assert_eq!(list_as(&clerk, &decided.case_id).await.unwrap().len(), 1);
    let there = stack.staff("unit_leader", THANH_VINH);
    let status = revoke_as(&there, revocation(&decided)).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    let fault = egov_fault::fault_of(&status);
    assert_eq!(fault.metadata()["permission"], "onestop.results.amend");
    demand_whole(&stack).await;
}

#[cfg(not(feature = "test-without-query-filter"))]
#[tokio::test]
async fn a_neighbour_sees_no_results_when_row_level_security_is_off() {
    use sqlx::Executor as _;

    let stack = Stack::start().await;
    let case = described(&stack).await;
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    for table in ["cases", "case_results", "result_versions", "case_history", "files"] {
        superuser
            .execute(sqlx::AssertSqlSafe(format!(
                "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"
            )))
            .await
            .unwrap();
    }
    neighbour_sees_nothing(&stack, &case).await;
}

/// A residence registration of the same person, for which a birth certificate of the store may stand.
async fn residence(stack: &Stack) -> Case {
    let request = SubmitCaseRequest {
        procedure_code: "1.004222".to_owned(),
        components: ["to_khai_ct01", RELATION].map(component).to_vec(),
        conditions: vec!["nguoi_than".to_owned()],
        subject: "Đăng ký thường trú".to_owned(),
        ..birth_registration()
    };
    let answer = stack.portal(citizen()).cases.submit_case(request).await.unwrap();
    answer.into_inner().case.unwrap()
}

/// Giấy tờ chứng minh quan hệ nhân thân.
const RELATION: &str = "giay_to_quan_he";

#[tokio::test]
async fn the_store_holds_the_newest_version_as_long_as_it_says_and_nothing_that_was_revoked() {
    let stack = Stack::start().await;
    let said = ResultMetadata {
        valid_from: Some(date(2026, 11, 25).into()),
        valid_until: Some(date(2027, 1, 31).into()),
        ..metadata(true)
    };
    let approved = approve_with(&stack, &processing(&stack).await, said).await.unwrap();
    let returned = return_result(&stack, &approved).await;
    let own = stack.portal(citizen());
    let first = papers(&own, "").await.unwrap().remove(0);
    assert_eq!(first.validity(), PaperValidity::NotYet);
    assert_eq!(first.valid_until, Some(date(2027, 1, 31).into()));
    let next = residence(&stack).await;
    let status = reuse(&own, reuse_of(&next, RELATION, &first)).await.unwrap_err();
    assert_eq!(reason(&status), "PAPER_NOT_VALID");
    assert_eq!(egov_fault::fault_of(&status).metadata()["validity"], "not_yet");

    // Corrected, the newest version takes the place of the one before; it holds from today on.
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let second = upload(&leader, &another_pdf()).await;
    let mut request = correction(&returned, "01/2026-ĐC", &second);
    request.metadata.as_mut().unwrap().valid_until = Some(date(2026, 12, 31).into());
    let corrected = correct_as(&leader, request).await.unwrap();
    assert_eq!(corrected.state(), CaseState::Returned);
    let stored = papers(&own, "").await.unwrap();
    assert_eq!(stored.len(), 2);
    let of = |validity| stored.iter().find(|paper| paper.validity() == validity).unwrap();
    let (newest, before) = (of(PaperValidity::Valid), of(PaperValidity::Replaced));
    assert_eq!(
        (&before.paper_id, &before.replaced_by),
        (&first.paper_id, &newest.paper_id)
    );
    assert_eq!(
        (newest.number.as_str(), &newest.file_ids),
        ("01/2026-ĐC", &vec![second])
    );
    let status = reuse(&own, reuse_of(&next, RELATION, &first)).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).metadata()["validity"], "replaced");
    let used = reuse(&own, reuse_of(&next, RELATION, newest)).await.unwrap();
    let item = used.items.iter().find(|item| item.component_code == RELATION).unwrap();
    let check = item.check.as_ref().unwrap();
    assert_eq!(
        check.valid_until,
        Some(date(2026, 12, 31).into()),
        "as the document says"
    );

    // That something else took its place goes for its next version, too.
    let overtaken = SetPaperValidityRequest {
        request_id: request_id(),
        paper_id: newest.paper_id.clone(),
        etag: newest.etag.clone(),
        replaced: true,
        reason: "Đã có giấy khác".to_owned(),
        ..Default::default()
    };
    leader.clone().components.set_paper_validity(overtaken).await.unwrap();
    let third = upload(&leader, &another_pdf()).await;
    let corrected = correct_as(&leader, correction(&corrected, "02/2026-ĐC", &third))
        .await
        .unwrap();
    let stored = papers(&own, "").await.unwrap();
    let third = stored.iter().find(|paper| paper.file_ids == [third.as_str()]).unwrap();
    assert_eq!((third.validity(), stored.len()), (PaperValidity::Replaced, 3));
    let third = third.paper_id.clone();

    // Revoked, it is used no more, and nobody makes it valid again.
    revoke_as(&leader, revocation(&corrected)).await.unwrap();
    let stored = papers(&own, "").await.unwrap();
    let revoked = stored.iter().find(|paper| paper.paper_id == third).unwrap();
    assert_eq!(revoked.validity(), PaperValidity::Revoked);
    let another = residence(&stack).await;
    let found = papers(&own, &another.case_id).await.unwrap();
    assert!(found.iter().all(|paper| paper.stands_for.is_empty()), "{found:?}");
    let status = reuse(&own, reuse_of(&another, RELATION, revoked)).await.unwrap_err();
    assert_eq!(reason(&status), "PAPER_NOT_VALID");
    assert_eq!(egov_fault::fault_of(&status).metadata()["validity"], "revoked");
    let back = SetPaperValidityRequest {
        request_id: request_id(),
        paper_id: revoked.paper_id.clone(),
        etag: revoked.etag.clone(),
        replaced: true,
        reason: "Nhầm".to_owned(),
        ..Default::default()
    };
    let status = leader.clone().components.set_paper_validity(back).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).metadata()["validity"], "revoked");
    for (what, expected) in [
        ("SELECT count(*) FROM paper_acts WHERE act = 'store'", 3),
        ("SELECT count(*) FROM paper_acts WHERE act = 'set_validity'", 2),
        ("SELECT count(*) FROM paper_acts WHERE act = 'revoke'", 1),
    ] {
        assert_eq!(number(&stack, what).await, expected, "{what}");
    }
    demand_whole(&stack).await;
}

#[tokio::test]
async fn the_verification_names_versions_that_are_missing_or_changed_and_files_that_are_others() {
    let stack = Stack::start().await;
    let mut cases = Vec::new();
    for _ in 0..3 {
        cases.push(correct(&stack, TRUONG_VINH, &described(&stack).await).await);
    }
    let ids: Vec<Uuid> = cases.iter().map(|case| case.case_id.parse().unwrap()).collect();
    demand_whole(&stack).await;

    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query("SET session_replication_role = replica")
        .execute(&mut superuser)
        .await
        .unwrap();
    let tampered = [
        "DELETE FROM result_versions WHERE case_id = $1 AND version = 1",
        "UPDATE result_versions SET content = replace(content, 'họ tên mẹ', 'họ tên bố') WHERE case_id = $1 AND version = 2",
        "UPDATE files SET sha256 = repeat('0', 64) WHERE case_id = $1",
    ];
    for (sql, case_id) in tampered.into_iter().zip(&ids) {
        let changed = sqlx::query(sql).bind(case_id).execute(&mut superuser).await.unwrap();
        assert!(changed.rows_affected() > 0, "{sql}");
    }
    let found = verified(&stack).await;
    for case_id in &ids {
        let named = found
            .violations
            .iter()
            .any(|one| one.case_id == Some(*case_id) && one.rule == Rule::Results);
        assert!(named, "{case_id} is not named in {:#?}", found.violations);
    }
    // The changed row is not what its leaf commits to, and of the deleted one the leaf is left.
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    let leaves: Vec<(Uuid, i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT resource_id, version, commitment, salt FROM egov.leaves JOIN egov.leaf_salts USING (leaf_id)
         WHERE kind = 'result_version'",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let (mut missing, mut different) = (0, 0);
    for (resource, version, commitment, salt) in &leaves {
        let row = rebuilt
            .iter()
            .find(|one| one.kind == "result_version" && one.resource == *resource && one.version == *version);
        match row {
            None => missing += 1,
            Some(row) => {
                let commits = egov_database::leaf_commitment(salt, &row.canonical);
                different += i32::from(commits.as_slice() != commitment.as_slice());
            }
        }
    }
    assert_eq!((leaves.len(), missing, different), (6, 1, 1));
}
