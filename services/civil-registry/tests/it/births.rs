//! Đăng ký khai sinh, through the port.

use egov_proto::egov::civil_registry::v1::*;
use jiff::SignedDuration;
use sqlx::Row as _;
use tonic::Code;
use uuid::Uuid;

use crate::support::*;

/// What a birth leaves behind, all told.
const TRACES: &str =
    "SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM persons) + (SELECT count(*) FROM personal_numbers)
                           + (SELECT count(*) FROM person_particulars) + (SELECT count(*) FROM family_relations)
                           + (SELECT count(*) FROM egov.leaves WHERE kind = 'civil_entry')
                           + (SELECT count(*) FROM egov.counters)";

#[tokio::test]
async fn a_birth_is_registered_with_its_persons_and_family_and_read_for_a_purpose() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let book = officer.open(TRUONG_VINH, 2026).await.unwrap();
    let request = birth();
    let entry = officer.register(request.clone()).await.unwrap();
    assert_eq!(
        (entry.number, entry.printed_number.as_str(), entry.volume, entry.page),
        (1, "01/2026", 1, 1)
    );
    assert_eq!(entry.book_id, book.book_id);
    assert_eq!(entry.registration_kind(), RegistrationKind::OnTime);
    assert_eq!(entry.registration_date, day(2026, 11, 23), "today");
    assert_eq!(entry.registration_place, "Phường Trường Vinh");
    assert!(entry.settled.is_empty(), "{:?}", entry.settled);

    // What was said, in its normal form, with the persons that it became.
    let said = entry.birth.clone().unwrap();
    let (child, mother, father) = (
        said.child.clone().unwrap(),
        said.mother.clone().unwrap(),
        said.father.clone().unwrap(),
    );
    assert_eq!(child.full_name, "Nguyễn Thị An Nhiên");
    let expected = birth_where(|birth| {
        let names = birth.child.as_mut().unwrap();
        names.full_name.clone_from(&child.full_name);
        names.person_id.clone_from(&child.person_id);
        birth.mother.as_mut().unwrap().person_id.clone_from(&mother.person_id);
        birth.father.as_mut().unwrap().person_id.clone_from(&father.person_id);
    });
    assert_eq!(Some(said), expected.birth);
    let ids = [&child.person_id, &mother.person_id, &father.person_id].map(|id| id.parse::<Uuid>().unwrap());

    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let numbers: Vec<(String, Uuid)> =
        sqlx::query_as("SELECT personal_number, person_id FROM personal_numbers ORDER BY personal_number")
            .fetch_all(&mut superuser)
            .await
            .unwrap();
    assert_eq!(numbers, [(FATHER.to_owned(), ids[2]), (MOTHER.to_owned(), ids[1])]);
    let family: Vec<(i16, Uuid, Uuid, String)> = sqlx::query_as(
        "SELECT kind, person_id, relative_id, valid_from::text FROM family_relations WHERE valid_to IS NULL ORDER BY kind",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let since = "2026-11-13".to_owned();
    assert_eq!(family, [(1, ids[0], ids[1], since.clone()), (2, ids[0], ids[2], since)]);
    let rows =
        sqlx::query("SELECT person_id, full_name, sex, birth_month, birth_day FROM person_particulars ORDER BY sex")
            .fetch_all(&mut superuser)
            .await
            .unwrap();
    assert_eq!(rows.len(), 3);
    // The father's day of birth is not known.
    assert_eq!(rows[0].get::<Uuid, _>("person_id"), ids[2]);
    assert_eq!(rows[0].get::<Option<i16>, _>("birth_month"), Some(4));
    assert_eq!(rows[0].get::<Option<i16>, _>("birth_day"), None);
    let event: serde_json::Value = sqlx::query_scalar(
        "SELECT payload FROM (SELECT kind, payload FROM egov.outbox UNION ALL SELECT kind, payload FROM egov.event_log) AS told
         WHERE kind = 'civil_birth_registered'",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(event["number"], 1);
    assert!(!event.to_string().contains("Nhiên") && !event.to_string().contains(MOTHER));

    // The same request is one birth.
    assert_eq!(officer.register(request.clone()).await.unwrap(), entry);
    let other = RegisterBirthRequest {
        note: "khác".to_owned(),
        ..request
    };
    let status = officer.register(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    assert_eq!(officer.book(&book.book_id).await.unwrap().last_number, 1);

    // Reading needs a purpose, and is recorded with everybody of whom the entry tells.
    let nobody_says_why = stack.client(Some(stack.token(READER, TRUONG_VINH)), None);
    let status = nobody_says_why.clone().entry(&entry.entry_id).await.unwrap_err();
    assert_eq!(reason(&status), "PURPOSE_MISSING");
    let mut reader = stack.staff(READER, TRUONG_VINH);
    assert_eq!(reader.entry(&entry.entry_id).await.unwrap(), entry);
    let list = ListEntriesRequest {
        book_id: book.book_id.clone(),
        ..Default::default()
    };
    let listed = reader.entries.list_entries(list.clone()).await.unwrap().into_inner();
    assert_eq!(
        (listed.entries, listed.next_page_token.as_str()),
        (vec![entry.clone()], "")
    );
    let recorded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM egov.read_records WHERE purpose = 'civil_status_registration' AND subjects @> $1",
    )
    .bind(ids.to_vec())
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(recorded, 2, "one record for the entry, one for the page");

    // The neighbour sees neither; the province does.
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    let status = neighbour.entry(&entry.entry_id).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "ENTRY_NOT_FOUND")
    );
    let status = neighbour.entries.list_entries(list).await.unwrap_err();
    assert_eq!(reason(&status), "BOOK_NOT_FOUND");
    assert_eq!(
        stack.staff(READER, PROVINCE).entry(&entry.entry_id).await.unwrap(),
        entry
    );
}

#[tokio::test]
async fn what_is_refused_is_named_and_changes_nothing() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let status = officer.register(birth()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "BOOK_NOT_OPEN")
    );
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    let before = stack.count(TRACES).await;

    // Each refusal alone.
    let violated: Vec<(&str, RegisterBirthRequest)> = vec![
        ("birth.mother", birth_where(|birth| birth.mother = None)),
        (
            "birth.father",
            birth_where(|birth| birth.kind = BirthKind::FatherUnknown.into()),
        ),
        (
            "birth.abandonment",
            birth_where(|birth| {
                birth.kind = BirthKind::Abandoned.into();
                (birth.mother, birth.father) = (None, None);
            }),
        ),
        (
            "birth.child.date_of_birth",
            birth_where(|birth| birth.child.as_mut().unwrap().date_of_birth = day(2026, 11, 24)),
        ),
        (
            "birth.child.date_of_birth",
            birth_where(|birth| birth.child.as_mut().unwrap().date_of_birth = day(2026, 0, 4)),
        ),
        (
            "birth.child.ethnic_group",
            birth_where(|birth| birth.child.as_mut().unwrap().ethnic_group = "99".to_owned()),
        ),
        (
            "birth.child.nationality",
            birth_where(|birth| birth.child.as_mut().unwrap().nationality = "XX".to_owned()),
        ),
        (
            "birth.child.full_name",
            birth_where(|birth| birth.child.as_mut().unwrap().full_name = "Nhiên 2".to_owned()),
        ),
        (
            "birth.mother.date_of_birth",
            // Her number would tell another year, which is a question of its own.
            birth_where(|birth| {
                let mother = birth.mother.as_mut().unwrap();
                mother.date_of_birth = day(2026, 11, 13);
                mother.personal_number.clear();
            }),
        ),
        (
            "birth.mother.person_id",
            birth_where(|birth| birth.mother.as_mut().unwrap().person_id = "x".to_owned()),
        ),
        (
            "birth.father.personal_number",
            birth_where(|birth| birth.father.as_mut().unwrap().personal_number = MOTHER.to_owned()),
        ),
        (
            "birth.foreign_registration.country",
            birth_where(|birth| {
                birth.foreign_registration = Some(ForeignRegistration {
                    number: "17".to_owned(),
                    date: day(2026, 11, 14),
                    authority: "Tokyo".to_owned(),
                    country: "VN".to_owned(),
                });
            }),
        ),
        (
            "signer_title",
            RegisterBirthRequest {
                signer_title: "Công chức tư pháp - hộ tịch".to_owned(),
                ..birth()
            },
        ),
        (
            "registration_date",
            RegisterBirthRequest {
                registration_date: day(2026, 11, 24),
                ..birth()
            },
        ),
    ];
    for (field, request) in violated {
        let status = officer.register(request).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_FIELD"),
            "{field}: {status:?}"
        );
        // Of one field there may be more to say: the number of the mother tells another sex and another year of the father besides.
        let mut named = fields(&status);
        named.dedup();
        assert_eq!(named, [field]);
        let told = egov_fault::fault_of(&status).violations()[0].clone();
        assert!(
            !told.vi.is_empty() && !told.en.is_empty() && told.vi != told.en,
            "{told:?}"
        );
    }
    // All at once.
    let mut wrong = birth_where(|birth| {
        birth.child.as_mut().unwrap().ethnic_group = "99".to_owned();
        birth.father.as_mut().unwrap().nationality = "XX".to_owned();
        birth.requester.as_mut().unwrap().relationship = "  ".to_owned();
    });
    wrong.signer_name = " ".to_owned();
    let status = officer.register(wrong).await.unwrap_err();
    assert_eq!(
        fields(&status),
        [
            "signer_name",
            "birth.child.ethnic_group",
            "birth.father.nationality",
            "birth.requester.relationship"
        ]
    );

    // Who may not, and where no book is kept.
    for (role, unit) in [(READER, TRUONG_VINH), (CHAIR, TRUONG_VINH), (OFFICER, THANH_VINH)] {
        let status = stack.staff(role, unit).register(birth()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "PERMISSION_MISSING"),
            "{role} at {unit}"
        );
    }
    let at_the_counter = RegisterBirthRequest {
        unit_id: COUNTER,
        ..birth()
    };
    let status = officer.register(at_the_counter).await.unwrap_err();
    assert_eq!(reason(&status), "UNIT_KEEPS_NO_BOOKS");
    assert_eq!(stack.count(TRACES).await, before);
    assert_eq!(officer.register(birth()).await.unwrap().number, 1, "no number was used");
}

/// A decision about a field, of no question in particular.
fn asked_of(field: &str) -> OfficerDecision {
    OfficerDecision {
        code: String::new(),
        field: field.to_owned(),
        reason: "x".to_owned(),
    }
}

#[tokio::test]
async fn all_five_kinds_are_registered_late_from_abroad_and_with_what_the_officer_decided() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    let kinds: [(BirthKind, bool, bool); 4] = [
        (BirthKind::MotherUnknown, false, true),
        (BirthKind::FatherUnknown, true, false),
        (BirthKind::ParentsUnknown, false, false),
        (BirthKind::Abandoned, false, false),
    ];
    for (kind, mother, father) in kinds {
        let request = birth_where(|birth| {
            birth.kind = kind.into();
            birth.mother = birth.mother.take().filter(|_| mother);
            birth.father = birth.father.take().filter(|_| father);
            birth.abandonment = (kind == BirthKind::Abandoned).then(|| Abandonment {
                minutes_number: "03/BB-UBND".to_owned(),
                minutes_date: day(2026, 11, 13),
                notice_from: day(2026, 11, 14),
                notice_to: day(2026, 11, 20),
            });
        });
        let entry = officer.register(request).await.unwrap();
        let said = entry.birth.unwrap();
        assert_eq!(
            (said.kind(), said.mother.is_some(), said.father.is_some()),
            (kind, mother, father)
        );
    }

    // 60 days from 22/09 are over on Saturday 21/11, which moves to Monday 23/11.
    for (date, kind) in [
        (day(2026, 9, 22), RegistrationKind::OnTime),
        (day(2026, 9, 21), RegistrationKind::Late),
    ] {
        let request = birth_where(|birth| birth.child.as_mut().unwrap().date_of_birth = date);
        assert_eq!(officer.register(request).await.unwrap().registration_kind(), kind);
    }
    let abroad = birth_where(|birth| {
        birth.child.as_mut().unwrap().date_of_birth = day(2024, 1, 5);
        birth.child.as_mut().unwrap().other_nationality = "JP".to_owned();
        birth.foreign_registration = Some(ForeignRegistration {
            number: "17".to_owned(),
            date: day(2024, 1, 14),
            authority: "Minato, Tokyo".to_owned(),
            country: "JP".to_owned(),
        });
    });
    let entry = officer.register(abroad).await.unwrap();
    assert_eq!(entry.registration_kind(), RegistrationKind::FromAbroad);

    // A boy by the number, a girl by what was said: the officer is asked, and what is decided stands with the entry.
    let mut numbered = birth_where(|birth| birth.child.as_mut().unwrap().personal_number = "040226000333".to_owned());
    let status = officer.register(numbered.clone()).await.unwrap_err();
    let asked = egov_fault::fault_of(&status).violations().to_vec();
    assert_eq!(asked.len(), 1, "{status:?}");
    numbered.decisions = vec![OfficerDecision {
        code: asked[0].rule.clone(),
        field: asked[0].field.clone(),
        reason: "đã đối chiếu với giấy chứng sinh".to_owned(),
    }];
    let mut not_asked = numbered.clone();
    not_asked.decisions.push(OfficerDecision {
        code: "term_unknown".to_owned(),
        ..asked_of(&asked[0].field)
    });
    let status = officer.register(not_asked).await.unwrap_err();
    assert_eq!(fields(&status), ["decisions[1]"]);
    let entry = officer.register(numbered.clone()).await.unwrap();
    assert_eq!(entry.settled.len(), 1);
    assert_eq!(
        (entry.settled[0].code.as_str(), entry.settled[0].reason.as_str()),
        ("personal_number_sex", "đã đối chiếu với giấy chứng sinh")
    );
    assert_eq!(officer.entry(&entry.entry_id).await.unwrap().settled, entry.settled);

    // Whoever has another title signs by an authorisation.
    let authorised = RegisterBirthRequest {
        signer_title: "Trưởng phòng Tư pháp".to_owned(),
        signer_authorisation: "05/UQ-UBND".to_owned(),
        ..birth()
    };
    let signed = officer.register(authorised).await.unwrap();
    assert_eq!(signed.signer_authorisation, "05/UQ-UBND");

    // A number is assigned once: nobody is born twice, wherever it is said; the parents are the same persons again.
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    neighbour.open(THANH_VINH, 2026).await.unwrap();
    let again = RegisterBirthRequest {
        request_id: request_id(),
        unit_id: THANH_VINH,
        ..numbered
    };
    let status = neighbour.register(again.clone()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::AlreadyExists, "BIRTH_REGISTERED")
    );
    assert_eq!(stack.count("SELECT count(*) FROM personal_numbers").await, 3);

    // Whoever is known as a parent may be registered in turn, and stays the same person.
    let of_the_mother = RegisterBirthRequest {
        request_id: request_id(),
        birth: birth_where(|birth| {
            birth.kind = BirthKind::ParentsUnknown.into();
            (birth.mother, birth.father) = (None, None);
            let child = birth.child.as_mut().unwrap();
            child.personal_number = MOTHER.to_owned();
            child.date_of_birth = day(1995, 4, 0);
        })
        .birth,
        decisions: Vec::new(),
        ..again
    };
    let own = neighbour.register(of_the_mother).await.unwrap();
    assert_eq!((own.number, own.registration_kind()), (1, RegistrationKind::Late));
    let known = officer.entry(&entry.entry_id).await.unwrap().birth.unwrap();
    assert_eq!(
        own.birth.unwrap().child.unwrap().person_id,
        known.mother.unwrap().person_id
    );
}

#[tokio::test]
async fn the_year_of_the_registration_decides_the_book_and_a_closed_one_takes_nothing() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let book = officer.open(TRUONG_VINH, 2026).await.unwrap();
    for _ in 0..2 {
        officer.register(birth()).await.unwrap();
    }
    // Half past eleven in the night of 31/12/2026 in Vietnam, where it is 16:30 UTC.
    stack
        .advance(SignedDuration::from_hours(38 * 24 + 15) + SignedDuration::from_mins(30))
        .await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let entry = officer.register(birth()).await.unwrap();
    assert_eq!(entry.printed_number, "03/2026");
    assert_eq!((entry.volume, entry.page), (2, 1), "a volume has two pages here");
    stack.advance(SignedDuration::from_mins(30)).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    // It is 2027, of which there is no book yet.
    let status = officer.register(birth()).await.unwrap_err();
    assert_eq!(reason(&status), "BOOK_NOT_OPEN");
    officer.open(TRUONG_VINH, 2027).await.unwrap();
    assert_eq!(officer.register(birth()).await.unwrap().printed_number, "01/2027");
    // What was decided last year goes into its book as long as that is open.
    let decided = || RegisterBirthRequest {
        registration_date: day(2026, 12, 31),
        ..birth()
    };
    assert_eq!(officer.register(decided()).await.unwrap().printed_number, "04/2026");
    let book = officer.book(&book.book_id).await.unwrap();
    let closed = officer.close(&book).await.unwrap();
    assert_eq!((closed.last_number, closed.volumes), (4, 2));
    let status = officer.register(decided()).await.unwrap_err();
    assert_eq!(reason(&status), "BOOK_NOT_OPEN");
    assert_eq!(egov_fault::fault_of(&status).metadata()["state"], "2");
    assert_eq!(officer.register(birth()).await.unwrap().printed_number, "02/2027");
}
