//! Giám hộ; nhận cha, mẹ, con; nuôi con nuôi, through the port.

use egov_civil_registry::rebuild_leaves::{rebuild_leaves, without_row};
use egov_proto::egov::civil_registry::v1::*;
use egov_transparency::{LogReport, verify_kind};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::*;

/// What an entry leaves behind, all told.
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

/// The rules that a refusal names, with their fields; each is told in both languages.
fn rules(status: &Status) -> Vec<(String, String)> {
    let fault = egov_fault::fault_of(status);
    for told in fault.violations() {
        assert!(
            !told.vi.is_empty() && !told.en.is_empty() && told.vi != told.en,
            "{told:?}"
        );
    }
    let told = fault.violations().iter();
    told.map(|one| (one.rule.clone(), one.field.clone())).collect()
}

fn rule(code: &str, field: &str) -> (String, String) {
    (code.to_owned(), field.to_owned())
}

/// Opens the book of a kind of 2026.
pub(crate) async fn open(client: &mut Client, unit_id: i32, event: EventKind) -> Book {
    let request = OpenBookRequest {
        event: event.into(),
        ..opening(unit_id, 2026)
    };
    client
        .books
        .open_book(request)
        .await
        .unwrap()
        .into_inner()
        .book
        .unwrap()
}

fn party(full_name: &str, personal_number: &str, sex: Sex, born: (i32, i32, i32)) -> Party {
    Party {
        person_id: String::new(),
        full_name: full_name.to_owned(),
        personal_number: personal_number.to_owned(),
        sex: sex.into(),
        date_of_birth: day(born.0, born.1, born.2),
        ethnic_group: "01".to_owned(),
        nationality: "VN".to_owned(),
        other_nationality: String::new(),
        residence_kind: ResidenceKind::Permanent.into(),
        residence: "Khối 5, phường Trường Vinh, tỉnh Nghệ An".to_owned(),
        paper: None,
    }
}

fn requester() -> Option<Requester> {
    birth_of("Nguyễn An").birth.unwrap().requester
}

/// A man recognises a child.
pub(crate) fn recognition(man: &str, child: &str) -> RegisterRecognitionRequest {
    let signed = birth_of("Nguyễn An");
    RegisterRecognitionRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        registration_date: None,
        recognition: Some(Recognition {
            kind: RecognitionKind::FatherRecognisesChild.into(),
            parent: Some(party("Lê Văn Nhận", man, Sex::Male, (1990, 4, 0))),
            child: Some(party("Nguyễn Thị An Nhiên", child, Sex::Female, (2026, 11, 13))),
            proof: RecognitionProof::Expert.into(),
            proof_number: "31/KLGĐ".to_owned(),
            proof_date: day(2026, 11, 20),
            proof_authority: "Trung tâm Pháp y tỉnh Nghệ An".to_owned(),
            witness_names: Vec::new(),
            parent_was_present: true,
            child_was_present: true,
            child_consented: false,
            requester: requester(),
        }),
        signer_name: signed.signer_name,
        signer_title: signed.signer_title,
        performer_name: signed.performer_name,
        note: String::new(),
        decisions: Vec::new(),
        signer_authorisation: String::new(),
    }
}

/// A woman adopts a child of fourteen.
fn adoption(woman: &str, child: &str) -> RegisterAdoptionRequest {
    let signed = birth_of("Nguyễn An");
    RegisterAdoptionRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        registration_date: None,
        adoption: Some(Adoption {
            adopter: Some(party("Hoàng Thị Nuôi", woman, Sex::Female, (1980, 4, 2))),
            other_adopter: None,
            child: Some(party("Nguyễn Văn An", child, Sex::Male, (2012, 4, 5))),
            relationship: AdopterRelationship::Unspecified.into(),
            adopters_were_present: true,
            parents_consented: true,
            consenting_names: vec!["Trần Thị Mẹ".to_owned()],
            child_consented: true,
            requester: requester(),
        }),
        signer_name: signed.signer_name,
        signer_title: signed.signer_title,
        performer_name: signed.performer_name,
        note: String::new(),
        decisions: Vec::new(),
        signer_authorisation: String::new(),
    }
}

/// A grandmother becomes the guardian of a minor.
pub(crate) fn guardianship(guardian: &str, ward: &str) -> RegisterGuardianshipRequest {
    let signed = birth_of("Nguyễn An");
    RegisterGuardianshipRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        registration_date: None,
        guardianship: Some(Guardianship {
            act: GuardianshipAct::Start.into(),
            ward: Some(party("Võ Văn Cháu", ward, Sex::Male, (2016, 5, 6))),
            guardian: Some(party("Võ Thị Bà", guardian, Sex::Female, (1960, 1, 2))),
            supervisor: None,
            kind: GuardianshipKind::ByLaw.into(),
            ground: WardGround::Minor.into(),
            basis_number: String::new(),
            basis_date: None,
            basis_authority: String::new(),
            end_reason: GuardianshipEnd::Unspecified.into(),
            end_date: None,
            requester: requester(),
        }),
        signer_name: signed.signer_name,
        signer_title: signed.signer_title,
        performer_name: signed.performer_name,
        note: String::new(),
        decisions: Vec::new(),
        signer_authorisation: String::new(),
    }
}

pub(crate) async fn recognise(client: &mut Client, request: RegisterRecognitionRequest) -> Result<Entry, Status> {
    let answer = client.entries.register_recognition(request).await?;
    Ok(answer.into_inner().entry.unwrap())
}

async fn adopt(client: &mut Client, request: RegisterAdoptionRequest) -> Result<Entry, Status> {
    let answer = client.entries.register_adoption(request).await?;
    Ok(answer.into_inner().entry.unwrap())
}

pub(crate) async fn guard(client: &mut Client, request: RegisterGuardianshipRequest) -> Result<Entry, Status> {
    let answer = client.entries.register_guardianship(request).await?;
    Ok(answer.into_inner().entry.unwrap())
}

/// The kinds of the relations of a person, on a day of November 2026 or all that are told.
async fn family(client: &mut Client, person_id: &str, on: Option<i32>) -> Vec<FamilyRelationKind> {
    let request = GetPersonRequest {
        person_id: person_id.to_owned(),
        valid_on: on.and_then(|on| day(2026, 11, on)),
        known_on: None,
    };
    let told = client.persons.get_person(request).await.unwrap().into_inner();
    let mut kinds: Vec<FamilyRelationKind> = told.relations.iter().map(ToldRelation::kind).collect();
    kinds.sort_by_key(|kind| i32::from(*kind));
    kinds
}

/// What was announced of an entry.
async fn announced(stack: &Stack, kind: &str) -> serde_json::Value {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(
        "SELECT payload FROM (SELECT kind, payload FROM egov.outbox UNION ALL SELECT kind, payload FROM egov.event_log) AS told
         WHERE kind = $1",
    )
    .bind(kind)
    .fetch_one(&mut superuser)
    .await
    .unwrap()
}

const CHILD: &str = "040326000301";
const MAN: &str = "040090000301";

/// The same, otherwise.
fn recognised_where(change: impl FnOnce(&mut Recognition)) -> RegisterRecognitionRequest {
    let mut request = recognition(MAN, CHILD);
    change(request.recognition.as_mut().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_is_recognised_by_one_man_and_who_may_not_see_it_is_told_nothing() {
    const ROUNDS: usize = 4;
    let stack = Stack::start().await;
    let (mut officer, mut neighbour) = (stack.staff(OFFICER, TRUONG_VINH), stack.staff(OFFICER, THANH_VINH));
    let mut reader = stack.staff(READER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    let status = recognise(&mut officer, recognition(MAN, CHILD)).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "BOOK_NOT_OPEN")
    );
    let book = open(&mut officer, TRUONG_VINH, EventKind::Recognition).await;
    open(&mut neighbour, THANH_VINH, EventKind::Recognition).await;
    let born = birth_where(|birth| {
        birth.kind = BirthKind::FatherUnknown.into();
        birth.father = None;
        CHILD.clone_into(&mut birth.child.as_mut().unwrap().personal_number);
    });
    let birth = officer.register(born).await.unwrap();
    let child = birth.birth.clone().unwrap().child.unwrap().person_id;
    let before = stack.count(TRACES).await;

    // Each refusal alone; nothing changes.
    let other_parent = |said: &mut Recognition, parent: Party| {
        said.parent = Some(parent);
        said.kind = RecognitionKind::MotherRecognisesChild.into();
    };
    let refused: Vec<(RegisterRecognitionRequest, Vec<(String, String)>)> = vec![
        (
            recognised_where(|said| said.parent_was_present = false),
            vec![rule("recognition_presence", "recognition.parent_was_present")],
        ),
        (
            recognised_where(|said| said.child_was_present = false),
            vec![rule("recognition_presence", "recognition.child_was_present")],
        ),
        (
            recognised_where(|said| {
                said.proof = RecognitionProof::Undertaking.into();
                said.witness_names = vec!["Phan Thị Chứng".to_owned()];
            }),
            vec![rule("recognition_witnesses", "recognition.witness_names")],
        ),
        (
            recognised_where(|said| said.witness_names = vec![" ".to_owned()]),
            vec![rule("value", "recognition.witness_names[0]")],
        ),
        (
            recognised_where(|said| {
                said.proof = RecognitionProof::Unspecified.into();
                (said.proof_number, said.proof_authority) = (String::new(), String::new());
                said.proof_date = None;
            }),
            vec![rule("recognition_proof", "recognition.proof")],
        ),
        (
            recognised_where(|said| said.parent = Some(party("Lê Thị Nhận", "", Sex::Female, (1990, 4, 0)))),
            vec![rule("recognition_sex", "recognition.parent.sex")],
        ),
        (
            recognised_where(|said| said.parent = Some(party("Lê Văn Nhận", "", Sex::Male, (2026, 11, 13)))),
            vec![rule("parent_younger", "recognition.parent.date_of_birth")],
        ),
        (
            recognised_where(|said| said.child.as_mut().unwrap().date_of_birth = None),
            vec![
                rule("birth_date", "recognition.child.date_of_birth"),
                rule("recognition_consent", "recognition.child_consented"),
            ],
        ),
        (
            recognised_where(|said| said.parent.as_mut().unwrap().person_id = "x".to_owned()),
            vec![rule("value", "recognition.parent.person_id")],
        ),
        (
            recognised_where(|said| other_parent(said, party("Trần Thị Mẹ", MOTHER, Sex::Female, (1995, 4, 0)))),
            vec![rule("recognition_known", "recognition.parent")],
        ),
        (
            recognised_where(|said| other_parent(said, party("Vũ Thị Khác", "", Sex::Female, (1995, 4, 0)))),
            vec![rule("recognition_other_parent", "recognition.parent")],
        ),
        (
            RegisterRecognitionRequest {
                signer_title: "Công chức tư pháp - hộ tịch".to_owned(),
                ..recognition(MAN, CHILD)
            },
            vec![rule("signer", "signer_title")],
        ),
        (
            RegisterRecognitionRequest {
                registration_date: day(2026, 11, 24),
                ..recognition(MAN, CHILD)
            },
            vec![rule("registration_date", "registration_date")],
        ),
    ];
    for (request, expected) in refused {
        let status = recognise(&mut officer, request).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELD", "{expected:?}: {status:?}");
        assert_eq!(rules(&status), expected);
    }
    let status = recognise(&mut reader, recognition(MAN, CHILD)).await.unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");
    assert_eq!(stack.count(TRACES).await, before);

    // Once; the same request is the same entry, and the birth stays as it was entered.
    let request = recognition(MAN, CHILD);
    let entry = recognise(&mut officer, request.clone()).await.unwrap();
    assert_eq!(
        (entry.printed_number.as_str(), entry.event()),
        ("01/2026", EventKind::Recognition)
    );
    assert_eq!(recognise(&mut officer, request).await.unwrap(), entry);
    let said = entry.recognition.clone().unwrap();
    assert_eq!(said.child.clone().unwrap().person_id, child);
    assert_eq!(officer.entry(&birth.entry_id).await.unwrap(), birth);
    assert_eq!(
        stack
            .count("SELECT count(*) FROM family_relations WHERE kind = 2 AND valid_from = '2026-11-13' AND valid_to IS NULL")
            .await,
        1,
        "true since the birth"
    );
    for (client, request, expected) in [
        (&mut officer, recognition(MAN, CHILD), "recognition_known"),
        (
            &mut neighbour,
            recognition("040090000302", CHILD),
            "recognition_other_parent",
        ),
    ] {
        let unit_id = if expected == "recognition_known" {
            TRUONG_VINH
        } else {
            THANH_VINH
        };
        let request = RegisterRecognitionRequest { unit_id, ..request };
        let status = recognise(client, request).await.unwrap_err();
        assert_eq!(rules(&status), [rule(expected, "recognition.parent")]);
    }

    // Who may not see it is told that there is an entry, and nothing of whom; nor that there is another parent.
    use FamilyRelationKind::{Father, Mother};
    assert_eq!(family(&mut officer, &child, None).await, [Mother, Father]);
    assert!(family(&mut officer, &child, Some(12)).await.is_empty());
    assert_eq!(family(&mut reader, &child, None).await, [Mother]);
    let shown = reader.entry(&entry.entry_id).await.unwrap();
    assert!(shown.withheld && shown.recognition.is_none() && shown.number == 1);
    let request = ListEntriesRequest {
        book_id: book.book_id,
        ..Default::default()
    };
    let listed = reader.entries.list_entries(request).await.unwrap().into_inner().entries;
    assert!(listed.len() == 1 && listed[0].withheld);
    assert_eq!(
        reason(&neighbour.entry(&entry.entry_id).await.unwrap_err()),
        "ENTRY_NOT_FOUND"
    );
    let told = announced(&stack, "civil_recognition_registered").await;
    assert_eq!(
        (&told["subject_id"], &told["person_ids"]),
        (&serde_json::Value::Null, &serde_json::json!([]))
    );
    let system = stack.tokens.system(Uuid::from_u128(0x900), &[(INQUIRER, PROVINCE)]);
    let mut inquirer = stack.client(Some(system), Some("case_handling"));
    for number in [MAN, MOTHER] {
        let request = AskPredicateRequest {
            personal_number: number.to_owned(),
            predicate: Predicate::ParentOf.into(),
            valid_on: day(2026, 11, 23),
            child_personal_number: CHILD.to_owned(),
            legal_basis: "Điều 7 Luật Bảo hiểm xã hội 41/2024/QH15".to_owned(),
            ..Default::default()
        };
        let answer = inquirer
            .disclosure
            .ask_predicate(request)
            .await
            .unwrap()
            .into_inner()
            .answer();
        assert_eq!(answer, PredicateAnswer::NotKnown, "{number}");
    }

    // Its extract, and a correction of a name, which is guarded as it is.
    let issued = officer.issue(paper(&entry, PaperKind::Extract)).await.unwrap();
    assert_eq!(issued.title, "Trích lục đăng ký nhận cha, mẹ, con");
    for (client, expected) in [(&mut officer, 1), (&mut reader, 0)] {
        let listed = client.papers.list_papers(ListPapersRequest::default()).await.unwrap();
        assert_eq!(listed.into_inner().papers.len(), expected);
    }
    let status = officer.issue(paper(&entry, PaperKind::Certificate)).await.unwrap_err();
    assert_eq!(reason(&status), "PAPER_NOT_OF_THIS_ENTRY");
    let renamed = [("recognition.parent.full_name", "Lê Văn Nhận", "Lê Văn Nhẫn")];
    let corrected = officer
        .correct(correction(&entry, CorrectionKind::Correction, &renamed))
        .await
        .unwrap();
    assert!(reader.entry(&corrected.entry_id).await.unwrap().withheld);
    assert!(!officer.entry(&corrected.entry_id).await.unwrap().withheld);
    let sex = [("recognition.parent.sex", "1", "2")];
    let status = officer
        .correct(correction(&entry, CorrectionKind::Correction, &sex))
        .await
        .unwrap_err();
    assert_eq!(rules(&status), [rule("field_unknown", "correction.fields[0].field")]);

    // Two men at two communes recognise one child at the same moment: one does.
    for round in 0..ROUNDS {
        let child = format!("0403260009{round:02}");
        let here = recognition(&format!("0400900008{round:02}"), &child);
        let there = RegisterRecognitionRequest {
            unit_id: THANH_VINH,
            ..recognition(&format!("0400900007{round:02}"), &child)
        };
        let (mut one, mut two) = (officer.clone(), neighbour.clone());
        match tokio::join!(recognise(&mut one, here), recognise(&mut two, there)) {
            (Ok(_), Err(status)) | (Err(status), Ok(_)) => {
                assert_eq!(rules(&status), [rule("recognition_other_parent", "recognition.parent")]);
            }
            both => panic!("round {round}: one of them is registered: {both:?}"),
        }
    }
    assert_eq!(
        stack
            .count("SELECT count(*) FROM family_relations WHERE kind = 2")
            .await,
        1 + i64::try_from(ROUNDS).unwrap()
    );
    assert_eq!(findings(&stack).await, Vec::<String>::new());
}

const ADOPTED: &str = "040212000401";
const ADOPTER: &str = "040180000402";
const WARD: &str = "040216000404";
const GUARDIAN: &str = "040160000405";

/// The same, otherwise.
fn adopted_where(change: impl FnOnce(&mut Adoption)) -> RegisterAdoptionRequest {
    let mut request = adoption(ADOPTER, ADOPTED);
    change(request.adoption.as_mut().unwrap());
    request
}

/// The same, otherwise.
fn guarded_where(change: impl FnOnce(&mut Guardianship)) -> RegisterGuardianshipRequest {
    let mut request = guardianship(GUARDIAN, WARD);
    change(request.guardianship.as_mut().unwrap());
    request
}

/// A guardianship is no secret: it begins, is supervised, and ends.
async fn guarded(stack: &Stack, officer: &mut Client, neighbour: &mut Client, reader: &mut Client) {
    #![expect(clippy::unwrap_used, reason = "part of a test")]
    let ending = |on: i32| {
        guarded_where(|said| {
            said.act = GuardianshipAct::End.into();
            (said.kind, said.ground) = (0, 0);
            said.end_reason = GuardianshipEnd::Changed.into();
            said.end_date = day(2026, 11, on);
        })
    };
    let before = stack.count(TRACES).await;
    for (request, expected) in [
        (ending(20), rule("guardianship_missing", "guardianship.guardian")),
        (
            guarded_where(|said| said.end_date = day(2026, 11, 20)),
            rule("guardianship_act", "guardianship.end_date"),
        ),
        (
            guarded_where(|said| said.kind = GuardianshipKind::Appointed.into()),
            rule("guardianship_basis", "guardianship.basis_number"),
        ),
        (
            guarded_where(|said| said.guardian = Some(party("Võ Thị Em", "", Sex::Female, (2008, 11, 24)))),
            rule("guardian_age", "guardianship.guardian.date_of_birth"),
        ),
        (
            guarded_where(|said| said.ward = Some(party("Võ Văn Lớn", "", Sex::Male, (2008, 11, 23)))),
            rule("ward_age", "guardianship.ward.date_of_birth"),
        ),
        (
            guarded_where(|said| said.ground = WardGround::CapacityLost.into()),
            rule("ward_capacity", "guardianship.ward"),
        ),
    ] {
        let status = guard(officer, request).await.unwrap_err();
        assert_eq!(rules(&status), [expected], "{status:?}");
    }
    assert_eq!(stack.count(TRACES).await, before);
    let request = RegisterGuardianshipRequest {
        registration_date: day(2026, 11, 10),
        ..guardianship(GUARDIAN, WARD)
    };
    let begun = guard(officer, request.clone()).await.unwrap();
    assert_eq!((begun.number, begun.event()), (1, EventKind::Guardianship));
    assert_eq!(guard(officer, request).await.unwrap(), begun);
    let ward = begun.guardianship.clone().unwrap().ward.unwrap().person_id;
    assert_eq!(reader.entry(&begun.entry_id).await.unwrap(), begun);
    assert_eq!(family(reader, &ward, Some(10)).await, [FamilyRelationKind::Guardian]);
    let status = guard(officer, guardianship(GUARDIAN, WARD)).await.unwrap_err();
    assert_eq!(rules(&status), [rule("guardianship_stands", "guardianship.guardian")]);
    let another = || RegisterGuardianshipRequest {
        unit_id: THANH_VINH,
        ..guardianship("040160000406", WARD)
    };
    let status = guard(neighbour, another()).await.unwrap_err();
    assert_eq!(rules(&status), [rule("guardian_other", "guardianship.ward")]);
    let supervised = guarded_where(|said| {
        said.act = GuardianshipAct::Supervision.into();
        (said.kind, said.ground) = (0, 0);
        said.supervisor = Some(party("Võ Văn Giám", "", Sex::Male, (1962, 1, 1)));
    });
    let supervised = guard(officer, supervised).await.unwrap();
    assert_eq!(
        officer
            .issue(paper(&supervised, PaperKind::Extract))
            .await
            .unwrap()
            .title,
        "Trích lục đăng ký giám hộ"
    );
    let status = guard(officer, ending(9)).await.unwrap_err();
    assert_eq!(rules(&status), [rule("guardianship_end_date", "guardianship.end_date")]);
    let over = guard(officer, ending(20)).await.unwrap();
    assert_eq!(over.number, 3);
    assert_eq!(family(reader, &ward, Some(19)).await, [FamilyRelationKind::Guardian]);
    assert!(family(reader, &ward, Some(20)).await.is_empty());
    let status = guard(officer, ending(20)).await.unwrap_err();
    assert_eq!(rules(&status), [rule("guardianship_missing", "guardianship.guardian")]);
    guard(neighbour, another()).await.unwrap();
    assert_eq!(
        reason(&neighbour.entry(&begun.entry_id).await.unwrap_err()),
        "ENTRY_NOT_FOUND"
    );
}

/// Another adopts the same child.
fn anew() -> RegisterAdoptionRequest {
    adoption("040180000409", ADOPTED)
}

/// The child marries who adopted it, at another commune.
fn two_of_them() -> RegisterMarriageRequest {
    RegisterMarriageRequest {
        unit_id: THANH_VINH,
        ..marriage_where(|husband, wife| {
            *husband = spouse("Nguyễn Văn An", ADOPTED, 2012);
            *wife = spouse("Hoàng Thị Nuôi", ADOPTER, 1980);
        })
    }
}

/// What stands in the way of it: the line is told, and not by whom.
fn adoptive_line() -> [(String, String); 2] {
    [
        rule("marriage_age", "marriage.husband.date_of_birth"),
        rule("adoptive_line", "marriage"),
    ]
}

/// Adoptions that are refused, each alone, leave nothing.
async fn adoptions_are_refused(stack: &Stack, officer: &mut Client) {
    #![expect(clippy::unwrap_used, reason = "part of a test")]
    let before = stack.count(TRACES).await;
    let refused: Vec<(RegisterAdoptionRequest, Vec<(String, String)>)> = vec![
        (
            adopted_where(|said| said.adopters_were_present = false),
            vec![rule("adoption_presence", "adoption.adopters_were_present")],
        ),
        (
            adopted_where(|said| {
                said.parents_consented = false;
                said.consenting_names.clear();
            }),
            vec![rule("adoption_consent", "adoption.parents_consented")],
        ),
        (
            adopted_where(|said| said.child_consented = false),
            vec![rule("adoption_consent", "adoption.child_consented")],
        ),
        (
            adopted_where(|said| said.adopter = Some(party("Hoàng Thị Trẻ", "", Sex::Female, (2000, 1, 1)))),
            vec![rule("adopter_older", "adoption.adopter.date_of_birth")],
        ),
        (
            adopted_where(|said| said.child = Some(party("Nguyễn Văn Lớn", "", Sex::Male, (2010, 11, 23)))),
            vec![rule("adopted_age", "adoption.child.date_of_birth")],
        ),
        (
            adopted_where(|said| said.adopter = Some(party("Trần Thị Mẹ", MOTHER, Sex::Female, (1995, 4, 0)))),
            vec![
                rule("adopter_older", "adoption.adopter.date_of_birth"),
                rule("adoption_kin", "adoption.adopter"),
            ],
        ),
        (
            adopted_where(|said| said.other_adopter = Some(party("Đinh Văn Nuôi", "", Sex::Male, (1979, 1, 1)))),
            vec![rule("adopters_married", "adoption.other_adopter")],
        ),
    ];
    for (request, expected) in refused {
        let status = adopt(officer, request).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELD", "{expected:?}: {status:?}");
        assert_eq!(rules(&status), expected);
    }
    assert_eq!(stack.count(TRACES).await, before);
}

/// A court ends it, which is noted beside it: the child is adopted anew, and still does not marry who adopted it first.
async fn an_adoption_ends(officer: &mut Client, neighbour: &mut Client, entry: &Entry, child: &str) {
    #![expect(clippy::unwrap_used, reason = "part of a test")]
    let ended = |on: Option<i32>| AnnotateEntryRequest {
        kind: AnnotationKind::Adoption.into(),
        text: "Toà án chấm dứt việc nuôi con nuôi".to_owned(),
        effective_date: on.and_then(|on| day(2026, 11, on)),
        ..annotation(entry)
    };
    officer.annotate(ended(None)).await.unwrap();
    let status = adopt(officer, anew()).await.unwrap_err();
    assert_eq!(rules(&status), [rule("adopted_already", "adoption.child")]);
    for on in [9, 24] {
        let status = officer.annotate(ended(Some(on))).await.unwrap_err();
        assert_eq!(rules(&status), [rule("effective_date", "effective_date")], "{on}");
    }
    let noted = officer.annotate(ended(Some(20))).await.unwrap();
    let status = officer.annotate(ended(Some(21))).await.unwrap_err();
    assert_eq!(rules(&status), [rule("adoption_ended", "effective_date")]);
    assert_eq!(
        family(officer, child, Some(19)).await,
        [
            FamilyRelationKind::Mother,
            FamilyRelationKind::Father,
            FamilyRelationKind::AdoptiveParent
        ]
    );
    assert_eq!(
        family(officer, child, Some(20)).await,
        [FamilyRelationKind::Mother, FamilyRelationKind::Father]
    );
    assert_eq!(
        rules(&neighbour.marry(two_of_them()).await.unwrap_err()),
        adoptive_line()
    );
    adopt(officer, anew()).await.unwrap();
    let cancelling = AnnotateEntryRequest {
        cancels_annotation_id: noted.annotation_id,
        ..ended(None)
    };
    let status = officer.annotate(cancelling).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "ADOPTED_SINCE")
    );
}

#[tokio::test]
async fn who_is_adopted_marries_no_adoptive_parent_and_a_ward_has_a_guardian_until_it_ends() {
    let stack = Stack::start().await;
    let (mut officer, mut neighbour) = (stack.staff(OFFICER, TRUONG_VINH), stack.staff(OFFICER, THANH_VINH));
    let mut reader = stack.staff(READER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    neighbour.open_marriages(THANH_VINH, 2026).await.unwrap();
    open(&mut officer, TRUONG_VINH, EventKind::Adoption).await;
    open(&mut officer, TRUONG_VINH, EventKind::Guardianship).await;
    open(&mut neighbour, THANH_VINH, EventKind::Guardianship).await;
    let born = birth_where(|birth| {
        let child = birth.child.as_mut().unwrap();
        ADOPTED.clone_into(&mut child.personal_number);
        (child.sex, child.date_of_birth) = (Sex::Male.into(), day(2012, 4, 5));
    });
    let birth = officer.register(born).await.unwrap();
    let child = birth.birth.clone().unwrap().child.unwrap().person_id;
    Box::pin(adoptions_are_refused(&stack, &mut officer)).await;

    let request = RegisterAdoptionRequest {
        registration_date: day(2026, 11, 10),
        ..adoption(ADOPTER, ADOPTED)
    };
    let entry = adopt(&mut officer, request.clone()).await.unwrap();
    assert_eq!((entry.number, entry.event()), (1, EventKind::Adoption));
    assert_eq!(adopt(&mut officer, request).await.unwrap(), entry);
    let status = adopt(&mut officer, anew()).await.unwrap_err();
    assert_eq!(rules(&status), [rule("adopted_already", "adoption.child")]);

    // Whichever commune is asked, the two do not marry; the line is told, and not by whom.
    assert_eq!(
        rules(&neighbour.marry(two_of_them()).await.unwrap_err()),
        adoptive_line()
    );

    // Guarded, with its correction and its extract.
    use FamilyRelationKind::{AdoptiveParent, Father, Mother};
    assert_eq!(
        family(&mut officer, &child, None).await,
        [Mother, Father, AdoptiveParent]
    );
    assert_eq!(family(&mut officer, &child, Some(9)).await, [Mother, Father]);
    assert_eq!(family(&mut reader, &child, None).await, [Mother, Father]);
    let shown = reader.entry(&entry.entry_id).await.unwrap();
    assert!(shown.withheld && shown.adoption.is_none());
    let renamed = [("adoption.adopter.full_name", "Hoàng Thị Nuôi", "Hoàng Thị Dưỡng")];
    let corrected = officer
        .correct(correction(&entry, CorrectionKind::Change, &renamed))
        .await
        .unwrap();
    assert!(reader.entry(&corrected.entry_id).await.unwrap().withheld);
    let issued = officer.issue(paper(&entry, PaperKind::Extract)).await.unwrap();
    assert_eq!(issued.title, "Trích lục đăng ký nuôi con nuôi");
    assert_eq!(
        announced(&stack, "civil_adoption_registered").await["subject_id"],
        serde_json::Value::Null
    );

    Box::pin(an_adoption_ends(&mut officer, &mut neighbour, &entry, &child)).await;
    // On the heap, as every message of an entry that it holds is large.
    Box::pin(guarded(&stack, &mut officer, &mut neighbour, &mut reader)).await;
    assert_eq!(
        stack
            .count("SELECT count(*) FROM vital_counts WHERE event IN (4, 5, 7)")
            .await,
        0,
        "what adds nobody is not counted"
    );
    assert_eq!(findings(&stack).await, Vec::<String>::new());
}
