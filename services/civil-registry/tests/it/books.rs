//! Sổ hộ tịch, from opening to certification.

use egov_proto::egov::civil_registry::v1::*;
use jiff::SignedDuration;
use tonic::Code;

use crate::support::*;

/// A day.
const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn a_book_is_opened_closed_at_the_end_of_its_year_and_certified() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let book = officer.open(TRUONG_VINH, 2026).await.unwrap();
    assert_eq!(
        (book.state(), book.event(), book.year, book.last_number, book.volumes),
        (BookState::Open, EventKind::Birth, 2026, 0, 1)
    );
    assert_eq!(officer.book(&book.book_id).await.unwrap(), book);

    // The commune has it, and each commune its own.
    let again = officer.open(TRUONG_VINH, 2026).await.unwrap_err();
    assert_eq!(
        (again.code(), reason(&again).as_str()),
        (Code::AlreadyExists, "BOOK_EXISTS")
    );
    stack.staff(OFFICER, THANH_VINH).open(THANH_VINH, 2026).await.unwrap();
    // The year before may still need one; no other year does.
    officer.open(TRUONG_VINH, 2025).await.unwrap();
    for year in [2024, 2027] {
        let status = officer.open(TRUONG_VINH, year).await.unwrap_err();
        assert_eq!(reason(&status), "BOOK_YEAR_REFUSED", "{year}");
    }

    // Neither the counter nor the province keeps books.
    let status = officer.open(COUNTER, 2026).await.unwrap_err();
    assert_eq!(reason(&status), "UNIT_KEEPS_NO_BOOKS");
    let status = stack.staff(OFFICER, PROVINCE).open(PROVINCE, 2026).await.unwrap_err();
    assert_eq!(reason(&status), "UNIT_KEEPS_NO_BOOKS");

    // The same request opens one book; another under its id is refused.
    let mut request = opening(TRUONG_VINH, 2026);
    request.event = EventKind::Marriage.into();
    let first = officer.books.open_book(request.clone()).await.unwrap().into_inner();
    let second = officer.books.open_book(request.clone()).await.unwrap().into_inner();
    assert_eq!(first, second);
    request.event = EventKind::Death.into();
    let status = officer.books.open_book(request).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");

    let status = officer.close(&book).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "BOOK_CLOSES_LATER")
    );
    assert_eq!(egov_fault::fault_of(&status).metadata()["earliest"], "2026-12-31");
    let mut chair = stack.staff(CHAIR, TRUONG_VINH);
    let certify = |book: &Book| CertifyBookRequest {
        request_id: request_id(),
        book_id: book.book_id.clone(),
        etag: book.etag.clone(),
        certifier_name: "Hồ Văn  Chủ Tịch".to_owned(),
        certifier_title: "Chủ tịch Uỷ ban nhân dân phường".to_owned(),
    };
    let status = chair.books.certify_book(certify(&book)).await.unwrap_err();
    assert_eq!(reason(&status), "BOOK_STATE", "an open book is not certified");

    stack.advance(DAY * 38).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let mut chair = stack.staff(CHAIR, TRUONG_VINH);
    let stale = Book {
        etag: "7".to_owned(),
        ..book.clone()
    };
    let status = officer.close(&stale).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "STALE_ETAG"));
    let closed = officer.close(&book).await.unwrap();
    assert_eq!(
        (closed.state(), closed.close_date),
        (BookState::Closed, day(2026, 12, 31))
    );
    let status = officer.close(&closed).await.unwrap_err();
    assert_eq!(reason(&status), "BOOK_STATE");

    let certified = chair.books.certify_book(certify(&closed)).await.unwrap().into_inner();
    let certified = certified.book.unwrap();
    assert_eq!(certified.state(), BookState::Certified);
    assert_eq!(certified.certifier_name, "Hồ Văn Chủ Tịch");
    assert_eq!(officer.book(&book.book_id).await.unwrap(), certified);
    assert_eq!(
        stack
            .count("SELECT count(*) FROM book_history WHERE act IN ('close', 'certify')")
            .await,
        2
    );
}

#[tokio::test]
async fn who_may_what_and_what_is_seen_of_books() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let ours = officer.open(TRUONG_VINH, 2026).await.unwrap();
    let last_year = officer.open(TRUONG_VINH, 2025).await.unwrap();
    let mut neighbour = stack.staff(OFFICER, THANH_VINH);
    let theirs = neighbour.open(THANH_VINH, 2026).await.unwrap();

    for (role, unit) in [(READER, TRUONG_VINH), (OFFICER, THANH_VINH)] {
        let status = stack.staff(role, unit).open(TRUONG_VINH, 2026).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "PERMISSION_MISSING"),
            "{role} at {unit}"
        );
    }
    // Readable, but not to be closed by whoever reads only; of another commune it looks absent.
    let status = stack.staff(CHAIR, TRUONG_VINH).close(&ours).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    for status in [
        neighbour.close(&ours).await.unwrap_err(),
        neighbour.book(&ours.book_id).await.unwrap_err(),
    ] {
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "BOOK_NOT_FOUND")
        );
    }

    let list = async |mut client: Client, request: ListBooksRequest| {
        let (mut found, mut request) = (Vec::new(), request);
        loop {
            let page = client.books.list_books(request.clone()).await.unwrap().into_inner();
            assert!(page.books.len() <= 1);
            found.extend(page.books);
            if page.next_page_token.is_empty() {
                return found;
            }
            request.page_token = page.next_page_token;
        }
    };
    let one = ListBooksRequest {
        page_size: 1,
        ..Default::default()
    };
    let all = [ours.clone(), last_year.clone(), theirs.clone()];
    assert_eq!(list(stack.staff(READER, PROVINCE), one.clone()).await, all);
    assert_eq!(list(stack.staff(READER, TRUONG_VINH), one.clone()).await, all[..2]);
    let of_year = ListBooksRequest {
        year: 2026,
        event: EventKind::Birth.into(),
        ..one.clone()
    };
    assert_eq!(
        list(stack.staff(READER, PROVINCE), of_year).await,
        [ours.clone(), theirs.clone()]
    );
    let of_unit = ListBooksRequest {
        unit_id: THANH_VINH,
        ..one
    };
    assert_eq!(list(stack.staff(READER, PROVINCE), of_unit.clone()).await, [theirs]);
    assert!(list(stack.staff(READER, TRUONG_VINH), of_unit).await.is_empty());
}
