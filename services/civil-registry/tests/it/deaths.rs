//! Đăng ký khai tử, through the port.

use egov_civil_registry::rebuild_leaves::{rebuild_leaves, without_row};
use egov_proto::egov::civil_registry::v1::*;
use egov_transparency::{LogReport, verify_kind};
use sqlx::AssertSqlSafe;
use tonic::Code;
use uuid::Uuid;

use crate::support::*;

/// What a death leaves behind, all told.
const TRACES: &str =
    "SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM persons) + (SELECT count(*) FROM personal_numbers)
                           + (SELECT count(*) FROM person_particulars) + (SELECT count(*) FROM family_relations)
                           + (SELECT count(*) FROM deaths) + (SELECT count(*) FROM egov.leaves WHERE kind = 'civil_entry')
                           + (SELECT count(*) FROM egov.counters)";

/// What the verification says of the entries, each in one sentence.
async fn findings(stack: &Stack) -> Vec<String> {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    verify_kind(
        &stack.pool,
        "civil_entry",
        &rebuilt,
        without_row("civil_entry"),
        &mut report,
    )
    .await
    .unwrap();
    report.findings.iter().map(|one| one.detail.clone()).collect()
}

fn deceased(entry: &Entry) -> Uuid {
    let death = entry.death.clone().unwrap();
    death.deceased.unwrap().person_id.parse().unwrap()
}

#[tokio::test]
async fn a_death_is_registered_ends_the_marriages_of_the_deceased_and_is_known_to_everybody() {
    let stack = Stack::start().await;
    let (mut officer, mut neighbour) = (stack.staff(OFFICER, TRUONG_VINH), stack.staff(OFFICER, THANH_VINH));
    officer.open_deaths(TRUONG_VINH, 2026).await.unwrap();
    neighbour.open(THANH_VINH, 2026).await.unwrap();
    // The neighbour knows her as a mother, and that she is married: a marriage of which the other commune sees nothing.
    let born = neighbour
        .register(RegisterBirthRequest {
            unit_id: THANH_VINH,
            ..birth()
        })
        .await
        .unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let mother = born.birth.clone().unwrap().mother.unwrap().person_id;
    let father = born.birth.clone().unwrap().father.unwrap().person_id;
    let (mother, father): (Uuid, Uuid) = (mother.parse().unwrap(), father.parse().unwrap());
    let (standing, over) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for (relation_id, from, to) in [(standing, "2020-02-14", None), (over, "2016-01-01", Some("2018-01-01"))] {
        sqlx::query(
            "INSERT INTO family_relations (relation_id, version, responsible_unit_id, kind, person_id, relative_id, valid_from, valid_to,
                                           entry_id, record_time)
             VALUES ($1, 1, 3, 5, $2, $3, $4::date, $5::date, $6, now())",
        )
        .bind(relation_id)
        .bind(father)
        .bind(mother)
        .bind(from)
        .bind(to)
        .bind(born.entry_id.parse::<Uuid>().unwrap())
        .execute(&mut superuser)
        .await
        .unwrap();
    }
    let request = death_where(|death| {
        let deceased = death.deceased.as_mut().unwrap();
        deceased.personal_number = MOTHER.to_owned();
        deceased.date_of_birth = day(1995, 4, 0);
    });
    let entry = officer.register_death(request.clone()).await.unwrap();
    assert_eq!(
        (entry.printed_number.as_str(), entry.event(), entry.registration_kind()),
        ("01/2026", EventKind::Death, RegistrationKind::OnTime)
    );
    assert_eq!(deceased(&entry), mother, "the person of the number");
    let said = entry.death.clone().unwrap();
    let expected = {
        let mut expected = request.clone().death.unwrap();
        let named = expected.deceased.as_mut().unwrap();
        named.person_id = mother.to_string();
        named.full_name = "Hoàng Thị Bà".to_owned();
        expected
    };
    assert_eq!(said, expected, "in its normal form");
    assert!(entry.birth.is_none());

    // The marriage ended with the day of the death by a further version of the commune that registered it; the other one is as it was.
    let versions: Vec<(Uuid, i64, i32, Option<String>)> = sqlx::query_as(
        "SELECT relation_id, version, responsible_unit_id, valid_to::text FROM family_relations WHERE kind = 5 ORDER BY relation_id, version",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let day_of = |text: &str| Some(text.to_owned());
    assert_eq!(
        versions,
        [
            (standing, 1, THANH_VINH, None),
            (standing, 2, TRUONG_VINH, day_of("2026-11-13")),
            (over, 1, THANH_VINH, day_of("2018-01-01")),
        ]
    );
    let known: Vec<(Uuid, String)> = sqlx::query_as("SELECT person_id, day::text FROM deaths")
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    assert_eq!(known, [(mother, "2026-11-13".to_owned())]);
    let event: serde_json::Value = sqlx::query_scalar(
        "SELECT payload FROM (SELECT kind, payload FROM egov.outbox UNION ALL SELECT kind, payload FROM egov.event_log) AS told
         WHERE kind = 'civil_death_registered'",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(event["subject_id"], mother.to_string());
    assert!(!event.to_string().contains("Hoàng") && !event.to_string().contains(MOTHER));

    // The same request is one death; the same death in another request, also of another commune, is a second one.
    assert_eq!(officer.register_death(request.clone()).await.unwrap(), entry);
    let reused = RegisterDeathRequest {
        note: "khác".to_owned(),
        ..request.clone()
    };
    let status = officer.register_death(reused).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    neighbour.open_deaths(THANH_VINH, 2026).await.unwrap();
    let second = || RegisterDeathRequest {
        request_id: request_id(),
        unit_id: THANH_VINH,
        ..request.clone()
    };
    let status = neighbour.register_death(second()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::AlreadyExists, "DEATH_REGISTERED")
    );
    // Đăng ký lại enters the same death again, and no other.
    let again = |date| {
        let mut request = second();
        let death = request.death.as_mut().unwrap();
        (death.again, death.date_of_death) = (true, date);
        request
    };
    let status = neighbour.register_death(again(day(2026, 11, 12))).await.unwrap_err();
    assert_eq!(fields(&status), ["death.date_of_death"]);
    let once_more = neighbour.register_death(again(day(2026, 11, 13))).await.unwrap();
    assert_eq!(
        (once_more.registration_kind(), once_more.number),
        (RegistrationKind::Again, 1)
    );
    assert_eq!(stack.count("SELECT count(*) FROM deaths").await, 1);

    // Read for a purpose and recorded; not by the neighbour.
    assert_eq!(
        stack.staff(READER, TRUONG_VINH).entry(&entry.entry_id).await.unwrap(),
        entry
    );
    let recorded: i64 = sqlx::query_scalar("SELECT count(*) FROM egov.read_records WHERE subjects @> $1")
        .bind(vec![mother])
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(recorded, 1);
    let status = neighbour.entry(&entry.entry_id).await.unwrap_err();
    assert_eq!(reason(&status), "ENTRY_NOT_FOUND");

    // What is known of deaths cannot be changed, and whoever forces it is found. (The relations above came with no entry.)
    let mut app = stack.database.connect_as_app().await.unwrap();
    let mut owner = stack.database.connect_as_owner().await.unwrap();
    for sql in ["UPDATE deaths SET day = day - 1", "DELETE FROM deaths"] {
        assert!(sqlx::query(sql).execute(&mut app).await.is_err(), "{sql}");
        assert!(sqlx::query(sql).execute(&mut owner).await.is_err(), "{sql}");
    }
    for (sql, wrong) in [
        ("DELETE FROM family_relations WHERE kind = 5 AND version = 1", 0),
        ("UPDATE deaths SET day = day - 1", 1),
        ("UPDATE deaths SET day = day + 1", 0),
        (
            "UPDATE family_relations SET valid_to = valid_to + 1 WHERE version = 2",
            1,
        ),
    ] {
        sqlx::raw_sql(AssertSqlSafe(format!("SET session_replication_role = replica; {sql}")))
            .execute(&mut superuser)
            .await
            .unwrap();
        let found = findings(&stack).await;
        assert_eq!(found.len(), wrong, "{sql}: {found:?}");
    }
}

#[tokio::test]
async fn what_is_refused_of_a_death_is_named_late_is_marked_and_two_at_once_are_one() {
    let stack = Stack::start().await;
    let (mut officer, mut neighbour) = (stack.staff(OFFICER, TRUONG_VINH), stack.staff(OFFICER, THANH_VINH));
    let status = officer.register_death(death()).await.unwrap_err();
    assert_eq!(reason(&status), "BOOK_NOT_OPEN");
    officer.open_deaths(TRUONG_VINH, 2026).await.unwrap();
    neighbour.open_deaths(THANH_VINH, 2026).await.unwrap();
    let before = stack.count(TRACES).await;
    let violated: Vec<(&str, RegisterDeathRequest)> = vec![
        (
            "death.date_of_death",
            death_where(|death| death.deceased.as_mut().unwrap().date_of_birth = day(2026, 11, 14)),
        ),
        (
            "death.date_of_death, death.notice_date",
            death_where(|death| death.date_of_death = day(2026, 11, 24)),
        ),
        (
            "death.date_of_death",
            death_where(|death| death.date_of_death = day(2026, 2, 30)),
        ),
        (
            "death.time_of_death",
            death_where(|death| death.date_of_death = day(2026, 11, 0)),
        ),
        (
            "death.notice_kind",
            death_where(|death| death.notice_kind = DeathNoticeKind::Unspecified.into()),
        ),
        (
            "death.deceased.ethnic_group, death.place_of_death",
            death_where(|death| {
                death.deceased.as_mut().unwrap().ethnic_group = "99".to_owned();
                death.place_of_death = "  ".to_owned();
            }),
        ),
        (
            "death.deceased.person_id",
            death_where(|death| death.deceased.as_mut().unwrap().person_id = "x".to_owned()),
        ),
        (
            "death.foreign_registration.country",
            death_where(|death| {
                death.foreign_registration = Some(ForeignRegistration {
                    number: "9".to_owned(),
                    date: day(2026, 11, 15),
                    authority: "Osaka".to_owned(),
                    country: "VN".to_owned(),
                });
            }),
        ),
        (
            "signer_title",
            RegisterDeathRequest {
                signer_title: "Công chức tư pháp - hộ tịch".to_owned(),
                ..death()
            },
        ),
    ];
    for (named, request) in violated {
        let status = officer.register_death(request).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_FIELD"),
            "{named}: {status:?}"
        );
        let mut told = fields(&status);
        told.dedup();
        assert_eq!(told.join(", "), named);
    }
    for (role, unit) in [(READER, TRUONG_VINH), (CHAIR, TRUONG_VINH), (OFFICER, THANH_VINH)] {
        let status = stack.staff(role, unit).register_death(death()).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{role} at {unit}");
    }
    let at_the_counter = RegisterDeathRequest {
        unit_id: COUNTER,
        ..death()
    };
    let status = officer.register_death(at_the_counter).await.unwrap_err();
    assert_eq!(reason(&status), "UNIT_KEEPS_NO_BOOKS");
    assert_eq!(
        stack.count(TRACES).await,
        before,
        "nothing changed and no number was used"
    );

    // Fifteen days from 06/11 are over on Saturday 21/11, which moves to Monday 23/11, today. Late is allowed and marked.
    for (date, kind) in [
        (day(2026, 11, 6), RegistrationKind::OnTime),
        (day(2026, 11, 5), RegistrationKind::Late),
    ] {
        let request = death_where(|death| death.date_of_death = date);
        assert_eq!(officer.register_death(request).await.unwrap().registration_kind(), kind);
    }
    // Without a notice the officer is asked, and what is decided stands with the entry.
    let mut without = death_where(|death| {
        death.notice_kind = DeathNoticeKind::Unspecified.into();
        (death.notice_number, death.notice_date, death.notice_authority) = (String::new(), None, String::new());
    });
    let status = officer.register_death(without.clone()).await.unwrap_err();
    let asked = egov_fault::fault_of(&status).violations().to_vec();
    assert_eq!(asked.len(), 1, "{status:?}");
    without.decisions = vec![OfficerDecision {
        code: asked[0].rule.clone(),
        field: asked[0].field.clone(),
        reason: "đã xác minh tại khối".to_owned(),
    }];
    let entry = officer.register_death(without).await.unwrap();
    assert_eq!(entry.settled[0].code, "death_notice_missing");
    assert_eq!(entry.number, 3);

    // Two communes that register one death at the same moment enter it once.
    let numbered = |unit_id| {
        let mut request = death_where(|death| {
            let deceased = death.deceased.as_mut().unwrap();
            deceased.personal_number = FATHER.to_owned();
            deceased.sex = Sex::Male.into();
            deceased.date_of_birth = day(1993, 0, 0);
        });
        request.unit_id = unit_id;
        request
    };
    let both = tokio::join!(
        officer.register_death(numbered(TRUONG_VINH)),
        neighbour.register_death(numbered(THANH_VINH))
    );
    let refused = match both {
        (Ok(_), Err(status)) | (Err(status), Ok(_)) => status,
        both => panic!("one of them registers it: {both:?}"),
    };
    assert_eq!(reason(&refused), "DEATH_REGISTERED");
    assert_eq!(
        stack
            .count("SELECT count(*) FROM personal_numbers JOIN deaths USING (person_id)")
            .await,
        1
    );
}
