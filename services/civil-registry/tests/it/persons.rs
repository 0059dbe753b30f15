//! What the registry tells of a person, through the port.

use egov_proto::egov::civil_registry::v1::*;
use tonic::Code;
use uuid::Uuid;

use crate::support::*;

#[tokio::test]
async fn a_person_is_told_with_both_times_and_family_to_whom_the_entries_may_be_shown() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    let entry = officer.register(birth()).await.unwrap();
    let child = entry.birth.clone().unwrap().child.unwrap();
    let request = correction(&entry, CorrectionKind::Correction, &[("birth.child.sex", "2", "1")]);
    let corrected = officer.correct(request).await.unwrap();

    let asked = GetPersonRequest {
        person_id: child.person_id.clone(),
        ..Default::default()
    };
    let told = officer.persons.get_person(asked.clone()).await.unwrap().into_inner();
    let mut entries: Vec<_> = told.particulars.iter().map(|one| one.entry_id.clone()).collect();
    entries.sort_unstable();
    let mut expected = vec![entry.entry_id.clone(), corrected.entry_id];
    expected.sort_unstable();
    assert_eq!(entries, expected, "nothing that was told is lost");
    let first = told
        .particulars
        .iter()
        .find(|one| one.entry_id == entry.entry_id)
        .unwrap();
    assert_eq!((&first.full_name, first.sex), (&child.full_name, child.sex));
    assert_eq!(
        (first.date_of_birth, first.record_time),
        (child.date_of_birth, entry.record_time)
    );
    assert!(!told.relations.is_empty());
    assert!(
        told.relations
            .iter()
            .all(|one| one.person_id == child.person_id && one.valid_to.is_none())
    );

    // The neighbour's row, nobody's, and who may not ask at all.
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    let nobodys = GetPersonRequest {
        person_id: request_id(),
        ..Default::default()
    };
    for status in [
        neighbour.persons.get_person(asked.clone()).await.unwrap_err(),
        officer.persons.get_person(nobodys).await.unwrap_err(),
    ] {
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "PERSON_NOT_FOUND")
        );
    }
    // A change of sex is guarded: the province reads it by a role beside the reader's.
    let both = [(READER, PROVINCE), (GUARDED_READER, PROVINCE)];
    let province = stack.tokens.staff(Uuid::from_u128(0x77), &both);
    let mut province = stack.client(Some(province), Some(PURPOSE));
    assert_eq!(
        province.persons.get_person(asked.clone()).await.unwrap().into_inner(),
        told
    );
    let mut purposeless = stack.client(Some(stack.token(READER, TRUONG_VINH)), None);
    assert!(purposeless.persons.get_person(asked).await.is_err());
}
