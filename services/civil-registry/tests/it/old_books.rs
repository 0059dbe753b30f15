//! Old books through the port: keyed from files, checked by two people, taken over page by page.

use egov_proto::egov::civil_registry::v1::*;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::history::findings;
use crate::support::*;

const HEADER: &str = "so,quyenSo,trangSo,ngayDangKy,nksHoTen,nksGioiTinh,nksNgaySinh,meHoTen,meNgaySinh";

/// As a typewriter of 1985 and a file of today have it: decomposed marks, two blanks.
const WRITTEN: &str = "Nguye\u{302}\u{303}n  Thi\u{323} Hoà";

/// A digitiser of Trường Vinh, one for each number.
fn digitiser(stack: &Stack, who: u128) -> Client {
    officer_of(stack, DIGITISER, TRUONG_VINH, who)
}

fn officer_of(stack: &Stack, role: &str, unit_id: i32, who: u128) -> Client {
    let subject = Uuid::from_u128(0x7000_0000 + who);
    stack.client(Some(stack.tokens.staff(subject, &[(role, unit_id)])), Some(PURPOSE))
}

fn beginning(unit_id: i32) -> CreateOldBookRequest {
    CreateOldBookRequest {
        request_id: request_id(),
        unit_id,
        event: EventKind::Birth.into(),
        year: 1985,
        kept_by: "Uỷ ban nhân dân xã Hưng Đông".to_owned(),
        label: "Quyển 01".to_owned(),
    }
}

async fn begin(client: &mut Client, unit_id: i32) -> OldBook {
    let answer = client.digitisation.create_old_book(beginning(unit_id)).await.unwrap();
    answer.into_inner().book.unwrap()
}

/// A piece of a file of births.
fn piece(book_id: &str, import_id: &str, keying: OldKeying, first_line: i64, lines: &str) -> ImportOldEntriesRequest {
    ImportOldEntriesRequest {
        request_id: request_id(),
        book_id: book_id.to_owned(),
        import_id: import_id.to_owned(),
        keying: keying.into(),
        format: OldFormat::Csv.into(),
        header: HEADER.as_bytes().to_vec(),
        first_line,
        lines: lines.as_bytes().to_vec(),
        dry_run: false,
    }
}

async fn send(client: &mut Client, request: ImportOldEntriesRequest) -> Result<ImportOldEntriesResponse, Status> {
    Ok(client.digitisation.import_old_entries(request).await?.into_inner())
}

fn outcomes(report: &ImportOldEntriesResponse) -> Vec<OldLineOutcome> {
    report.lines.iter().map(OldLineReport::outcome).collect()
}

/// What is wrong with a line: columns and rules.
fn wrong(line: &OldLineReport) -> Vec<(&str, &str)> {
    let violations = line.violations.iter();
    violations.map(|one| (one.field.as_str(), one.rule.as_str())).collect()
}

async fn pages(client: &mut Client, book_id: &str) -> Vec<OldPage> {
    let request = ListOldPagesRequest {
        book_id: book_id.to_owned(),
        ..Default::default()
    };
    client
        .digitisation
        .list_old_pages(request)
        .await
        .unwrap()
        .into_inner()
        .pages
}

async fn differing(client: &mut Client, page_id: &str) -> Result<ListOldDifferencesResponse, Status> {
    let request = ListOldDifferencesRequest {
        page_id: page_id.to_owned(),
    };
    Ok(client.digitisation.list_old_differences(request).await?.into_inner())
}

async fn check(client: &mut Client, page_id: &str) -> Result<OldPage, Status> {
    let request = CheckPageRequest {
        request_id: request_id(),
        page_id: page_id.to_owned(),
    };
    Ok(client
        .digitisation
        .check_page(request)
        .await?
        .into_inner()
        .page
        .unwrap())
}

async fn take(client: &mut Client, page_id: &str) -> Result<AcceptPageResponse, Status> {
    let request = AcceptPageRequest {
        request_id: request_id(),
        page_id: page_id.to_owned(),
    };
    Ok(client.digitisation.accept_page(request).await?.into_inner())
}

async fn settle(
    client: &mut Client,
    page_id: &str,
    (number, field): (i32, &str),
    (choice, value): (OldChoice, &str),
) -> Result<OldPage, Status> {
    let request = SettleDifferenceRequest {
        request_id: request_id(),
        page_id: page_id.to_owned(),
        number,
        occurrence: 1,
        field: field.to_owned(),
        choice: choice.into(),
        value: value.to_owned(),
        reason: "Theo ảnh trang sổ".to_owned(),
    };
    let answer = client.digitisation.settle_difference(request).await?;
    Ok(answer.into_inner().page.unwrap())
}

/// An old book of a commune with a page that two officers keyed otherwise: book and page.
pub(crate) async fn keyed_twice(stack: &Stack, unit_id: i32) -> (String, String) {
    let mut officers = [1, 2].map(|who| officer_of(stack, OFFICER, unit_id, who));
    let book_id = begin(&mut officers[0], unit_id).await.book_id;
    let keyings = [(OldKeying::First, "Trần Thị Mẹ"), (OldKeying::Second, "Trần Thị Mè")];
    for (officer, (keying, mother)) in officers.iter_mut().zip(keyings) {
        let line = format!("2,01,7,03/05/1985,Nguyễn Thị Bé,2,1985,{mother},1960");
        send(officer, piece(&book_id, &request_id(), keying, 1, &line))
            .await
            .unwrap();
    }
    let page_id = pages(&mut officers[0], &book_id).await.remove(0).page_id;
    (book_id, page_id)
}

#[tokio::test]
async fn a_file_is_judged_line_by_line_kept_once_and_goes_on_where_it_was_cut_off() {
    let stack = Stack::start().await;
    let mut first = digitiser(&stack, 1);
    let book = begin(&mut first, TRUONG_VINH).await;
    assert_eq!(book.kept_by, "Uỷ ban nhân dân xã Hưng Đông");
    let again = first
        .digitisation
        .create_old_book(beginning(TRUONG_VINH))
        .await
        .unwrap_err();
    assert_eq!(reason(&again), "OLD_BOOK_EXISTS");
    let file = request_id();
    let lines = [
        "12,01,7,03/05/1985,Nguyễn Thị Bé,2,1985,Trần Thị Mẹ,05/1960\n",
        "x,01,,1985,123,9,khoảng,,1960\n",
        "13/1985,01,7b,04.05.1985,Hồ Văn Tý,1,04/05/1985,,\n",
        "13,01,8,05/05/1985,Hồ Văn Sửu,1,05/05/1985,,\n",
        "14,01\n",
        "16,01,8,06/05/1985,Hồ Thị Dần,2,00/05/1985,,\n",
    ];
    let of = |range: std::ops::Range<usize>| lines[range].concat();
    let whole = piece(&book.book_id, &file, OldKeying::First, 1, &of(0..6));

    // A dry run says everything and keeps nothing.
    let dry = ImportOldEntriesRequest {
        dry_run: true,
        ..whole.clone()
    };
    let report = send(&mut first, dry).await.unwrap();
    use OldLineOutcome::{Already, Entered, Refused};
    assert_eq!(
        outcomes(&report),
        [Entered, Refused, Entered, Entered, Refused, Entered]
    );
    assert_eq!(report.position, 0);
    for expected in [
        ("so", "number"),
        ("trangSo", "number"),
        ("ngayDangKy", "day"),
        ("nksHoTen", "name_characters"),
        ("nksGioiTinh", "sex"),
        ("nksNgaySinh", "date"),
        ("meHoTen", "name_missing"),
    ] {
        assert!(wrong(&report.lines[1]).contains(&expected), "{expected:?}");
    }
    assert_eq!(wrong(&report.lines[4]), [("line", "columns")]);
    let text = report.lines[4].violations[0].text.clone().unwrap();
    assert_eq!(
        (text.vi.as_str(), text.en.as_str()),
        ("có 2 cột thay vì 9", "has 2 columns instead of 9")
    );
    let later = ImportOldEntriesRequest {
        dry_run: true,
        ..piece(&book.book_id, &file, OldKeying::First, 4, &of(3..4))
    };
    assert_eq!(outcomes(&send(&mut first, later).await.unwrap()), [Entered]);
    assert_eq!(stack.count("SELECT count(*) FROM old_lines").await, 0);
    assert_eq!(stack.count("SELECT count(*) FROM old_imports").await, 0);

    // The first piece arrives, its answer is lost, and it is sent again; then a piece that leaves a line out.
    let begun = piece(&book.book_id, &file, OldKeying::First, 1, &of(0..2));
    let answer = send(&mut first, begun.clone()).await.unwrap();
    assert_eq!((answer.position, outcomes(&answer)), (2, vec![Entered, Refused]));
    assert_eq!(send(&mut first, begun).await.unwrap(), answer);
    let beyond = piece(&book.book_id, &file, OldKeying::First, 4, &of(3..6));
    let refused = send(&mut first, beyond).await.unwrap_err();
    assert_eq!(reason(&refused), "OLD_IMPORT_POSITION");
    assert_eq!(egov_fault::fault_of(&refused).metadata()["position"], "2");
    let rest = piece(&book.book_id, &file, OldKeying::First, 3, &of(2..6));
    assert_eq!(send(&mut first, rest).await.unwrap().position, 6);
    // All of it once more, by another request: every line is kept once, and nothing else changes.
    let answer = send(
        &mut first,
        ImportOldEntriesRequest {
            request_id: request_id(),
            ..whole
        },
    )
    .await
    .unwrap();
    assert_eq!(
        outcomes(&answer),
        [Already, Refused, Already, Already, Refused, Already]
    );
    assert_eq!(stack.count("SELECT count(*) FROM old_lines").await, 4);
    // The file is this officer's.
    let mut second = digitiser(&stack, 2);
    let foreign = piece(&book.book_id, &file, OldKeying::First, 7, lines[0]);
    assert_eq!(
        reason(&send(&mut second, foreign).await.unwrap_err()),
        "OLD_IMPORT_POSITION"
    );

    let request = GetOldBookRequest {
        book_id: book.book_id.clone(),
    };
    let shown = first
        .digitisation
        .get_old_book(request.clone())
        .await
        .unwrap()
        .into_inner();
    let gaps: Vec<(i32, i32)> = shown.gaps.iter().map(|gap| (gap.first, gap.last)).collect();
    assert_eq!(gaps, [(1, 11), (14, 15)]);
    let doubles: Vec<(i32, i32)> = shown.doubles.iter().map(|one| (one.number, one.times)).collect();
    assert_eq!((doubles, shown.entries), (vec![(13, 2)], 4));
    assert_eq!(shown.doubles[0].text.as_ref().unwrap().vi, "số 13 hai lần");
    let counted: Vec<_> = shown.pages.iter().map(|one| (one.state(), one.pages)).collect();
    assert_eq!(counted, [(OldPageState::Entered, 3)]);

    // JSON Lines say the same; a kind that is not taken, a header without names, and the neighbour.
    let json = ImportOldEntriesRequest {
        format: OldFormat::JsonLines.into(),
        lines: br#"{"so": 15, "trangSo": 9, "ngayDangKy": "1985-05-07", "nksHoTen": "A", "nksGioiTinh": 3, "nksNgaySinh": 1985}"#
            .to_vec(),
        ..piece(&book.book_id, &request_id(), OldKeying::First, 1, "")
    };
    assert_eq!(outcomes(&send(&mut first, json).await.unwrap()), [Entered]);
    let nameless = ImportOldEntriesRequest {
        header: b"so,so".to_vec(),
        ..piece(&book.book_id, &request_id(), OldKeying::First, 1, "1,2")
    };
    assert_eq!(fields(&send(&mut first, nameless).await.unwrap_err()), ["header"]);
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    let theirs = piece(&book.book_id, &request_id(), OldKeying::First, 1, lines[0]);
    assert_eq!(
        reason(&send(&mut neighbour, theirs.clone()).await.unwrap_err()),
        "BOOK_NOT_FOUND"
    );
    let unseen = neighbour.digitisation.get_old_book(request).await.unwrap_err();
    assert_eq!(reason(&unseen), "BOOK_NOT_FOUND");
    let mut reader = stack.staff(READER, TRUONG_VINH);
    assert_eq!(
        send(&mut reader, theirs).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert_eq!(findings(&stack).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_page_becomes_entries_when_two_people_vouch_for_it_in_its_own_spelling() {
    let stack = Stack::start().await;
    let (mut first, mut second) = (digitiser(&stack, 1), digitiser(&stack, 2));
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let book_id = begin(&mut first, TRUONG_VINH).await.book_id;
    let line = |number: &str, page: &str, name: &str, mother: &str| {
        format!("{number},01,{page},03/05/1985,{name},2,1985,{mother},05/1960\n")
    };
    let keyed = [
        line("12/1985", "7", WRITTEN, "Trần Thị Mẹ"),
        line("13", "7", "Hồ Thị Tý", "Trần Thị Mẹ"),
        line("13", "8", "Hồ Thị Sửu", "Trần Thị Mẹ"),
    ];
    let file = piece(&book_id, &request_id(), OldKeying::First, 1, &keyed.concat());
    send(&mut first, file).await.unwrap();
    let mut listed = pages(&mut first, &book_id).await;
    listed.sort_by(|one, other| one.page.cmp(&other.page));
    let (seven, eight) = (listed[0].page_id.clone(), listed[1].page_id.clone());

    // The first cannot be the second as well; who keys what nobody keyed first is refused.
    let file = piece(&book_id, &request_id(), OldKeying::Second, 1, &keyed[0]);
    let same = send(&mut first, file).await.unwrap();
    assert_eq!(wrong(&same.lines[0]), [("trangSo", "same_officer")]);
    let unknown = line("20", "9", "Hồ Thị Dần", "Lê A");
    let file = piece(&book_id, &request_id(), OldKeying::Second, 1, &unknown);
    let alone = send(&mut second, file).await.unwrap();
    assert_eq!(wrong(&alone.lines[0]), [("trangSo", "page_not_keyed")]);
    let refused = take(&mut officer, &seven).await.unwrap_err();
    assert_eq!(reason(&refused), "OLD_PAGE_STATE");

    // The second keys one of two entries, and the mother of it otherwise.
    let otherwise = line("12/1985", "7", WRITTEN, "Trần Thị Mè");
    let file = piece(&book_id, &request_id(), OldKeying::Second, 1, &otherwise);
    send(&mut second, file).await.unwrap();
    let found = differing(&mut second, &seven).await.unwrap();
    assert_eq!(found.page.as_ref().unwrap().state(), OldPageState::Differing);
    let named: Vec<(i32, &str, &str, &str)> = found
        .differences
        .iter()
        .map(|one| (one.number, one.field.as_str(), one.first.as_str(), one.second.as_str()))
        .collect();
    assert_eq!(named, [(12, "meHoTen", "Trần Thị Mẹ", "Trần Thị Mè"), (13, "", "", "")]);
    assert_eq!(found.entries.len(), 3);
    assert_eq!(
        stack
            .count("SELECT count(*) FROM egov.read_records WHERE method LIKE '%ListOldDifferences'")
            .await,
        1
    );
    assert_eq!(reason(&check(&mut second, &seven).await.unwrap_err()), "OLD_PAGE_STATE");
    // Whoever keyed one of the two does not say that it is right, nor that neither is.
    for (is_first, choice) in [
        (true, OldChoice::First),
        (false, OldChoice::Second),
        (false, OldChoice::Other),
    ] {
        let who = if is_first { &mut first } else { &mut second };
        let refused = settle(who, &seven, (12, "meHoTen"), (choice, "Trần Thị Mẹo")).await;
        assert_eq!(reason(&refused.unwrap_err()), "OLD_PAGE_SAME_OFFICER");
    }
    let mut third = digitiser(&stack, 3);
    let nothing = settle(&mut third, &seven, (12, "nksHoTen"), (OldChoice::First, "")).await;
    assert_eq!(fields(&nothing.unwrap_err()), ["field"]);
    let page = settle(&mut third, &seven, (12, "meHoTen"), (OldChoice::Other, "Trần Thị Mẹo"))
        .await
        .unwrap();
    assert_eq!(page.state(), OldPageState::Differing);
    let page = settle(&mut second, &seven, (13, ""), (OldChoice::First, ""))
        .await
        .unwrap();
    assert_eq!(page.state(), OldPageState::SecondChecked);

    // Page 8 is keyed once and checked twice, by two people.
    assert_eq!(
        check(&mut first, &eight).await.unwrap().state(),
        OldPageState::FirstChecked
    );
    assert_eq!(
        reason(&check(&mut first, &eight).await.unwrap_err()),
        "OLD_PAGE_SAME_OFFICER"
    );
    assert_eq!(
        check(&mut second, &eight).await.unwrap().state(),
        OldPageState::SecondChecked
    );
    let late = piece(
        &book_id,
        &request_id(),
        OldKeying::First,
        1,
        &line("17", "8", "Hồ Thị Mão", "Lê A"),
    );
    let late = send(&mut first, late).await.unwrap();
    assert_eq!(wrong(&late.lines[0]), [("trangSo", "page_checked")]);

    // Who digitises does not accept, and the neighbour does not see that there is a page.
    assert_eq!(
        take(&mut second, &seven).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    for unseen in [
        take(&mut neighbour, &seven).await.unwrap_err(),
        differing(&mut neighbour, &seven).await.unwrap_err(),
    ] {
        assert_eq!(reason(&unseen), "OLD_PAGE_NOT_FOUND");
    }
    assert_eq!(stack.count("SELECT count(*) FROM entries").await, 0);
    let taken = take(&mut officer, &seven).await.unwrap();
    assert_eq!(taken.page.as_ref().unwrap().state(), OldPageState::Accepted);
    let double = take(&mut officer, &eight).await.unwrap().entry_ids.remove(0);
    assert_eq!(reason(&take(&mut officer, &seven).await.unwrap_err()), "OLD_PAGE_STATE");

    // The entry: its number and page, what is written byte for byte, and beside it the form by which it is found.
    let entry = officer.entry(&taken.entry_ids[0]).await.unwrap();
    assert_eq!(
        (
            entry.number,
            entry.page,
            entry.printed_number.as_str(),
            entry.registration_place.as_str()
        ),
        (12, 7, "12/1985", "Uỷ ban nhân dân xã Hưng Đông")
    );
    let source = entry.digitised.clone().unwrap();
    let written = |name: &str| {
        let mut fields = source.fields.iter();
        fields.find(|field| field.name == name).map(|field| field.value.clone())
    };
    assert_eq!(written("nksHoTen").as_deref(), Some(WRITTEN));
    assert_eq!(written("so").as_deref(), Some("12/1985"));
    assert_eq!(written("meHoTen").as_deref(), Some("Trần Thị Mẹo"));
    let birth = entry.birth.clone().unwrap();
    let child = birth.child.unwrap();
    assert_eq!(child.full_name, "Nguyễn Thị Hoà");
    assert_eq!(child.date_of_birth, day(1985, 0, 0));
    assert!(birth.requester.is_none() && birth.father.is_none());
    let request = SearchPersonsRequest {
        full_name: "hoa nguyen thi".to_owned(),
        birth_year: 1985,
        ..Default::default()
    };
    let persons = officer
        .persons
        .search_persons(request)
        .await
        .unwrap()
        .into_inner()
        .persons;
    assert_eq!(
        persons.iter().map(|one| one.person_id.as_str()).collect::<Vec<_>>(),
        [child.person_id.as_str()]
    );
    // Both of one number stand in the book, over the pages of a list.
    let source = officer.entry(&double).await.unwrap().digitised.unwrap();
    assert_eq!(source.occurrence, 2);
    let mut request = ListEntriesRequest {
        book_id: book_id.clone(),
        page_size: 1,
        page_token: String::new(),
    };
    let mut numbers = Vec::new();
    loop {
        let page = officer
            .entries
            .list_entries(request.clone())
            .await
            .unwrap()
            .into_inner();
        numbers.extend(page.entries.iter().map(|entry| entry.number));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(numbers, [12, 13, 13]);
    // It is a book of its own: neither closed nor among the books of the years.
    let kept = officer.book(&book_id).await.unwrap();
    assert_eq!((kept.state(), kept.volumes), (BookState::Digitised, 0));
    assert_eq!(reason(&officer.close(&kept).await.unwrap_err()), "BOOK_STATE");
    let years = officer.books.list_books(ListBooksRequest::default()).await.unwrap();
    assert!(years.into_inner().books.is_empty());
    // An extract is issued of it as of any other.
    officer.issue(paper(&entry, PaperKind::Extract)).await.unwrap();
    assert_eq!(findings(&stack).await, Vec::<String>::new());

    // What was forced is found.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::raw_sql(
        "SET session_replication_role = replica; UPDATE old_page_acts SET content = content || ' ' WHERE act = 'accept'",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    assert!(!findings(&stack).await.is_empty());
}
