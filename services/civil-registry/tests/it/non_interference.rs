//! Non-interference (không can thiệp): rows that a caller may not see change none of that caller's answers, whatever is asked.
//!
//! Generated from the descriptors, as one-stop's test of the same name: each read RPC is asked by each caller with every field that it has; then the
//! neighbour's rows are added, changed behind the service's back and deleted, and all answers must be what they were.

use std::collections::{BTreeMap, BTreeSet};

use egov_proto::egov::civil_registry::v1::*;
use serde_json::{Map, Value, json};
use sqlx::AssertSqlSafe;

use crate::duplicates::register_asked;
use crate::families::{guard, guardianship, open, recognise, recognition};
use crate::old_books::keyed_twice;
use crate::readers::{Answer, Asker, Known, Reader, read_rpcs};
use crate::support::*;

const PACKAGE: &str = "egov.civil_registry.v1";

/// What is answered by the entries of all communes, as its contract says. Of these the neighbour's rows may make another of the answers that there are,
/// and nothing else: whoever was refused stays refused in the same way, and no field comes with it.
const OVER_ALL_COMMUNES: [&str; 1] = ["egov.civil_registry.v1.DisclosureService.AskPredicate"];

/// Whether an answer is yes, no or not known, and says no more.
fn is_bare(answer: &Answer) -> bool {
    let Ok([page]) = answer.as_deref() else {
        return false;
    };
    let bare = ["YES", "NO", "NOT_KNOWN"].map(|answer| json!({"answer": format!("PREDICATE_ANSWER_{answer}")}));
    bare.contains(page)
}

/// Everybody who sees something at a unit, and nothing at the other.
fn askers(stack: &Stack, unit: i32) -> Vec<Asker> {
    let of_unit = |role: &'static str| Asker {
        name: role,
        token: Some(stack.token(role, unit)),
        purpose: Some(PURPOSE),
    };
    vec![
        of_unit(OFFICER),
        of_unit(CHAIR),
        of_unit(READER),
        of_unit(INQUIRER),
        Asker {
            name: "nobody",
            token: None,
            purpose: None,
        },
    ]
}

/// Books and births of a commune, and what they are called.
async fn rows(stack: &Stack, unit_id: i32, births: usize) -> Known {
    let mut officer = stack.staff(OFFICER, unit_id);
    let mut books = Vec::new();
    for year in [2026, 2025] {
        books.push(officer.open(unit_id, year).await.unwrap().book_id);
    }
    let mut entries = Vec::new();
    for place in 0..births {
        // The second has a number, so that its certificate is issued; the numbers of the others are asked for.
        let of_child = match place {
            1 => birth_with_number(&format!("040326{unit_id}00001")),
            _ => birth(),
        };
        let request = RegisterBirthRequest { unit_id, ..of_child };
        let entry = officer.register(request).await.unwrap();
        officer.annotate(annotation(&entry)).await.unwrap();
        entries.push(entry.entry_id);
    }
    books.push(officer.open_deaths(unit_id, 2026).await.unwrap().book_id);
    let request = RegisterDeathRequest { unit_id, ..death() };
    entries.push(officer.register_death(request).await.unwrap().entry_id);
    books.push(officer.open_marriages(unit_id, 2026).await.unwrap().book_id);
    // Nobody of the same number at both: nobody is married twice.
    let request = RegisterMarriageRequest {
        unit_id,
        ..marriage_where(|husband, wife| {
            husband.personal_number.clear();
            wife.personal_number.clear();
        })
    };
    entries.push(officer.marry(request).await.unwrap().entry_id);
    books.push(officer.open_changes(unit_id, 2026).await.unwrap().book_id);
    let corrected = officer.entry(&entries[0]).await.unwrap();
    let child = corrected.birth.clone().unwrap().child.unwrap().person_id;
    let request = correction(&corrected, CorrectionKind::Correction, &[("birth.child.sex", "2", "1")]);
    entries.push(officer.correct(request).await.unwrap().entry_id);
    // Two births that may be of one child.
    let twice = || RegisterBirthRequest {
        unit_id,
        ..birth_of("Nguyễn Thị Hoà Lý")
    };
    entries.push(officer.register(twice()).await.unwrap().entry_id);
    let (again, _) = register_asked(&mut officer, twice()).await;
    entries.push(again.entry_id);
    // A guardianship, and a recognition, which is guarded as a whole.
    for event in [EventKind::Guardianship, EventKind::Recognition] {
        books.push(open(&mut officer, unit_id, event).await.book_id);
    }
    let request = RegisterGuardianshipRequest {
        unit_id,
        ..guardianship("", "")
    };
    entries.push(guard(&mut officer, request).await.unwrap().entry_id);
    let request = RegisterRecognitionRequest {
        unit_id,
        ..recognition("", "")
    };
    entries.push(recognise(&mut officer, request).await.unwrap().entry_id);
    // An old book with a page that two officers keyed otherwise.
    let (old_book, old_page) = keyed_twice(stack, unit_id).await;
    books.push(old_book);
    // Of entries whose papers everybody here may read: nothing of them is guarded.
    let mut papers = Vec::new();
    for (entry_id, kind) in [
        (&entries[births], PaperKind::Extract),
        (&entries[1], PaperKind::Certificate),
    ] {
        let of = officer.entry(entry_id).await.unwrap();
        papers.push(officer.issue(paper(&of, kind)).await.unwrap().paper_id);
    }
    stack.sequence().await;
    let mut check_codes = Vec::new();
    for paper_id in &papers {
        check_codes.push(officer.paper(paper_id).await.unwrap().check_code);
    }
    // A decision of one-stop that waits for the book.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query(
        "INSERT INTO pending_decisions (decision_id, case_id, case_code, procedure_code, responsible_unit_id, event, decision_date, number, signer_name,
             signer_title, signer_authorisation, performer_name, state, tried, record_time)
         VALUES (gen_random_uuid(), gen_random_uuid(), 'H41.202-261123-0001', '1.001193', $1, 1, '2026-11-23', '', 'Lê Văn An', 'Chủ tịch', '',
                 'Phan Thị Lan', 1, true, '2026-11-23T01:00:00Z')",
    )
    .bind(unit_id)
    .execute(&mut superuser)
    .await
    .unwrap();
    let texts = |texts: Vec<String>| texts.into_iter().map(Value::from).collect::<Vec<Value>>();
    Known(BTreeMap::from([
        ("unit_id", vec![json!(TRUONG_VINH), json!(THANH_VINH)]),
        ("year", vec![json!(2026), json!(2025)]),
        ("book_id", texts(books)),
        ("entry_id", texts(entries)),
        ("page_id", texts(vec![old_page])),
        ("paper_id", texts(papers)),
        ("check_code", texts(check_codes)),
        ("person_id", texts(vec![child])),
        ("full_name", vec![json!("tran thi me"), json!("cha nguyen")]),
        ("birth_year", vec![json!(1995), json!(1993)]),
        ("personal_number", vec![json!(MOTHER), json!(FATHER)]),
        ("month", vec![json!(11)]),
        ("known_until", vec![json!({"year": 2026, "month": 11, "day": 22})]),
        ("known_on", vec![json!({"year": 2026, "month": 11, "day": 22})]),
        ("valid_on", vec![json!({"year": 2026, "month": 11, "day": 22})]),
        ("age", vec![json!(18)]),
        ("legal_basis", vec![json!("Điều 7 Luật Bảo hiểm xã hội 41/2024/QH15")]),
        (
            "egov.civil_registry.v1.GetVitalStatisticsRequest",
            vec![
                json!({"dimension": 2, "year": 2026}),
                json!({"dimension": 5, "year": 2026, "under_successors": true}),
            ],
        ),
    ]))
}

/// A question with its answer: the places of RPC and caller, what is asked.
type Question = (usize, usize, Map<String, Value>, Answer);

/// Whatever is asked about rows that do not exist is asked about `others`, if they are known; every other question as it was.
async fn demand_the_same(
    what: &str,
    questions: &[Question],
    (readers, askers): (&[Reader], &[Asker]),
    others: Option<&Known>,
) {
    for (reader, asker, request, before) in questions {
        let (reader, asker) = (&readers[*reader], &askers[*asker]);
        let about = others.map_or_else(|| vec![request.clone()], |others| reader.about(request, others));
        for request in about {
            let after = reader.ask(asker, &request).await;
            if OVER_ALL_COMMUNES.contains(&reader.name()) && is_bare(before) {
                assert!(
                    is_bare(&after),
                    "{what}: {} asked {request:?}: {after:?}",
                    reader.name()
                );
                continue;
            }
            assert_eq!(
                after,
                *before,
                "{what}: {} by {}, asked {request:?}",
                reader.name(),
                asker.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_a_caller_may_not_see_change_none_of_its_answers() {
    let stack = Stack::start().await;
    let known = rows(&stack, TRUONG_VINH, 3).await.with_nobodys();
    let readers: Vec<Reader> = read_rpcs(PACKAGE)
        .into_iter()
        .map(|rpc| Reader::new(&stack, rpc))
        .collect();
    assert_eq!(readers.len(), 19, "a new read RPC needs rows here");
    let ours = askers(&stack, TRUONG_VINH);
    let mut questions: Vec<Question> = Vec::new();
    for (place, reader) in readers.iter().enumerate() {
        let mut told = false;
        for (who, asker) in ours.iter().enumerate() {
            for request in reader.requests(asker, &known).await.unwrap() {
                let answer = reader.ask(asker, &request).await;
                told |= reader.says_something(&answer);
                questions.push((place, who, request, answer));
            }
        }
        assert!(told, "{}: nobody is told anything", reader.name());
    }
    let asked = (readers.as_slice(), ours.as_slice());

    let theirs = rows(&stack, THANH_VINH, 2).await;
    demand_the_same("adding the neighbour's rows", &questions, asked, Some(&theirs)).await;
    for reader in &readers {
        let mut told = false;
        for asker in askers(&stack, THANH_VINH) {
            for request in reader.requests(&asker, &theirs).await.unwrap() {
                let answer = reader.ask(&asker, &request).await;
                told |= reader.says_something(&answer);
            }
        }
        assert!(told, "{}: the neighbour has nothing that it could show", reader.name());
    }

    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    for (what, sql) in [
        (
            "changing the neighbour's rows",
            "UPDATE books SET pages_per_volume = 9, state = 2, close_date = '2026-12-31' WHERE responsible_unit_id = 3;
             UPDATE entries SET number = number + 40, page = 7 WHERE responsible_unit_id = 3;
             UPDATE person_particulars SET full_name = 'Khác' WHERE responsible_unit_id = 3;
             UPDATE person_tokens SET birth_year = birth_year + 1 WHERE responsible_unit_id = 3;
             UPDATE duplicates SET points = points + 1 WHERE responsible_unit_id = 3;
             UPDATE family_relations SET valid_to = valid_from WHERE responsible_unit_id = 3;
             UPDATE annotations SET kind = 7 WHERE responsible_unit_id = 3;
             UPDATE vital_counts SET sex = 1, month = 10 WHERE responsible_unit_id = 3;
             UPDATE corrections SET position = position + 4 WHERE responsible_unit_id = 3;
             UPDATE papers SET copies = copies + 4 WHERE responsible_unit_id = 3;
             UPDATE old_books SET label = 'khác' WHERE responsible_unit_id = 3;
             UPDATE old_pages SET page = '9', state = 1 WHERE responsible_unit_id = 3;
             UPDATE old_lines SET number = number + 3 WHERE responsible_unit_id = 3;
             UPDATE paper_seals SET receipt = 'khác' WHERE responsible_unit_id = 3;
             UPDATE personal_number_requests SET problem = 'khác', attempts = 7 WHERE responsible_unit_id = 3;
             UPDATE pending_decisions SET signer_name = 'Khác' WHERE responsible_unit_id = 3;
             UPDATE book_history SET content = 'khác' WHERE responsible_unit_id = 3;",
        ),
        (
            "deleting the neighbour's rows",
            "DELETE FROM pending_decisions WHERE responsible_unit_id = 3;
             DELETE FROM personal_number_history WHERE responsible_unit_id = 3;
             DELETE FROM personal_number_requests WHERE responsible_unit_id = 3;
             DELETE FROM old_lines WHERE responsible_unit_id = 3; DELETE FROM old_pages WHERE responsible_unit_id = 3;
             DELETE FROM old_imports WHERE responsible_unit_id = 3; DELETE FROM old_books WHERE responsible_unit_id = 3;
             DELETE FROM paper_seals WHERE responsible_unit_id = 3; DELETE FROM papers WHERE responsible_unit_id = 3;
             DELETE FROM vital_counts WHERE responsible_unit_id = 3; DELETE FROM person_tokens WHERE responsible_unit_id = 3;
             DELETE FROM duplicates WHERE responsible_unit_id = 3; DELETE FROM duplicate_words WHERE responsible_unit_id = 3;
             DELETE FROM annotations WHERE responsible_unit_id = 3; DELETE FROM corrections WHERE responsible_unit_id = 3;
             DELETE FROM family_relations WHERE responsible_unit_id = 3; DELETE FROM person_particulars WHERE responsible_unit_id = 3;
             DELETE FROM entries WHERE responsible_unit_id = 3; DELETE FROM book_history WHERE responsible_unit_id = 3;
             DELETE FROM books WHERE responsible_unit_id = 3;",
        ),
    ] {
        sqlx::raw_sql(AssertSqlSafe(format!("SET session_replication_role = replica; {sql}")))
            .execute(&mut superuser)
            .await
            .unwrap();
        demand_the_same(what, &questions, asked, None).await;
    }

    // The counter-check: the same at the own unit changes answers, so that equality above says something.
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.register(birth()).await.unwrap();
    sqlx::raw_sql(
        "UPDATE person_particulars SET full_name = 'Khác', birth_year = 2020 WHERE responsible_unit_id = 2;
         UPDATE papers SET copies = 9 WHERE responsible_unit_id = 2;
         UPDATE old_books SET label = 'khác' WHERE responsible_unit_id = 2; UPDATE old_pages SET page = '9' WHERE responsible_unit_id = 2;
         UPDATE pending_decisions SET signer_name = 'Khác' WHERE responsible_unit_id = 2;
         UPDATE duplicates SET points = points + 1 WHERE responsible_unit_id = 2;
         UPDATE entries SET page = 7 WHERE responsible_unit_id = 2; UPDATE books SET entries_per_page = 3 WHERE responsible_unit_id = 2",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    let mut changed = BTreeSet::new();
    for (reader, asker, request, before) in &questions {
        let (reader, asker) = (&readers[*reader], &ours[*asker]);
        let after = reader.ask(asker, request).await;
        if after.is_ok() && after != *before {
            changed.insert(reader.name());
        }
    }
    assert_eq!(changed.len(), readers.len(), "{changed:?}");
}
