//! Giấy tờ hộ tịch, through the port.

use egov_civil_registry::domain::paper::Form;
use egov_civil_registry::rebuild_leaves::{rebuild_leaves, without_row};
use egov_ledger::Receipt;
use egov_papers::Press;
use egov_proto::egov::civil_registry::v1::*;
use egov_transparency::{LogReport, verify_kind};
use jiff::SignedDuration;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use tonic::Code;

use crate::support::*;

/// What an issue leaves behind, all told.
const TRACES: &str =
    "SELECT (SELECT count(*) FROM papers) + (SELECT count(*) FROM egov.leaves WHERE kind LIKE 'civil_paper%')";

/// What was laid out for a printed paper.
pub(crate) fn laid_out(printed: &GetPaperResponse) -> Form {
    serde_json::from_slice(printed.pdf.strip_prefix(PDF).unwrap()).unwrap()
}

/// The value of a field of a paper.
pub(crate) fn value(form: &Form, code: &str) -> String {
    let form = serde_json::to_value(form).unwrap();
    let blocks = form["blocks"].as_array().unwrap();
    let found = blocks.iter().find(|block| block["code"] == code);
    found.unwrap_or_else(|| panic!("no field {code}"))["value"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// How a paper stands, for anybody who holds it.
async fn verified(stack: &Stack, printed: &GetPaperResponse) -> VerifyPaperResponse {
    let request = VerifyPaperRequest {
        paper_id: printed.paper.clone().unwrap().paper_id,
        check_code: printed.check_code.to_lowercase().replace('-', " "),
    };
    let mut anybody = stack.client(None, None);
    anybody.papers.verify_paper(request).await.unwrap().into_inner()
}

async fn listed(client: &mut Client, entry_id: &str) -> Vec<IssuedPaper> {
    let request = ListPapersRequest {
        entry_id: entry_id.to_owned(),
        ..Default::default()
    };
    client.papers.list_papers(request).await.unwrap().into_inner().papers
}

/// How many papers the verification finds wrong.
async fn found(stack: &Stack) -> usize {
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    let mut report = LogReport::default();
    for kind in ["civil_paper", "civil_paper_revocation"] {
        verify_kind(&stack.pool, kind, &rebuilt, without_row(kind), &mut report)
            .await
            .unwrap();
    }
    report.findings.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paper_of_any_date_is_printed_again_byte_for_byte_and_is_superseded_by_a_correction() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    officer.open_deaths(TRUONG_VINH, 2026).await.unwrap();
    officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    let entry = officer.register(birth_with_number("040326000777")).await.unwrap();
    let request = IssuePaperRequest {
        copies: 2,
        ..paper(&entry, PaperKind::Certificate)
    };
    let issued = officer.issue(request.clone()).await.unwrap();
    assert_eq!(
        (issued.title.as_str(), issued.printed_number.as_str(), issued.copies),
        ("Giấy khai sinh", "01/2026", 2)
    );
    assert_eq!(
        (issued.state(), issued.issue_date),
        (PaperState::Valid, day(2026, 11, 23))
    );
    assert_eq!(issued.recipient_name, "Nguyễn Văn Cha", "in its normal form");
    assert_eq!(
        officer.issue(request.clone()).await.unwrap(),
        issued,
        "the same request"
    );
    let reused = IssuePaperRequest { copies: 3, ..request };
    assert_eq!(reason(&officer.issue(reused).await.unwrap_err()), "REQUEST_ID_REUSED");

    // Until the ledger has placed it, its QR code cannot say anything.
    let (mut waiting, mut other) = (officer.clone(), officer.clone());
    let (unsealed, dead) = tokio::join!(waiting.paper(&issued.paper_id), other.register_death(death()));
    let status = unsealed.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "PAPER_NOT_SEALED")
    );
    stack.sequence().await;
    let (mut one, mut two) = (officer.clone(), officer.clone());
    let both = tokio::join!(one.paper(&issued.paper_id), two.paper(&issued.paper_id));
    let first = both.0.unwrap();
    assert_eq!(both.1.unwrap(), first, "of two who ask first both get the same");
    let form = laid_out(&first);
    assert_eq!(
        (
            form.title.as_str(),
            form.number.as_str(),
            form.symbol.as_str(),
            &form.qr
        ),
        ("Giấy khai sinh", "01", "2026", &first.qr)
    );
    assert_eq!(value(&form, "birth.child.full_name"), "Nguyễn Thị An Nhiên");
    assert_eq!(value(&form, "birth.mother.date_of_birth"), "04/1995");
    assert_eq!(value(&form, "birth.child.ethnic_group"), "Kinh");
    assert!(
        form.form_number.is_empty()
            && form
                .notes
                .iter()
                .any(|note| note.contains("không thay cho mẫu chính thức"))
    );
    assert!(form.notes[0].contains(&issued.paper_id) && form.notes[0].contains(&first.check_code));

    // The real press takes it, and prints the same bytes whichever press it is.
    let content = first.pdf.strip_prefix(PDF).unwrap().to_vec();
    let pages = [Press::new().unwrap(), Press::new().unwrap()].map(|press| press.print_json(&content).unwrap());
    assert!(pages[0].pdf.starts_with(b"%PDF-1.7") && pages[0] == pages[1] && pages[0].replaced.is_empty());

    // Offline: the log signed that this paper was issued, and a changed code proves nothing.
    let receipt = Receipt::read(first.qr.as_bytes()).unwrap();
    receipt.verify(&stack.log.keys(1).unwrap()).unwrap();
    assert_eq!(
        (receipt.entry.kind.as_str(), receipt.entry.resource.to_string()),
        ("civil_paper", issued.paper_id.clone())
    );
    let mut forged = receipt;
    forged.entry.resource = uuid::Uuid::nil();
    assert!(forged.verify(&stack.log.keys(1).unwrap()).is_err());

    // A correction supersedes it; what was printed stays what it was, also after the law has changed.
    let shown = verified(&stack, &first).await;
    assert_eq!(
        (shown.state(), shown.unit_name.as_str()),
        (PaperState::Valid, "Phường Trường Vinh")
    );
    let change = [("birth.child.full_name", "Nguyễn Thị An Nhiên", "Nguyễn Thị An Nhi")];
    let correcting = correction(&entry, CorrectionKind::Correction, &change);
    let corrected = officer.correct(correcting).await.unwrap();
    assert_eq!(verified(&stack, &first).await.state(), PaperState::Superseded);
    stack.advance(SignedDuration::from_hours(24 * 100)).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    stack.sequence().await;
    let again = officer.paper(&issued.paper_id).await.unwrap();
    assert_eq!((&again.pdf, &again.qr), (&first.pdf, &first.qr));
    assert_eq!(again.paper.unwrap().state(), PaperState::Superseded);

    // What is issued now says what stands now, by the names of now.
    let dead = dead.unwrap();
    let wanted = [
        (&entry, PaperKind::Certificate, true, "Giấy khai sinh"),
        (
            &corrected,
            PaperKind::Extract,
            false,
            "Trích lục thay đổi, cải chính, bổ sung hộ tịch, xác định lại dân tộc",
        ),
        (&dead, PaperKind::Extract, false, "Giấy chứng tử"),
    ];
    let mut papers = Vec::new();
    for (entry, kind, is_copy, title) in wanted {
        let request = IssuePaperRequest {
            is_copy,
            ..paper(entry, kind)
        };
        let issued = officer.issue(request).await.unwrap();
        assert_eq!((issued.title.as_str(), issued.is_copy), (title, is_copy));
        papers.push(issued);
    }
    stack.sequence().await;
    let copy = officer.paper(&papers[0].paper_id).await.unwrap();
    let form = laid_out(&copy);
    assert_eq!(value(&form, "birth.child.full_name"), "Nguyễn Thị An Nhi");
    assert_eq!(form.subtitle, "(Bản sao)");
    let extract = laid_out(&officer.paper(&papers[1].paper_id).await.unwrap());
    assert_eq!(value(&extract, "correction.kind"), "Cải chính hộ tịch");
    assert_eq!(value(&extract, "correction.names"), "Nguyễn Thị An Nhi");
    let fields = serde_json::to_value(&extract).unwrap()["blocks"][3]["rows"][0].clone();
    assert_eq!(
        fields,
        Value::from(vec!["Họ, chữ đệm, tên", "Nguyễn Thị An Nhiên", "Nguyễn Thị An Nhi"])
    );
    let of_death = laid_out(&officer.paper(&papers[2].paper_id).await.unwrap());
    assert_eq!(value(&of_death, "death.date_of_death"), "04:30 ngày 13/11/2026");
    assert!(
        !serde_json::to_string(&of_death).unwrap().contains("Già yếu"),
        "the cause stands on no paper"
    );

    // The log of issues: the latest first, with how each stands.
    let log = listed(&mut officer, &entry.entry_id).await;
    let states: Vec<_> = log.iter().map(|one| (one.paper_id.as_str(), one.state())).collect();
    assert_eq!(
        states,
        [
            (papers[0].paper_id.as_str(), PaperState::Valid),
            (issued.paper_id.as_str(), PaperState::Superseded)
        ]
    );
    assert_eq!(
        (log[1].issuer_id.as_str(), log[1].copies),
        (issued.issuer_id.as_str(), 2)
    );
    let recorded = stack
        .count(
            "SELECT count(*) FROM egov.read_records WHERE method LIKE '%PaperService%' AND cardinality(subjects) > 0",
        )
        .await;
    assert!(recorded >= 6, "{recorded}: each read is recorded with its subjects");

    // Revoked by the chair, once.
    let revoking = || RevokePaperRequest {
        request_id: request_id(),
        paper_id: papers[0].paper_id.clone(),
        reason: "Cấp nhầm".to_owned(),
        basis_number: "15/QĐ-UBND".to_owned(),
    };
    let status = officer.papers.revoke_paper(revoking()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let mut chair = stack.staff(CHAIR, TRUONG_VINH);
    let answer = chair.papers.revoke_paper(revoking()).await.unwrap().into_inner();
    let revoked = answer.paper.unwrap();
    assert_eq!(
        (revoked.state(), revoked.revocation.unwrap().revoke_date),
        (PaperState::Revoked, day(2027, 3, 3))
    );
    let status = chair.papers.revoke_paper(revoking()).await.unwrap_err();
    assert_eq!(reason(&status), "PAPER_REVOKED");
    let shown = verified(&stack, &copy).await;
    assert_eq!(
        (shown.state(), shown.revoke_date),
        (PaperState::Revoked, day(2027, 3, 3))
    );
    assert_eq!(officer.paper(&papers[0].paper_id).await.unwrap().pdf, copy.pdf);

    // History: nobody changes it, and whoever forces it is found.
    assert_eq!(found(&stack).await, 0);
    let mut app = stack.database.connect_as_app().await.unwrap();
    for table in ["papers", "paper_seals", "paper_revocations"] {
        for sql in [
            format!("DELETE FROM {table}"),
            format!("UPDATE {table} SET responsible_unit_id = 3"),
        ] {
            assert!(sqlx::query(AssertSqlSafe(sql)).execute(&mut app).await.is_err());
        }
    }
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::raw_sql("SET session_replication_role = replica; UPDATE papers SET copies = 7; UPDATE paper_revocations SET reason = ''")
        .execute(&mut superuser)
        .await
        .unwrap();
    assert_eq!(found(&stack).await, 5);
}

#[tokio::test]
async fn what_is_no_paper_of_an_entry_is_refused_and_a_divorce_supersedes_the_certificate_of_a_marriage() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open_deaths(TRUONG_VINH, 2026).await.unwrap();
    officer.open_marriages(TRUONG_VINH, 2026).await.unwrap();
    let dead = officer.register_death(death()).await.unwrap();
    let status = officer.issue(paper(&dead, PaperKind::Certificate)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "PAPER_NOT_OF_THIS_ENTRY")
    );
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    let status = neighbour.issue(paper(&dead, PaperKind::Extract)).await.unwrap_err();
    assert_eq!(reason(&status), "ENTRY_NOT_FOUND");
    let nobodys = IssuePaperRequest {
        entry_id: request_id(),
        ..paper(&dead, PaperKind::Extract)
    };
    assert_eq!(reason(&officer.issue(nobodys).await.unwrap_err()), "ENTRY_NOT_FOUND");
    for role in [CHAIR, READER] {
        let status = stack
            .staff(role, TRUONG_VINH)
            .issue(paper(&dead, PaperKind::Extract))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{role}");
    }
    let unsigned = IssuePaperRequest {
        signer_title: "Văn thư".to_owned(),
        ..paper(&dead, PaperKind::Extract)
    };
    assert_eq!(fields(&officer.issue(unsigned).await.unwrap_err()), ["signer_title"]);
    let blank = IssuePaperRequest {
        recipient_name: "  ".to_owned(),
        signer_name: " ".to_owned(),
        ..paper(&dead, PaperKind::Extract)
    };
    assert_eq!(
        fields(&officer.issue(blank).await.unwrap_err()),
        ["recipient_name", "signer_name"]
    );
    let none = IssuePaperRequest {
        copies: 0,
        ..paper(&dead, PaperKind::Extract)
    };
    assert_eq!(fields(&officer.issue(none).await.unwrap_err()), ["copies"]);
    assert_eq!(stack.count(TRACES).await, 0, "a refusal leaves nothing");

    let married = officer.marry(marriage()).await.unwrap();
    let issued = officer.issue(paper(&married, PaperKind::Certificate)).await.unwrap();
    assert_eq!(issued.title, "Giấy chứng nhận kết hôn");
    stack.sequence().await;
    let certificate = officer.paper(&issued.paper_id).await.unwrap();
    assert_eq!(value(&laid_out(&certificate), "marriage.wife.full_name"), "Trần Thị Vợ");

    // Not for the neighbour, nobody's, and not without a purpose; who holds no paper is told nothing.
    let status = neighbour.paper(&issued.paper_id).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "PAPER_NOT_FOUND")
    );
    assert!(listed(&mut neighbour, "").await.is_empty());
    assert_eq!(
        reason(&officer.paper(&request_id()).await.unwrap_err()),
        "PAPER_NOT_FOUND"
    );
    let mut purposeless = stack.client(Some(stack.token(OFFICER, TRUONG_VINH)), None);
    assert!(purposeless.paper(&issued.paper_id).await.is_err());
    let mut anybody = stack.client(None, None);
    for (paper_id, check_code) in [
        (issued.paper_id.clone(), "2222-2222-2222".to_owned()),
        (request_id(), certificate.check_code.clone()),
    ] {
        let request = VerifyPaperRequest { paper_id, check_code };
        let status = anybody.papers.verify_paper(request).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "PAPER_NOT_GENUINE")
        );
    }
    let mut province = stack.staff(READER, PROVINCE);
    assert_eq!(
        listed(&mut province, &married.entry_id).await,
        std::slice::from_ref(&issued)
    );

    let divorce = AnnotateEntryRequest {
        kind: AnnotationKind::Marriage.into(),
        text: "Đã ly hôn".to_owned(),
        basis: Some(AnnotationBasis {
            number: "31/2026/HNGĐ-ST".to_owned(),
            date: day(2026, 11, 23),
            authority: "Toà án nhân dân khu vực 1 - Nghệ An".to_owned(),
        }),
        marriage_outcome: MarriageOutcome::Divorced.into(),
        effective_date: day(2026, 11, 23),
        ..annotation(&married)
    };
    officer.annotate(divorce).await.unwrap();
    assert_eq!(verified(&stack, &certificate).await.state(), PaperState::Superseded);
    let extract = officer.issue(paper(&married, PaperKind::Extract)).await.unwrap();
    stack.sequence().await;
    let extract = officer.paper(&extract.paper_id).await.unwrap();
    assert!(value(&laid_out(&extract), "annotations.0").starts_with("Đã ly hôn (31/2026/HNGĐ-ST"));
    assert_eq!(verified(&stack, &extract).await.state(), PaperState::Valid);
}
