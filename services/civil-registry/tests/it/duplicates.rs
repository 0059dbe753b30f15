//! Births that may be of one child: what the officer is asked, and what is decided of them, through the port.

use egov_proto::egov::civil_registry::v1::*;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::history::findings;
use crate::support::*;

/// The same registration, with what the officer answers to what is asked.
fn answered(request: &RegisterBirthRequest, status: &Status) -> RegisterBirthRequest {
    let violations = egov_fault::fault_of(status).violations().to_vec();
    RegisterBirthRequest {
        request_id: request_id(),
        decisions: violations
            .iter()
            .map(|asked| OfficerDecision {
                code: asked.rule.clone(),
                field: asked.field.clone(),
                reason: "đã đối chiếu giấy chứng sinh: hai trẻ".to_owned(),
            })
            .collect(),
        ..request.clone()
    }
}

/// Registers a birth that the officer is asked of: the entry, and the words of the question.
pub(crate) async fn register_asked(officer: &mut Client, request: RegisterBirthRequest) -> (Entry, String) {
    let status = officer.register(request.clone()).await.unwrap_err();
    let violations = egov_fault::fault_of(&status).violations().to_vec();
    let [asked] = violations.as_slice() else {
        panic!("{status:?}")
    };
    assert_eq!(
        (asked.rule.as_str(), asked.field.as_str()),
        ("duplicate_likely", "birth.child")
    );
    let entry = officer.register(answered(&request, &status)).await.unwrap();
    assert_eq!(entry.settled.len(), 1);
    (entry, asked.vi.clone())
}

async fn listed(client: &mut Client, with_decided: bool) -> Vec<Duplicate> {
    let (mut pairs, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListDuplicatesRequest {
            with_decided,
            page_size: 2,
            page_token,
        };
        let page = client.duplicates.list_duplicates(request).await.unwrap().into_inner();
        pairs.extend(page.duplicates);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return pairs;
        }
    }
}

fn decision(pair: &Duplicate, verdict: DuplicateVerdict) -> DecideDuplicateRequest {
    DecideDuplicateRequest {
        request_id: request_id(),
        duplicate_id: pair.duplicate_id.clone(),
        verdict: verdict.into(),
        reason: "đã đối chiếu sổ gốc".to_owned(),
    }
}

async fn decide(client: &mut Client, request: DecideDuplicateRequest) -> Result<Duplicate, Status> {
    let answer = client.duplicates.decide_duplicate(request).await?;
    Ok(answer.into_inner().duplicate.unwrap())
}

/// Who was decided to be the same person.
async fn same_as(client: &mut Client, person_id: &str) -> Vec<String> {
    let request = GetPersonRequest {
        person_id: person_id.to_owned(),
        ..GetPersonRequest::default()
    };
    client.persons.get_person(request).await.unwrap().into_inner().same_as
}

fn child_of(entry: &Entry) -> String {
    entry.birth.clone().unwrap().child.unwrap().person_id
}

#[tokio::test]
async fn a_likely_duplicate_is_asked_of_decided_and_taken_back() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let book = officer.open(TRUONG_VINH, 2026).await.unwrap();
    officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    let first = officer.register(birth_of("Nguyễn Thị Hoà Lý")).await.unwrap();
    // A twin is another child.
    officer.register(birth_of("Nguyễn Thị Hoà Bích")).await.unwrap();
    assert!(listed(&mut officer, true).await.is_empty());

    // The question names the entry and the reasons, and nobody; a refusal uses no number.
    let again = birth_of("Nguyen Thi Hoa Li");
    let status = officer.register(again.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(officer.book(&book.book_id).await.unwrap().last_number, 2);
    let (second, words) = register_asked(&mut officer, again).await;
    assert!(words.contains(&first.entry_id) && words.contains("cùng mẹ"), "{words}");
    assert!(!words.contains("Hoà") && !words.contains(MOTHER), "{words}");
    assert_eq!(second.settled[0].code, "duplicate_likely");
    let pairs = listed(&mut officer, false).await;
    let [pair] = pairs.as_slice() else { panic!("{pairs:?}") };
    assert_eq!(
        (&pair.entry_id, &pair.other_entry_id),
        (&second.entry_id, &first.entry_id)
    );
    assert_eq!(
        (&pair.person_id, &pair.other_person_id),
        (&child_of(&second), &child_of(&first))
    );
    assert_eq!(pair.points, pair.parts.iter().map(|part| part.points).sum::<i32>());
    assert!(pair.points >= 110 && pair.parts.iter().any(|part| part.code == "mother_same"));
    assert_eq!(pair.verdict(), DuplicateVerdict::Unspecified);

    // Who may not; what is nobody's; what cannot be.
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    let mut reader = stack.staff(READER, TRUONG_VINH);
    let nobodys = DecideDuplicateRequest {
        duplicate_id: request_id(),
        ..decision(pair, DuplicateVerdict::Same)
    };
    let status = decide(&mut reader, decision(pair, DuplicateVerdict::Same))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    for status in [
        decide(&mut neighbour, decision(pair, DuplicateVerdict::Same))
            .await
            .unwrap_err(),
        decide(&mut officer, nobodys).await.unwrap_err(),
    ] {
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "DUPLICATE_NOT_FOUND")
        );
    }
    let status = decide(&mut officer, decision(pair, DuplicateVerdict::Open))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "DUPLICATE_UNDECIDED");
    let silent = DecideDuplicateRequest {
        reason: " ".to_owned(),
        ..decision(pair, DuplicateVerdict::Same)
    };
    assert_eq!(fields(&decide(&mut officer, silent).await.unwrap_err()), ["reason"]);
    let unspecified = decision(pair, DuplicateVerdict::Unspecified);
    assert_eq!(
        fields(&decide(&mut officer, unspecified).await.unwrap_err()),
        ["verdict"]
    );
    assert_eq!(stack.count("SELECT count(*) FROM duplicate_rulings").await, 0);
    assert!(listed(&mut neighbour, true).await.is_empty());

    // Decided once, however often it is sent; it is not brought forward again.
    let same = decision(pair, DuplicateVerdict::Same);
    let decided = decide(&mut officer, same.clone()).await.unwrap();
    assert_eq!(
        (decided.verdict(), decided.reason.as_str()),
        (DuplicateVerdict::Same, "đã đối chiếu sổ gốc")
    );
    assert_eq!(decide(&mut officer, same).await.unwrap(), decided);
    assert!(listed(&mut officer, false).await.is_empty());
    assert_eq!(listed(&mut officer, true).await, [decided]);
    // Each of the two is shown with the other one.
    for (one, other) in [(&first, &second), (&second, &first)] {
        assert_eq!(same_as(&mut reader, &child_of(one)).await, [child_of(other)]);
    }
    let subjects: Vec<Uuid> = [&first, &second]
        .map(|entry| child_of(entry).parse::<Uuid>().unwrap())
        .into();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let recorded: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM egov.read_records WHERE method LIKE '%ListDuplicates' AND purpose = $1 AND subjects @> $2",
    )
    .bind(PURPOSE)
    .bind(&subjects)
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    assert_eq!(recorded, 2, "one record for each page that showed the pair");

    // Of a third one decisions may not contradict one another; what is taken back no longer does.
    let (third, words) = register_asked(&mut officer, birth_of("Nguyễn Thị Hoà Lý")).await;
    assert!(
        words.contains(&first.entry_id) && words.contains(&second.entry_id),
        "{words}"
    );
    let open = listed(&mut officer, false).await;
    assert_eq!(open.len(), 2);
    assert!(open.iter().all(|pair| pair.entry_id == third.entry_id));
    assert!(open[0].points >= open[1].points, "the likeliest first");
    decide(&mut officer, decision(&open[0], DuplicateVerdict::Same))
        .await
        .unwrap();
    let status = decide(&mut officer, decision(&open[1], DuplicateVerdict::Different))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "DUPLICATE_CONTRADICTS")
    );
    let taken_back = decide(&mut officer, decision(pair, DuplicateVerdict::Open))
        .await
        .unwrap();
    assert_eq!(taken_back.verdict(), DuplicateVerdict::Open);
    let merged = open[0].other_person_id.clone();
    for entry in [&first, &second] {
        let child = child_of(entry);
        let expected: Vec<String> = (child == merged).then(|| child_of(&third)).into_iter().collect();
        assert_eq!(same_as(&mut reader, &child).await, expected);
    }
    decide(&mut officer, decision(&open[1], DuplicateVerdict::Different))
        .await
        .unwrap();
    assert_eq!(
        listed(&mut officer, false).await,
        [taken_back],
        "what is open again is brought forward"
    );
    assert_eq!(stack.count("SELECT count(*) FROM duplicate_rulings").await, 4);

    // A name is compared as it stands after its correction.
    let corrected = [("birth.child.full_name", "Nguyễn Thị Hoà Bích", "Nguyễn Thị Hoà Khương")];
    let list = ListEntriesRequest {
        book_id: book.book_id.clone(),
        ..Default::default()
    };
    let entries = officer.entries.list_entries(list).await.unwrap().into_inner().entries;
    officer
        .correct(correction(&entries[1], CorrectionKind::Correction, &corrected))
        .await
        .unwrap();
    let (_, words) = register_asked(&mut officer, birth_of("Nguyễn Thị Hoà Khương")).await;
    assert!(words.contains(&entries[1].entry_id), "{words}");

    // What the neighbour registers is not told to anybody here, nor is what is here told there.
    neighbour.open(THANH_VINH, 2026).await.unwrap();
    let there = RegisterBirthRequest {
        unit_id: THANH_VINH,
        ..birth_of("Nguyễn Thị Hoà Lý")
    };
    let there = neighbour.register(there).await.unwrap();
    assert!(listed(&mut neighbour, true).await.is_empty());

    // What was decided cannot be changed unseen.
    assert_eq!(findings(&stack).await, Vec::<String>::new());
    let mut app = stack.database.connect_as_app().await.unwrap();
    for sql in [
        "UPDATE duplicate_rulings SET verdict = 1",
        "DELETE FROM duplicates",
        "DELETE FROM duplicate_words",
    ] {
        assert!(sqlx::query(sql).execute(&mut app).await.is_err(), "{sql}");
    }
    let forced = "SET session_replication_role = replica; UPDATE duplicate_rulings SET reason = 'x' WHERE verdict = 2";
    sqlx::raw_sql(forced).execute(&mut superuser).await.unwrap();
    assert_eq!(findings(&stack).await.len(), 1);

    // A decision across communes is told to whoever sees both.
    sqlx::query(
        "INSERT INTO duplicate_rulings (ruling_id, duplicate_id, responsible_unit_id, position, one_id, other_id, verdict, reason, actor_id,
                                        actor_kind, record_time)
         VALUES (gen_random_uuid(), gen_random_uuid(), $1, 1, $2, $3, 1, 'x', gen_random_uuid(), 'staff', now())",
    )
    .bind(TRUONG_VINH)
    .bind(child_of(&third).parse::<Uuid>().unwrap())
    .bind(child_of(&there).parse::<Uuid>().unwrap())
    .execute(&mut superuser)
    .await
    .unwrap();
    assert_eq!(
        same_as(&mut reader, &child_of(&third)).await,
        std::slice::from_ref(&merged)
    );
    assert!(same_as(&mut neighbour, &child_of(&there)).await.is_empty());
    let mut everywhere = vec![merged, child_of(&there)];
    everywhere.sort_unstable();
    let mut province = stack.staff(READER, PROVINCE);
    assert_eq!(same_as(&mut province, &child_of(&third)).await, everywhere);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_register_one_child_at_once_the_second_is_asked() {
    let stack = Stack::start().await;
    let (mut one, mut other) = (stack.staff(OFFICER, TRUONG_VINH), stack.staff(OFFICER, TRUONG_VINH));
    one.open(TRUONG_VINH, 2026).await.unwrap();
    let (first, second) = tokio::join!(
        one.register(birth_of("Nguyễn Thị Hoà Song")),
        other.register(birth_of("Nguyễn Thị Hoà Song"))
    );
    let (registered, asked) = match (first, second) {
        (Ok(entry), Err(status)) | (Err(status), Ok(entry)) => (entry, status),
        both => panic!("one of them is registered: {both:?}"),
    };
    assert_eq!(fields(&asked), ["birth.child"]);
    assert_eq!(registered.number, 1);
}
