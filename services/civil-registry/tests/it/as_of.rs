//! Entries, persons and families as they were true on a day and as they were known on one, through the port.

use egov_proto::egov::civil_registry::v1::*;
use egov_proto::google::r#type::Date;
use jiff::SignedDuration;
use tonic::Status;

use crate::support::*;

const NAME: &str = "birth.child.full_name";

/// The two days of a question; the day of the month of November 2026.
type Days = (Option<i32>, Option<i32>);

fn november(number: Option<i32>) -> Option<Date> {
    number.and_then(|number| day(2026, 11, number))
}

async fn entry_at(client: &mut Client, entry: &Entry, (valid, known): Days) -> Result<GetEntryResponse, Status> {
    let request = GetEntryRequest {
        entry_id: entry.entry_id.clone(),
        valid_on: november(valid),
        known_on: november(known),
    };
    Ok(client.entries.get_entry(request).await?.into_inner())
}

async fn person_at(client: &mut Client, person_id: &str, (valid, known): Days) -> Result<GetPersonResponse, Status> {
    let request = GetPersonRequest {
        person_id: person_id.to_owned(),
        valid_on: november(valid),
        known_on: november(known),
    };
    Ok(client.persons.get_person(request).await?.into_inner())
}

/// Name and home town of the child as the entry stands with its corrections, and how many there are.
fn stands(shown: &GetEntryResponse) -> (String, String, usize) {
    let entry = shown.current.as_ref().or(shown.entry.as_ref()).unwrap();
    let child = entry.birth.clone().unwrap().child.unwrap();
    (child.full_name, child.home_town, shown.corrections.len())
}

/// Spouses of whom a person is told.
fn spouses(told: &GetPersonResponse) -> usize {
    let relations = told.relations.iter();
    relations.filter(|one| one.kind() == FamilyRelationKind::Spouse).count()
}

#[tokio::test]
async fn an_entry_and_a_family_are_shown_as_they_were_true_on_a_day_and_known_on_another() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    officer.open_marriages(TRUONG_VINH, 2026).await.unwrap();
    // The 23rd: a birth and the marriage of its parents.
    let birth = officer.register(birth()).await.unwrap();
    let married = officer.marry(marriage()).await.unwrap();
    let child = birth.birth.clone().unwrap().child.unwrap();
    let wife = married.marriage.clone().unwrap().wife.unwrap().person_id;

    // The 25th: the name is changed. The 27th: the home town was wrong from the beginning, and a divorce of the 26th is noted.
    stack.advance(SignedDuration::from_hours(48)).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let request = correction(
        &birth,
        CorrectionKind::Change,
        &[(NAME, "Nguyễn Thị An Nhiên", "Nguyễn Thị Bình")],
    );
    let changed = officer.correct(request).await.unwrap();
    stack.advance(SignedDuration::from_hours(48)).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let town = [(
        "birth.child.home_town",
        child.home_town.as_str(),
        "Xã Nam Đàn, tỉnh Nghệ An",
    )];
    let corrected = officer
        .correct(correction(&birth, CorrectionKind::Correction, &town))
        .await
        .unwrap();
    let divorce = AnnotateEntryRequest {
        kind: AnnotationKind::Marriage.into(),
        marriage_outcome: MarriageOutcome::Divorced.into(),
        effective_date: day(2026, 11, 26),
        ..annotation(&married)
    };
    officer.annotate(divorce).await.unwrap();
    stack.advance(SignedDuration::from_hours(24)).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);

    // True on a day, as known now and as known then.
    let (old, new) = (child.full_name.clone(), "Nguyễn Thị Bình".to_owned());
    let (wrong, right) = (child.home_town.clone(), "Xã Nam Đàn, tỉnh Nghệ An".to_owned());
    for (days, expected) in [
        ((None, None), (&new, &right, 2)),
        ((Some(24), None), (&old, &right, 1)),
        ((Some(25), None), (&new, &right, 2)),
        ((None, Some(24)), (&old, &wrong, 0)),
        ((None, Some(26)), (&new, &wrong, 1)),
        ((Some(24), Some(26)), (&old, &wrong, 0)),
        ((Some(25), Some(27)), (&new, &right, 2)),
    ] {
        let shown = entry_at(&mut officer, &birth, days).await.unwrap();
        assert_eq!(
            shown.entry.as_ref(),
            Some(&birth),
            "as it was entered, whenever it is asked"
        );
        let (name, town, count) = expected;
        assert_eq!(stands(&shown), (name.clone(), town.clone(), count), "{days:?}");
        assert_eq!(shown.current.is_none(), count == 0, "{days:?}");
    }
    let shown = entry_at(&mut officer, &birth, (Some(24), None)).await.unwrap();
    assert_eq!(shown.corrections, std::slice::from_ref(&corrected));

    // Of the person one row for each entry that tells of it, with the entry by which it became so; nothing before the birth.
    let told = person_at(&mut officer, &child.person_id, (Some(24), None))
        .await
        .unwrap();
    let [said] = told.particulars.as_slice() else {
        panic!("one entry tells of the child: {told:?}");
    };
    assert_eq!((&said.full_name, &said.entry_id), (&old, &birth.entry_id));
    assert_eq!((said.valid_from, told.relations.len()), (child.date_of_birth, 2));
    let told = person_at(&mut officer, &child.person_id, (Some(25), None))
        .await
        .unwrap();
    assert_eq!(
        (told.particulars[0].full_name.clone(), told.particulars[0].valid_from),
        (new.clone(), day(2026, 11, 25))
    );
    assert_eq!(told.particulars[0].entry_id, changed.entry_id);
    let told = person_at(&mut officer, &child.person_id, (Some(12), None))
        .await
        .unwrap();
    assert_eq!((told.particulars.len(), told.relations.len()), (0, 0));
    let told = person_at(&mut officer, &child.person_id, (None, Some(24)))
        .await
        .unwrap();
    assert_eq!(told.particulars.len(), 1, "what was told by then");

    // The family: married until the day of the divorce, and as it was known before it was noted still on that day.
    for (days, expected) in [
        ((Some(22), None), 0),
        ((Some(25), None), 1),
        ((Some(26), None), 0),
        ((Some(26), Some(26)), 1),
        ((None, None), 2),
    ] {
        let told = person_at(&mut officer, &wife, days).await.unwrap();
        assert_eq!(spouses(&told), expected, "{days:?}");
    }
    for (days, expected) in [((Some(25), None), 0), ((Some(26), None), 1), ((None, Some(26)), 0)] {
        let shown = entry_at(&mut officer, &married, days).await.unwrap();
        assert_eq!(shown.annotations.len(), expected, "{days:?}");
    }

    // What was known on a past day stays what it is, whatever is entered later.
    let before = entry_at(&mut officer, &birth, (Some(26), Some(26))).await.unwrap();
    let later = [(NAME, "Nguyễn Thị Bình", "Nguyễn Thị Chi")];
    officer
        .correct(correction(&birth, CorrectionKind::Correction, &later))
        .await
        .unwrap();
    assert_eq!(
        entry_at(&mut officer, &birth, (Some(26), Some(26))).await.unwrap(),
        before
    );
    // A correction of what was changed is true since the change, and not of the name before.
    let told = |shown: GetEntryResponse| stands(&shown).0;
    assert_eq!(
        told(entry_at(&mut officer, &birth, (Some(24), None)).await.unwrap()),
        old
    );
    assert_eq!(
        told(entry_at(&mut officer, &birth, (Some(25), None)).await.unwrap()),
        "Nguyễn Thị Chi"
    );

    // What was not known yet is not found; days that are not over, or to come, are refused by name.
    let status = entry_at(&mut officer, &birth, (None, Some(22))).await.unwrap_err();
    assert_eq!(reason(&status), "ENTRY_NOT_FOUND");
    let status = person_at(&mut officer, &child.person_id, (None, Some(22)))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERSON_NOT_FOUND");
    let status = entry_at(&mut officer, &birth, (Some(29), Some(28))).await.unwrap_err();
    assert_eq!(fields(&status), ["valid_on", "known_on"]);
    let status = person_at(&mut officer, &child.person_id, (Some(31), None))
        .await
        .unwrap_err();
    assert_eq!(fields(&status), ["valid_on"], "the 31st of November");
}
