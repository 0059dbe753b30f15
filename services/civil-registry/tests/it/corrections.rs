//! Thay đổi, cải chính, bổ sung hộ tịch, xác định lại dân tộc, through the port.

use egov_civil_registry::rebuild_leaves::{rebuild_leaves, without_row};
use egov_proto::egov::civil_registry::v1::*;
use egov_transparency::{LogReport, verify_kind};
use tonic::Code;

use crate::support::*;

/// What a correction leaves behind, all told.
const TRACES: &str = "SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM corrections) + (SELECT count(*) FROM person_particulars)
                           + (SELECT count(*) FROM egov.leaves WHERE kind = 'civil_entry') + (SELECT count(*) FROM egov.counters)";

const NAME: &str = "birth.child.full_name";

async fn shown(client: &mut Client, entry: &Entry) -> GetEntryResponse {
    let request = GetEntryRequest {
        entry_id: entry.entry_id.clone(),
        ..Default::default()
    };
    client.entries.get_entry(request).await.unwrap().into_inner()
}

/// How many entries the verification finds wrong.
async fn found(stack: &Stack) -> usize {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    let expected = without_row("civil_entry");
    verify_kind(&stack.pool, "civil_entry", &rebuilt, expected, &mut report)
        .await
        .unwrap();
    report.findings.len()
}

/// A field, what stood there and what is to stand.
type Changed<'a> = (&'a str, &'a str, &'a str);

#[tokio::test]
async fn a_correction_is_a_further_entry_and_the_corrected_one_is_shown_as_it_was_and_as_it_stands() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    let entry = officer.register(birth()).await.unwrap();
    assert!(shown(&mut officer, &entry).await.current.is_none());
    let request = correction(
        &entry,
        CorrectionKind::Correction,
        &[
            (NAME, "Nguyễn Thị An Nhiên", "Nguyễn Thị An  Nhi"),
            ("birth.mother.date_of_birth", "1995-04", "1995-04-12"),
        ],
    );
    let status = officer.correct(request.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "BOOK_NOT_OPEN");
    let book = officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    let first = officer.correct(request.clone()).await.unwrap();
    let said = first.correction.clone().unwrap();
    assert_eq!(
        (
            first.event(),
            first.printed_number.as_str(),
            &first.book_id,
            said.position
        ),
        (EventKind::Change, "01/2026", &book.book_id, 1)
    );
    assert_eq!(said.corrected_entry_id, entry.entry_id);
    assert_eq!(said.fields[0].after, "Nguyễn Thị An Nhi", "in its normal form");
    assert_eq!(
        officer.correct(request.clone()).await.unwrap(),
        first,
        "the same request"
    );
    let reused = CorrectEntryRequest {
        note: "khác".to_owned(),
        ..request
    };
    assert_eq!(reason(&officer.correct(reused).await.unwrap_err()), "REQUEST_ID_REUSED");

    // The corrected entry is what it was; beside it stands what became of it.
    let read = shown(&mut officer, &entry).await;
    assert_eq!(
        (read.entry.as_ref(), read.corrections.as_slice()),
        (Some(&entry), [first.clone()].as_slice())
    );
    let mut expected = entry.clone();
    let of_birth = expected.birth.as_mut().unwrap();
    of_birth.child.as_mut().unwrap().full_name = "Nguyễn Thị An Nhi".to_owned();
    of_birth.mother.as_mut().unwrap().date_of_birth = day(1995, 4, 12);
    assert_eq!(read.current, Some(expected));

    // A name that is changed, by two at once: one of them finds what it says to stand there no more.
    let changing = || {
        correction(
            &entry,
            CorrectionKind::Change,
            &[(NAME, "Nguyễn Thị An Nhi", "Nguyễn Thị Bình")],
        )
    };
    let (mut one, mut two) = (officer.clone(), officer.clone());
    let both = tokio::join!(one.correct(changing()), two.correct(changing()));
    let (second, refused) = match both {
        (Ok(made), Err(status)) | (Err(status), Ok(made)) => (made, status),
        both => panic!("one of them changes it: {both:?}"),
    };
    assert_eq!(fields(&refused), ["correction.fields[0].before"]);
    assert_eq!((second.number, second.correction.unwrap().position), (2, 2));
    let supplement = correction(
        &entry,
        CorrectionKind::Supplement,
        &[("birth.mother.other_nationality", "", "JP")],
    );
    officer.correct(supplement).await.unwrap();
    let ethnicity = correction(
        &entry,
        CorrectionKind::Ethnicity,
        &[("birth.child.ethnic_group", "01", "02")],
    );
    officer.correct(ethnicity).await.unwrap();
    let read = shown(&mut officer, &entry).await;
    assert_eq!(read.corrections.len(), 4);
    let current = read.current.unwrap().birth.unwrap();
    let child = current.child.unwrap();
    assert_eq!(
        (child.full_name.as_str(), child.ethnic_group.as_str()),
        ("Nguyễn Thị Bình", "02")
    );
    assert_eq!(current.mother.unwrap().other_nationality, "JP");

    // Of persons it is known beside what was said before: what was wrong was otherwise from the beginning, what is changed is from now on.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let mut known: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT full_name, ethnic_group, valid_from::text FROM person_particulars WHERE full_name LIKE 'Nguyễn Thị%'",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let told = |name: &str, group: &str, from: &str| (name.to_owned(), group.to_owned(), from.to_owned());
    known.sort();
    let mut expected = vec![
        told("Nguyễn Thị An Nhiên", "01", "2026-11-13"),
        told("Nguyễn Thị An Nhi", "01", "2026-11-13"),
        told("Nguyễn Thị Bình", "01", "2026-11-23"),
        told("Nguyễn Thị Bình", "02", "2026-11-23"),
    ];
    expected.sort();
    assert_eq!(known, expected);

    // Which entry corrects which cannot be forced unseen.
    assert_eq!(found(&stack).await, 0);
    let mut app = stack.database.connect_as_app().await.unwrap();
    assert!(sqlx::query("DELETE FROM corrections").execute(&mut app).await.is_err());
    sqlx::raw_sql("SET session_replication_role = replica; DELETE FROM corrections WHERE position = 4")
        .execute(&mut superuser)
        .await
        .unwrap();
    assert_eq!(found(&stack).await, 1);
}

#[tokio::test]
async fn what_does_not_stand_there_or_cannot_is_named_and_nothing_is_corrected() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    officer.open_deaths(TRUONG_VINH, 2026).await.unwrap();
    officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    let entry = officer.register(birth()).await.unwrap();
    let died = officer.register_death(death()).await.unwrap();
    let before = stack.count(TRACES).await;
    let name = "Nguyễn Thị An Nhiên";
    let wrong: Vec<(CorrectionKind, Vec<Changed<'_>>, &str)> = vec![
        (
            CorrectionKind::Correction,
            vec![(NAME, "Nguyễn Thị An", "Nguyễn An"), ("birth.child.sex", "1", "3")],
            "correction.fields[0].before, correction.fields[1].before",
        ),
        (
            CorrectionKind::Change,
            vec![(NAME, name, name)],
            "correction.fields[0].after",
        ),
        (
            CorrectionKind::Change,
            vec![(NAME, name, "An 2")],
            "correction.fields[0].after",
        ),
        (
            CorrectionKind::Change,
            vec![(NAME, name, "")],
            "correction.fields[0].after",
        ),
        (
            CorrectionKind::Supplement,
            vec![(NAME, name, "Nguyễn An")],
            "correction.fields[0].before",
        ),
        (
            CorrectionKind::Ethnicity,
            vec![(NAME, name, "Nguyễn An")],
            "correction.fields[0].field",
        ),
        (
            CorrectionKind::Ethnicity,
            vec![("birth.child.ethnic_group", "01", "99")],
            "correction.fields[0].after",
        ),
        (
            CorrectionKind::Correction,
            vec![("birth.kind", "1", "2"), ("death.cause", "x", "y")],
            "correction.fields[0].field, correction.fields[1].field",
        ),
        (
            CorrectionKind::Correction,
            vec![("birth.child.date_of_birth", "2026-11-13", "2026-11-24")],
            "birth.child.date_of_birth",
        ),
    ];
    for (kind, said, named) in wrong {
        let status = officer.correct(correction(&entry, kind, &said)).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_FIELD"),
            "{named}: {status:?}"
        );
        assert_eq!(fields(&status).join(", "), named);
    }
    let right = || correction(&entry, CorrectionKind::Correction, &[("birth.child.sex", "2", "1")]);
    let mut worked_out = right();
    worked_out.correction.as_mut().unwrap().position = 1;
    let status = officer.correct(worked_out).await.unwrap_err();
    assert_eq!(fields(&status), ["correction.position"]);
    let mut too_early = right();
    too_early.registration_date = day(2026, 11, 19);
    let status = officer.correct(too_early).await.unwrap_err();
    assert_eq!(fields(&status), ["registration_date", "correction.basis.date"]);
    let unsigned = CorrectEntryRequest {
        signer_title: "Công chức tư pháp - hộ tịch".to_owned(),
        ..right()
    };
    assert_eq!(fields(&officer.correct(unsigned).await.unwrap_err()), ["signer_title"]);
    let status = stack.staff(READER, TRUONG_VINH).correct(right()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = stack.staff(OFFICER, THANH_VINH).correct(right()).await.unwrap_err();
    assert_eq!(reason(&status), "ENTRY_NOT_FOUND");
    assert_eq!(
        stack.count(TRACES).await,
        before,
        "nothing changed and no number was used"
    );

    // The same is entered where it fits, of a death as well; a correction is not corrected itself.
    let made = officer.correct(right()).await.unwrap();
    assert_eq!(made.number, 1);
    let of_death = correction(
        &died,
        CorrectionKind::Correction,
        &[
            ("death.cause", "Già yếu", "Bệnh tim"),
            ("death.deceased.date_of_birth", "1941", "1941-05"),
        ],
    );
    officer.correct(of_death).await.unwrap();
    let current = shown(&mut officer, &died).await.current.unwrap();
    assert_eq!(current.death.unwrap().cause, "Bệnh tim");
    let status = officer
        .correct(correction(
            &made,
            CorrectionKind::Correction,
            &[("birth.child.sex", "1", "2")],
        ))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "ENTRY_NOT_CORRECTABLE")
    );
}
