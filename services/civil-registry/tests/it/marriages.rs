//! Đăng ký kết hôn, and what a court decides of a marriage, through the port.

use std::collections::BTreeSet;

use egov_civil_registry::rebuild_leaves::{rebuild_leaves, without_row};
use egov_proto::egov::civil_registry::v1::*;
use egov_transparency::{LogReport, verify_kind};
use sqlx::AssertSqlSafe;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::*;

/// What a marriage leaves behind, all told.
const TRACES: &str =
    "SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM persons) + (SELECT count(*) FROM personal_numbers)
                           + (SELECT count(*) FROM person_particulars) + (SELECT count(*) FROM family_relations)
                           + (SELECT count(*) FROM egov.leaves WHERE kind = 'civil_entry')
                           + (SELECT count(*) FROM egov.counters)";

/// What the verification says of entries and annotations, each in one sentence.
async fn findings(stack: &Stack) -> Vec<String> {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    for kind in ["civil_entry", "civil_annotation"] {
        verify_kind(&stack.pool, kind, &rebuilt, without_row(kind), &mut report)
            .await
            .unwrap();
    }
    report.findings.iter().map(|one| one.detail.clone()).collect()
}

/// The rules that a refusal names, with their fields.
fn rules(status: &Status) -> Vec<(String, String)> {
    let fault = egov_fault::fault_of(status);
    let told = fault.violations().iter();
    told.map(|one| (one.rule.clone(), one.field.clone())).collect()
}

fn rule(code: &str, field: &str) -> (String, String) {
    (code.to_owned(), field.to_owned())
}

/// What a court decided of a marriage, from a day on.
fn decided(entry: &Entry, outcome: MarriageOutcome, effective: i32) -> AnnotateEntryRequest {
    AnnotateEntryRequest {
        kind: AnnotationKind::Marriage.into(),
        text: "Toà án quyết định về hôn nhân".to_owned(),
        marriage_outcome: outcome.into(),
        effective_date: day(2026, 11, effective),
        ..annotation(entry)
    }
}

/// A note that cancels another one.
fn cancelling(entry: &Entry, noted: &Annotation) -> AnnotateEntryRequest {
    AnnotateEntryRequest {
        kind: noted.kind,
        text: "Huỷ ghi chú theo quyết định giám đốc thẩm".to_owned(),
        cancels_annotation_id: noted.annotation_id.clone(),
        ..annotation(entry)
    }
}

/// The versions of a marriage: until when it holds.
async fn ends(stack: &Stack, entry: &Entry) -> Vec<(i64, Option<String>)> {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_as("SELECT version, valid_to::text FROM family_relations WHERE entry_id = $1 ORDER BY version")
        .bind(entry.entry_id.parse::<Uuid>().unwrap())
        .fetch_all(&mut superuser)
        .await
        .unwrap()
}

#[tokio::test]
async fn two_are_married_until_a_court_ends_it_and_again_when_that_is_cancelled() {
    let stack = Stack::start().await;
    let (mut officer, mut neighbour) = (stack.staff(OFFICER, TRUONG_VINH), stack.staff(OFFICER, THANH_VINH));
    let book = officer.open_marriages(TRUONG_VINH, 2026).await.unwrap();
    neighbour.open_marriages(THANH_VINH, 2026).await.unwrap();
    let request = RegisterMarriageRequest {
        registration_date: day(2026, 11, 10),
        ..marriage()
    };
    let entry = officer.marry(request.clone()).await.unwrap();
    assert_eq!(
        (entry.printed_number.as_str(), entry.event(), entry.registration_kind()),
        ("01/2026", EventKind::Marriage, RegistrationKind::OnTime)
    );
    assert!(entry.birth.is_none() && entry.settled.is_empty(), "{:?}", entry.settled);
    let said = entry.marriage.clone().unwrap();
    let both = [said.husband.clone().unwrap(), said.wife.clone().unwrap()];
    let mut expected = request.clone().marriage.unwrap();
    for (one, is) in [expected.husband.as_mut(), expected.wife.as_mut()]
        .into_iter()
        .zip(&both)
    {
        one.unwrap().person_id.clone_from(&is.person_id);
    }
    expected.husband.as_mut().unwrap().full_name = "Nguyễn Văn Chồng".to_owned();
    assert_eq!(said, expected, "in its normal form, with the persons that it became");

    // The two are spouses since the registration; the event says which two, and nothing else of them.
    let ids = both.map(|one| one.person_id.parse::<Uuid>().unwrap());
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let relations: Vec<(i16, Uuid, Uuid, String)> =
        sqlx::query_as("SELECT kind, person_id, relative_id, valid_from::text FROM family_relations")
            .fetch_all(&mut superuser)
            .await
            .unwrap();
    assert_eq!(relations, [(5, ids[0], ids[1], "2026-11-10".to_owned())]);
    let event: serde_json::Value = sqlx::query_scalar(
        "SELECT payload FROM (SELECT kind, payload FROM egov.outbox UNION ALL SELECT kind, payload FROM egov.event_log) AS told
         WHERE kind = 'civil_marriage_registered'",
    )
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(event["person_ids"], serde_json::json!(ids));
    assert!(!event.to_string().contains("Chồng") && !event.to_string().contains(MOTHER));

    // The same request is one marriage.
    assert_eq!(officer.marry(request.clone()).await.unwrap(), entry);
    let other = RegisterMarriageRequest {
        note: "khác".to_owned(),
        ..request
    };
    assert_eq!(reason(&officer.marry(other).await.unwrap_err()), "REQUEST_ID_REUSED");
    assert_eq!(officer.book(&book.book_id).await.unwrap().last_number, 1);

    // Read for a purpose, recorded with both; the neighbour sees nothing of it.
    assert_eq!(
        stack.staff(READER, TRUONG_VINH).entry(&entry.entry_id).await.unwrap(),
        entry
    );
    let recorded: i64 = sqlx::query_scalar("SELECT count(*) FROM egov.read_records WHERE subjects @> $1")
        .bind(ids.to_vec())
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(recorded, 1);
    let status = neighbour.entry(&entry.entry_id).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "ENTRY_NOT_FOUND")
    );

    // What the neighbour does not see stands in the way all the same, also of a marriage of an earlier day.
    let anew = |registered: i32| RegisterMarriageRequest {
        unit_id: THANH_VINH,
        registration_date: day(2026, 11, registered),
        ..marriage_where(|husband, _| *husband = spouse("Lê Văn Mới", "040090000777", 1990))
    };
    for registered in [9, 10, 23] {
        let status = neighbour.marry(anew(registered)).await.unwrap_err();
        assert_eq!(rules(&status), [rule("bigamy", "marriage.wife")], "{registered}");
        let told = egov_fault::fault_of(&status).violations()[0].clone();
        assert!(
            told.vi.contains("52/2014/QH13") && told.en.contains("52/2014/QH13"),
            "{told:?}"
        );
    }

    // A divorce: what is missing or does not fit is named.
    let undecided = AnnotateEntryRequest {
        effective_date: None,
        ..decided(&entry, MarriageOutcome::Unspecified, 20)
    };
    let status = officer.annotate(undecided).await.unwrap_err();
    assert_eq!(fields(&status), ["marriage_outcome", "effective_date"]);
    let beside = AnnotateEntryRequest {
        kind: AnnotationKind::Other.into(),
        ..decided(&entry, MarriageOutcome::Divorced, 20)
    };
    let status = officer.annotate(beside).await.unwrap_err();
    assert_eq!(fields(&status), ["marriage_outcome", "effective_date"]);
    for effective in [9, 24] {
        let status = officer
            .annotate(decided(&entry, MarriageOutcome::Divorced, effective))
            .await
            .unwrap_err();
        assert_eq!(fields(&status), ["effective_date"]);
    }
    let divorce = officer
        .annotate(decided(&entry, MarriageOutcome::Divorced, 20))
        .await
        .unwrap();
    assert_eq!(
        (divorce.marriage_outcome(), divorce.effective_date),
        (MarriageOutcome::Divorced, day(2026, 11, 20))
    );
    let ended = (2, Some("2026-11-20".to_owned()));
    assert_eq!(ends(&stack, &entry).await, [(1, None), ended.clone()]);
    let twice = decided(&entry, MarriageOutcome::Annulled, 21);
    let status = officer.annotate(twice).await.unwrap_err();
    assert_eq!(rules(&status), [rule("marriage_ended", "marriage_outcome")]);

    // From the day of the divorce on she marries again, and not before; then nothing restores the first marriage beside the second.
    let status = neighbour.marry(anew(19)).await.unwrap_err();
    assert_eq!(rules(&status), [rule("bigamy", "marriage.wife")]);
    let second = neighbour.marry(anew(23)).await.unwrap();
    let status = officer.annotate(cancelling(&entry, &divorce)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "MARRIED_SINCE")
    );
    let annulment = decided(&second, MarriageOutcome::Annulled, 23);
    neighbour.annotate(annulment).await.unwrap();
    let cancelled = officer.annotate(cancelling(&entry, &divorce)).await.unwrap();
    assert_eq!(ends(&stack, &entry).await, [(1, None), ended, (3, None)]);
    let status = neighbour.marry(anew(23)).await.unwrap_err();
    assert_eq!(rules(&status), [rule("bigamy", "marriage.wife")]);
    let status = officer.annotate(cancelling(&entry, &divorce)).await.unwrap_err();
    assert_eq!(reason(&status), "ANNOTATION_CANCELLED");
    let status = officer.annotate(cancelling(&entry, &cancelled)).await.unwrap_err();
    assert_eq!(fields(&status), ["cancels_annotation_id"]);

    // The entry is what it was, and the ledger commits to what became of the marriage.
    assert_eq!(officer.entry(&entry.entry_id).await.unwrap(), entry);
    assert_eq!(findings(&stack).await, Vec::<String>::new());
    for (sql, wrong) in [
        (
            "UPDATE family_relations SET valid_to = '2026-11-21' WHERE version = 2 AND valid_to = '2026-11-20'",
            true,
        ),
        (
            "UPDATE family_relations SET valid_to = '2026-11-20' WHERE valid_to = '2026-11-21'",
            false,
        ),
    ] {
        sqlx::raw_sql(AssertSqlSafe(format!("SET session_replication_role = replica; {sql}")))
            .execute(&mut superuser)
            .await
            .unwrap();
        let found = findings(&stack).await;
        let named = found.len() == 1 && found[0].contains(&divorce.annotation_id);
        assert!(if wrong { named } else { found.is_empty() }, "{sql}: {found:?}");
    }
}

/// A child of the two, born in a year.
fn child_of(father: &str, mother: &str, number: &str, sex: Sex, year: i32) -> RegisterBirthRequest {
    RegisterBirthRequest {
        unit_id: THANH_VINH,
        ..birth_where(|birth| {
            let child = birth.child.as_mut().unwrap();
            number.clone_into(&mut child.personal_number);
            (child.sex, child.date_of_birth) = (sex.into(), day(year, 5, 6));
            birth.father = Some(parent("Phạm Văn Cha", father, 1970));
            birth.mother = Some(parent("Vũ Thị Mẹ", mother, 1972));
        })
    }
}

#[tokio::test]
async fn who_may_not_marry_is_refused_with_every_reason_and_what_is_open_is_decided() {
    const MAN: &str = "040070000001";
    const WOMAN: &str = "040172000002";
    const SON: &str = "040200000003";
    const DAUGHTER: &str = "040302000004";
    const OTHER: &str = "040075000005";
    let stack = Stack::start().await;
    let (mut officer, mut neighbour) = (stack.staff(OFFICER, TRUONG_VINH), stack.staff(OFFICER, THANH_VINH));
    let status = officer.marry(marriage()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "BOOK_NOT_OPEN")
    );
    officer.open_marriages(TRUONG_VINH, 2026).await.unwrap();
    // A family of which the neighbour alone knows, and of the son that his capacity is limited.
    neighbour.open(THANH_VINH, 2026).await.unwrap();
    let son = child_of(MAN, WOMAN, SON, Sex::Male, 2000);
    let son = neighbour.register(son).await.unwrap();
    neighbour
        .register(child_of(MAN, WOMAN, DAUGHTER, Sex::Female, 2002))
        .await
        .unwrap();
    let limited = AnnotateEntryRequest {
        kind: AnnotationKind::Capacity.into(),
        ..annotation(&son)
    };
    neighbour.annotate(limited).await.unwrap();
    let before = stack.count(TRACES).await;

    // Each refusal alone.
    let brother = |husband: &mut Spouse| {
        *husband = spouse("Phạm Văn Con", SON, 2000);
        husband.date_of_birth = day(2000, 5, 6);
    };
    let sister = |wife: &mut Spouse| {
        *wife = spouse("Phạm Thị Con", DAUGHTER, 2002);
        wife.date_of_birth = day(2002, 5, 6);
    };
    let again = |first| {
        let mut request = marriage();
        let said = request.marriage.as_mut().unwrap();
        said.registration = MarriageRegistration::Again.into();
        said.first_registration_date = first;
        request
    };
    let refused: Vec<(RegisterMarriageRequest, Vec<(String, String)>)> = vec![
        (
            marriage_where(|husband, _| husband.was_present = false),
            vec![rule("marriage_presence", "marriage.husband")],
        ),
        (
            marriage_where(|_, wife| wife.declared_will = false),
            vec![rule("marriage_will", "marriage.wife")],
        ),
        (
            marriage_where(|husband, _| {
                husband.personal_number.clear();
                husband.date_of_birth = day(2006, 11, 24);
            }),
            vec![rule("marriage_age", "marriage.husband.date_of_birth")],
        ),
        (
            marriage_where(|_, wife| {
                wife.personal_number.clear();
                wife.date_of_birth = day(2008, 0, 0);
            }),
            vec![rule("marriage_age_unknown", "marriage.wife.date_of_birth")],
        ),
        (
            marriage_where(|_, wife| wife.marital_status_paper.as_mut().unwrap().issue_date = day(2026, 5, 22)),
            vec![rule(
                "marital_paper_expired",
                "marriage.wife.marital_status_paper.issue_date",
            )],
        ),
        (
            marriage_where(|_, wife| {
                wife.marital_status_paper = None;
                wife.marital_status_inquiry = Some(MaritalStatusInquiry {
                    authority: "Uỷ ban nhân dân xã Kim Liên".to_owned(),
                    sent_date: day(2026, 11, 20),
                    answer_date: None,
                });
            }),
            vec![rule("inquiry_running", "marriage.wife.marital_status_inquiry")],
        ),
        (
            marriage_where(|_, wife| wife.ethnic_group = "99".to_owned()),
            vec![rule("ethnic_group", "marriage.wife.ethnic_group")],
        ),
        (
            marriage_where(|husband, _| husband.person_id = "x".to_owned()),
            vec![rule("value", "marriage.husband.person_id")],
        ),
        (
            again(None),
            vec![
                rule("first_registration_date", "marriage.first_registration_date"),
                rule("marriage_first_conditions", "marriage.first_registration_date"),
            ],
        ),
        (
            RegisterMarriageRequest {
                signer_title: "Công chức tư pháp - hộ tịch".to_owned(),
                ..marriage()
            },
            vec![rule("signer", "signer_title")],
        ),
        (
            RegisterMarriageRequest {
                registration_date: day(2026, 11, 24),
                ..marriage()
            },
            vec![rule("registration_date", "registration_date")],
        ),
        // Kin, whichever commune knows it.
        (
            marriage_where(|husband, wife| {
                brother(husband);
                sister(wife);
            }),
            vec![
                rule("kin_within_generations", "marriage"),
                rule("marriage_capacity", "marriage.husband"),
            ],
        ),
        (
            marriage_where(|husband, wife| {
                *husband = spouse("Phạm Văn Cha", MAN, 1970);
                sister(wife);
            }),
            vec![rule("direct_line", "marriage")],
        ),
        // Everything at once.
        (
            marriage_where(|husband, wife| {
                husband.was_present = false;
                husband.marital_status_paper = None;
                wife.declared_will = false;
            }),
            vec![
                rule("marriage_presence", "marriage.husband"),
                rule("marriage_will", "marriage.wife"),
                rule("marital_status_basis", "marriage.husband"),
            ],
        ),
    ];
    for (request, expected) in refused {
        let status = officer.marry(request).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_FIELD"),
            "{expected:?}: {status:?}"
        );
        assert_eq!(rules(&status), expected);
        for told in egov_fault::fault_of(&status).violations() {
            assert!(
                !told.vi.is_empty() && !told.en.is_empty() && told.vi != told.en,
                "{told:?}"
            );
        }
    }
    let oneself = marriage_where(|_, wife| wife.personal_number = FATHER.to_owned());
    let status = officer.marry(oneself).await.unwrap_err();
    assert!(rules(&status).contains(&rule("same_person", "marriage")), "{status:?}");
    for (role, unit) in [(READER, TRUONG_VINH), (CHAIR, TRUONG_VINH), (OFFICER, THANH_VINH)] {
        let status = stack.staff(role, unit).marry(marriage()).await.unwrap_err();
        assert_eq!(reason(&status), "PERMISSION_MISSING", "{role} at {unit}");
    }
    assert_eq!(stack.count(TRACES).await, before);

    // The mother marries a stepfather, who may not marry her daughter: neither now nor once it is over.
    let stepfather = spouse("Đinh Văn Dượng", OTHER, 1975);
    let step = RegisterMarriageRequest {
        registration_date: day(2026, 11, 10),
        ..marriage_where(|husband, wife| {
            *husband = stepfather.clone();
            *wife = spouse("Vũ Thị Mẹ", WOMAN, 1972);
        })
    };
    let step = officer.marry(step).await.unwrap();
    assert_eq!(step.number, 1, "no number was used");
    let with_daughter = || {
        marriage_where(|husband, wife| {
            *husband = stepfather.clone();
            sister(wife);
        })
    };
    let status = officer.marry(with_daughter()).await.unwrap_err();
    assert_eq!(
        rules(&status),
        [rule("bigamy", "marriage.husband"), rule("step_line", "marriage")]
    );
    officer
        .annotate(decided(&step, MarriageOutcome::Divorced, 20))
        .await
        .unwrap();
    let status = officer.marry(with_daughter()).await.unwrap_err();
    assert_eq!(rules(&status), [rule("step_line", "marriage")]);

    // With a foreigner, whose status the officer knows otherwise; what was decided stands with the entry.
    let mut foreign = marriage_where(|husband, _| {
        *husband = spouse("Sato Kenji", "", 1990);
        husband.nationality = "JP".to_owned();
        husband.marital_status_paper = None;
    });
    foreign.decisions = vec![OfficerDecision {
        code: "marital_status_basis".to_owned(),
        field: "marriage.husband".to_owned(),
        reason: "giấy tờ của cơ quan có thẩm quyền Nhật Bản đã hợp pháp hoá lãnh sự".to_owned(),
    }];
    let entry = officer.marry(foreign).await.unwrap();
    assert_eq!(
        (entry.number, entry.settled.len(), entry.settled[0].code.as_str()),
        (2, 1, "marital_status_basis")
    );

    // Registered again, the two are married since the first time.
    let mut lost = again(day(2015, 3, 2));
    let said = lost.marriage.as_mut().unwrap();
    said.wife = Some(spouse("Hồ Thị Cũ", "040188000009", 1988));
    lost.decisions = vec![OfficerDecision {
        code: "marriage_first_conditions".to_owned(),
        field: "marriage.first_registration_date".to_owned(),
        reason: "bản sao giấy chứng nhận kết hôn năm 2015".to_owned(),
    }];
    let entry = officer.marry(lost).await.unwrap();
    assert_eq!(entry.registration_kind(), RegistrationKind::Again);
    assert_eq!(
        stack
            .count("SELECT count(*) FROM family_relations WHERE kind = 5 AND valid_from = '2015-03-02'")
            .await,
        1
    );
    assert_eq!(findings(&stack).await, Vec::<String>::new());
}

/// The marriage of a man and a woman of these places in the line of numbers.
fn couple(unit_id: i32, man: usize, woman: usize) -> RegisterMarriageRequest {
    RegisterMarriageRequest {
        unit_id,
        ..marriage_where(|husband, wife| {
            husband.personal_number = format!("040093{man:06}");
            wife.personal_number = format!("040195{woman:06}");
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_communes_that_marry_one_person_at_the_same_moment_marry_one() {
    const ROUNDS: usize = 12;
    let stack = Stack::start().await;
    let (here, there) = (stack.staff(OFFICER, TRUONG_VINH), stack.staff(OFFICER, THANH_VINH));
    here.clone().open_marriages(TRUONG_VINH, 2026).await.unwrap();
    there.clone().open_marriages(THANH_VINH, 2026).await.unwrap();
    let marry = |mut client: Client, request: RegisterMarriageRequest| async move { client.marry(request).await };
    let only_bigamy = |status: &Status| {
        let told = rules(status);
        assert!(
            !told.is_empty() && told.iter().all(|(code, _)| code == "bigamy"),
            "{status:?}"
        );
    };

    // In each round one person, new to the registry, is wanted by both: the man or the woman, together with a lower or a higher number first.
    let mut married = 0;
    for round in 1..=ROUNDS {
        let (low, high) = (round * 10, round * 10 + 5);
        let (first, second) = match round % 4 {
            0 => (couple(TRUONG_VINH, low, low), couple(THANH_VINH, low, high)),
            1 => (couple(TRUONG_VINH, low, high), couple(THANH_VINH, low, low)),
            2 => (couple(TRUONG_VINH, low, high), couple(THANH_VINH, high, high)),
            _ => (couple(TRUONG_VINH, high, low), couple(THANH_VINH, low, low)),
        };
        let (one, two) = tokio::join!(marry(here.clone(), first), marry(there.clone(), second));
        match (one, two) {
            (Ok(_), Err(status)) | (Err(status), Ok(_)) => only_bigamy(&status),
            both => panic!("round {round}: one of them is registered: {both:?}"),
        }
        married += 1;
    }

    // And all at once: four men and four women, every pair, at one commune or the other.
    let mut all = JoinSet::new();
    for place in 0..16_usize {
        let (man, woman) = (place % 4, place / 4);
        let (client, unit_id) = if (man + woman).is_multiple_of(2) {
            (here.clone(), TRUONG_VINH)
        } else {
            (there.clone(), THANH_VINH)
        };
        all.spawn(marry(client, couple(unit_id, 900_000 + man, 900_000 + woman)));
    }
    let mut together = 0;
    for answer in all.join_all().await {
        match answer {
            Ok(_) => together += 1,
            Err(status) => only_bigamy(&status),
        }
    }
    assert_eq!(together, 4, "everybody is married, and once");
    married += together;

    assert_eq!(
        stack
            .count(
                "SELECT count(*) FROM (SELECT person_id AS one FROM family_relations UNION ALL SELECT relative_id FROM family_relations) AS spouses"
            )
            .await,
        2 * married
    );
    assert_eq!(
        stack
            .count(
                "SELECT count(DISTINCT one) FROM (SELECT person_id AS one FROM family_relations
                                                  UNION ALL SELECT relative_id FROM family_relations) AS spouses"
            )
            .await,
        2 * married
    );
    // No number was used by those who were refused.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let numbers: Vec<(i32, i32)> = sqlx::query_as("SELECT responsible_unit_id, number FROM entries")
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    let given: BTreeSet<(i32, i32)> = numbers.iter().copied().collect();
    let expected: BTreeSet<(i32, i32)> = [TRUONG_VINH, THANH_VINH]
        .into_iter()
        .flat_map(|unit| {
            let count = numbers.iter().filter(|(of, _)| *of == unit).count();
            (1..=i32::try_from(count).unwrap()).map(move |number| (unit, number))
        })
        .collect();
    assert_eq!(given, expected);
    assert_eq!(findings(&stack).await, Vec::<String>::new());
}
