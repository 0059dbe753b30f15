//! What is disclosed to whom: questions that are answered yes or no, and what is guarded beside the right to read entries. Through the port.

use egov_proto::egov::civil_registry::v1::*;
use jiff::SignedDuration;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::*;

const CHILD: &str = "040326000333";
const STRANGER: &str = "040090000444";
const BASIS: &str = "Điều 7 Luật Bảo hiểm xã hội 41/2024/QH15";

/// A question about a day of November 2026.
fn about(number: &str, predicate: Predicate, on: i32) -> AskPredicateRequest {
    AskPredicateRequest {
        personal_number: number.to_owned(),
        predicate: predicate.into(),
        valid_on: day(2026, 11, on),
        age: if predicate == Predicate::AtLeastAge { 18 } else { 0 },
        child_personal_number: if predicate == Predicate::ParentOf {
            CHILD.to_owned()
        } else {
            String::new()
        },
        legal_basis: BASIS.to_owned(),
    }
}

async fn asked(client: &Client, request: AskPredicateRequest) -> Result<PredicateAnswer, Status> {
    let answer = client.disclosure.clone().ask_predicate(request).await?;
    Ok(answer.into_inner().answer())
}

/// The records of questions: subjects and resources.
async fn recorded(stack: &Stack) -> Vec<(Vec<Uuid>, Vec<String>)> {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_as(
        "SELECT subjects, resources FROM egov.read_records
         WHERE method LIKE '%AskPredicate' AND purpose = 'case_handling' ORDER BY record_id",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_question_is_answered_over_all_communes_recorded_for_the_person_and_tells_no_field() {
    use Predicate::{Alive, AtLeastAge, Married, ParentOf};
    use PredicateAnswer::{No, NotKnown, Yes};
    let stack = Stack::start().await;
    let system = stack.tokens.system(Uuid::from_u128(0x900), &[(INQUIRER, PROVINCE)]);
    let client = stack.client(Some(system.clone()), Some("case_handling"));

    // Whom the registry does not know, it does not know; the supervisor sees that somebody asked.
    for predicate in [Alive, Married, AtLeastAge, ParentOf] {
        assert_eq!(asked(&client, about(STRANGER, predicate, 23)).await.unwrap(), NotKnown);
    }
    let records = recorded(&stack).await;
    assert!(records.iter().all(|(subjects, _)| subjects.is_empty()) && records.len() == 4);

    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    let born = birth_where(|birth| birth.child.as_mut().unwrap().personal_number = CHILD.to_owned());
    let entry = officer.register(born).await.unwrap();
    let said = entry.birth.clone().unwrap();
    for (number, predicate, on, expected) in [
        (CHILD, Alive, 23, Yes),
        (CHILD, Alive, 12, No),
        (CHILD, AtLeastAge, 23, No),
        (CHILD, Married, 23, No),
        (FATHER, AtLeastAge, 23, Yes),
        (FATHER, ParentOf, 23, Yes),
        (FATHER, ParentOf, 12, No),
        (STRANGER, ParentOf, 23, NotKnown),
        // Named as a parent: whether he is married no entry tells.
        (FATHER, Married, 23, NotKnown),
    ] {
        let answer = asked(&client, about(number, predicate, on)).await.unwrap();
        assert_eq!(answer, expected, "{number} {predicate:?} {on}");
    }

    // Another commune marries the parents; there the father dies.
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    neighbour.open_marriages(THANH_VINH, 2026).await.unwrap();
    neighbour.open_deaths(THANH_VINH, 2026).await.unwrap();
    let request = RegisterMarriageRequest {
        unit_id: THANH_VINH,
        registration_date: day(2026, 11, 19),
        ..marriage()
    };
    neighbour.marry(request).await.unwrap();
    for (on, expected) in [(18, No), (19, Yes), (23, Yes)] {
        for number in [MOTHER, FATHER] {
            assert_eq!(
                asked(&client, about(number, Married, on)).await.unwrap(),
                expected,
                "{on}"
            );
        }
    }
    let died = RegisterDeathRequest {
        unit_id: THANH_VINH,
        ..death_where(|death| {
            let deceased = death.deceased.as_mut().unwrap();
            deceased.full_name = "Nguyễn Văn Cha".to_owned();
            deceased.personal_number = FATHER.to_owned();
            deceased.sex = Sex::Male.into();
            deceased.date_of_birth = day(1993, 4, 0);
            death.date_of_death = day(2026, 11, 21);
            death.notice_date = day(2026, 11, 21);
        })
    };
    neighbour.register_death(died).await.unwrap();
    for (number, predicate, on, expected) in [
        (FATHER, Alive, 20, Yes),
        (FATHER, Alive, 21, No),
        (MOTHER, Married, 20, Yes),
        (MOTHER, Married, 21, No),
        (FATHER, ParentOf, 23, Yes),
    ] {
        let answer = asked(&client, about(number, predicate, on)).await.unwrap();
        assert_eq!(answer, expected, "{number} {predicate:?} {on}");
    }
    // What a court has decided of parents is not worked into families: then nothing is certain, and the answer is that of one who is not known.
    officer.annotate(annotation(&entry)).await.unwrap();
    assert_eq!(asked(&client, about(FATHER, ParentOf, 23)).await.unwrap(), NotKnown);

    // Both whom the last question was about find it, its day and its basis in their list; no number stands in any record.
    let records = recorded(&stack).await;
    let (subjects, resources) = records.last().unwrap();
    let mut expected =
        [said.father.unwrap().person_id, said.child.unwrap().person_id].map(|id| Uuid::parse_str(&id).unwrap());
    expected.sort_unstable();
    assert_eq!(subjects, &expected);
    assert_eq!(resources.len(), 4);
    for person in expected {
        assert!(resources.contains(&format!("civil_persons/{person}/predicates/parent_of@2026-11-23")));
    }
    assert!(resources.contains(&format!("legal_bases/{BASIS}")));
    let all = format!("{records:?}");
    assert!(
        [CHILD, FATHER, MOTHER, STRANGER]
            .iter()
            .all(|number| !all.contains(number))
    );

    // Everything that is wrong is named; a refusal asks nothing.
    let count = records.len();
    let wrong = AskPredicateRequest {
        age: 18,
        child_personal_number: CHILD.to_owned(),
        legal_basis: "  ".to_owned(),
        ..about(FATHER, Alive, 31)
    };
    let status = asked(&client, wrong).await.unwrap_err();
    assert_eq!(
        fields(&status),
        ["age", "child_personal_number", "valid_on", "legal_basis"]
    );
    let without_age = AskPredicateRequest {
        age: 0,
        ..about(FATHER, AtLeastAge, 23)
    };
    let without_basis = AskPredicateRequest {
        legal_basis: String::new(),
        ..about(FATHER, Alive, 23)
    };
    for (request, field) in [
        (without_age, "age"),
        (without_basis, "legal_basis"),
        (about(CHILD, ParentOf, 23), "child_personal_number"),
        (about(FATHER, Alive, 24), "valid_on"),
    ] {
        let status = asked(&client, request).await.unwrap_err();
        assert_eq!(fields(&status), [field]);
    }
    // Without a purpose, and by whom it is not given; who asks reads no entry.
    let purposeless = stack.client(Some(system), None);
    assert!(asked(&purposeless, about(FATHER, Alive, 23)).await.is_err());
    let reader = stack.client(Some(stack.token(READER, TRUONG_VINH)), Some("case_handling"));
    let status = asked(&reader, about(FATHER, Alive, 23)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = client.clone().entry(&entry.entry_id).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(recorded(&stack).await.len(), count);
}

/// What a caller is shown of an entry, of a person, and of the entries of two books.
async fn shown(
    client: &mut Client,
    entry: &Entry,
    valid_on: i32,
    books: [&Book; 2],
) -> (GetEntryResponse, GetPersonResponse, [Vec<Entry>; 2]) {
    let request = GetEntryRequest {
        entry_id: entry.entry_id.clone(),
        valid_on: day(2026, 11, valid_on),
        known_on: None,
    };
    let of_entry = client.entries.get_entry(request).await.unwrap().into_inner();
    let request = GetPersonRequest {
        person_id: entry.birth.clone().unwrap().child.unwrap().person_id,
        valid_on: None,
        known_on: None,
    };
    let of_person = client.persons.get_person(request).await.unwrap().into_inner();
    let mut lists = [Vec::new(), Vec::new()];
    for (book, list) in books.into_iter().zip(&mut lists) {
        let request = ListEntriesRequest {
            book_id: book.book_id.clone(),
            ..Default::default()
        };
        *list = client.entries.list_entries(request).await.unwrap().into_inner().entries;
    }
    (of_entry, of_person, lists)
}

#[tokio::test]
async fn adoption_recognition_and_a_change_of_sex_are_left_out_without_their_own_permission_and_leave_no_gap() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let births = officer.open(TRUONG_VINH, 2026).await.unwrap();
    let changes = officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    let entry = officer.register(birth()).await.unwrap();
    for (kind, of_kind) in [
        (AnnotationKind::Adoption, "Toà án công nhận việc nuôi con nuôi"),
        (AnnotationKind::Nationality, "Thôi quốc tịch"),
        (AnnotationKind::Sex, "Xác định lại giới tính"),
    ] {
        let request = AnnotateEntryRequest {
            kind: kind.into(),
            text: of_kind.to_owned(),
            ..annotation(&entry)
        };
        officer.annotate(request).await.unwrap();
    }
    let sex = [("birth.child.sex", "2", "1")];
    let guarded = officer
        .correct(correction(&entry, CorrectionKind::Change, &sex))
        .await
        .unwrap();
    let name = [("birth.child.full_name", "Nguyễn Thị An Nhiên", "Nguyễn An Nhiên")];
    let open = officer
        .correct(correction(&entry, CorrectionKind::Correction, &name))
        .await
        .unwrap();
    let books = [&births, &changes];

    // Who holds the permission sees everything, by the own role or by one beside a reader's.
    let all = shown(&mut officer, &entry, 23, books).await;
    assert_eq!((all.0.entry.as_ref(), all.0.annotations.len()), (Some(&entry), 3));
    assert_eq!(all.0.corrections, [guarded.clone(), open.clone()]);
    assert_eq!(all.2, [vec![entry.clone()], vec![guarded.clone(), open.clone()]]);
    assert_eq!(all.1.particulars.len(), 3);
    let both = [(READER, TRUONG_VINH), (GUARDED_READER, TRUONG_VINH)];
    let named = stack.tokens.staff(Uuid::from_u128(0x77), &both);
    let mut named = stack.client(Some(named), Some(PURPOSE));
    assert_eq!(shown(&mut named, &entry, 23, books).await, all);

    // Who does not is shown the same on every day: the sex that stands, as if it had been entered so.
    let mut reader = stack.staff(READER, TRUONG_VINH);
    let (of_entry, of_person, [of_births, of_changes]) = shown(&mut reader, &entry, 23, books).await;
    let mut as_if = entry.clone();
    as_if.birth.as_mut().unwrap().child.as_mut().unwrap().sex = Sex::Male.into();
    assert_eq!(of_entry.entry.as_ref(), Some(&as_if));
    let mut placeless = open.clone();
    placeless.correction.as_mut().unwrap().position = 0;
    assert_eq!(of_entry.corrections, [placeless.clone()]);
    let current = of_entry.current.clone().unwrap().birth.unwrap().child.unwrap();
    assert_eq!(
        (current.sex(), current.full_name.as_str()),
        (Sex::Male, "Nguyễn An Nhiên")
    );
    let [noted] = of_entry.annotations.as_slice() else {
        panic!("one note is not guarded: {of_entry:?}");
    };
    assert_eq!((noted.kind(), noted.position), (AnnotationKind::Nationality, 0));
    assert!(of_person.particulars.iter().all(|one| one.sex() == Sex::Male));
    let mut told: Vec<&str> = of_person.particulars.iter().map(|one| one.entry_id.as_str()).collect();
    told.sort_unstable();
    let mut expected = [entry.entry_id.as_str(), open.entry_id.as_str()];
    expected.sort_unstable();
    assert_eq!(told, expected);
    assert_eq!(of_births, [as_if.clone()]);
    let earlier = shown(&mut reader, &entry, 20, books).await.0;
    assert_eq!(earlier.entry, Some(as_if));

    // In the book of changes numbers run on: that something stands there is said, and not of whom.
    let [bare, second] = of_changes.as_slice() else {
        panic!("both numbers are there: {of_changes:?}");
    };
    assert_eq!(second, &placeless);
    assert!(bare.withheld && bare.correction.is_none() && bare.signer_name.is_empty() && bare.settled.is_empty());
    assert_eq!(
        (&bare.entry_id, bare.number, bare.page),
        (&guarded.entry_id, guarded.number, guarded.page)
    );
    assert_eq!(reader.entry(&guarded.entry_id).await.unwrap(), *bare);
    assert_eq!(
        stack
            .count(
                "SELECT count(*) FROM egov.read_records
                 WHERE method LIKE '%GetEntry' AND subjects = '{}' AND cardinality(resources) = 1"
            )
            .await,
        1,
        "nobody was told of"
    );
    // Whoever is looked for by name is told alike to both: neither sex nor entry stands there.
    stack.advance(SignedDuration::from_mins(1)).await;
    let sex = [("birth.child.sex", "1", "2")];
    officer
        .correct(correction(&entry, CorrectionKind::Change, &sex))
        .await
        .unwrap();
    let mut told = Vec::new();
    for client in [&mut officer, &mut reader] {
        let request = SearchPersonsRequest {
            full_name: "nguyen an nhien".to_owned(),
            birth_year: 2026,
            ..Default::default()
        };
        let found = client.persons.search_persons(request).await.unwrap();
        told.push(found.into_inner().persons);
    }
    assert_eq!((told[0].len(), &told[0]), (1, &told[1]));
    // The neighbour sees nothing of it, whatever else it may see.
    let both = [(READER, THANH_VINH), (GUARDED_READER, TRUONG_VINH)];
    let elsewhere = stack.tokens.staff(Uuid::from_u128(0x78), &both);
    let mut elsewhere = stack.client(Some(elsewhere), Some(PURPOSE));
    let status = elsewhere.entry(&entry.entry_id).await.unwrap_err();
    assert_eq!(reason(&status), "ENTRY_NOT_FOUND");
}
