//! Ghi chú hộ tịch, through the port.

use egov_proto::egov::civil_registry::v1::*;
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn an_annotation_stands_beside_its_entry_and_is_cancelled_by_a_further_one_once() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    let entry = officer.register(birth()).await.unwrap();
    let other = officer.register(birth()).await.unwrap();

    let request = annotation(&entry);
    let first = officer.annotate(request.clone()).await.unwrap();
    assert_eq!((first.position, first.kind()), (1, AnnotationKind::Parentage));
    assert_eq!(first.note_date, day(2026, 11, 23), "today");
    assert_eq!(
        officer.annotate(request.clone()).await.unwrap(),
        first,
        "the same request"
    );
    let reused = AnnotateEntryRequest {
        text: "khác".to_owned(),
        ..request
    };
    assert_eq!(
        reason(&officer.annotate(reused).await.unwrap_err()),
        "REQUEST_ID_REUSED"
    );

    // The next one of the entry, whatever is noted beside others.
    officer.annotate(annotation(&other)).await.unwrap();
    let cancelling = || AnnotateEntryRequest {
        text: "Huỷ ghi chú theo quyết định giám đốc thẩm".to_owned(),
        cancels_annotation_id: first.annotation_id.clone(),
        ..annotation(&entry)
    };
    let (mut one, mut two) = (officer.clone(), officer.clone());
    let both = tokio::join!(one.annotate(cancelling()), two.annotate(cancelling()));
    let (second, refused) = match both {
        (Ok(made), Err(status)) | (Err(status), Ok(made)) => (made, status),
        both => panic!("one of them cancels: {both:?}"),
    };
    assert_eq!(
        (second.position, reason(&refused).as_str()),
        (2, "ANNOTATION_CANCELLED")
    );

    // The entry is what it was.
    let read = GetEntryRequest {
        entry_id: entry.entry_id.clone(),
        ..Default::default()
    };
    let read = officer.entries.get_entry(read).await.unwrap().into_inner();
    assert_eq!(read.entry, Some(entry.clone()));
    assert_eq!(read.annotations, [first.clone(), second]);

    // What does not fit together is named at once.
    let wrong = AnnotateEntryRequest {
        note_date: day(2026, 11, 19),
        kind: AnnotationKind::Sex.into(),
        ..cancelling()
    };
    let status = officer.annotate(wrong).await.unwrap_err();
    assert_eq!(fields(&status), ["note_date", "basis.date", "cancels_annotation_id"]);
    let of_another = AnnotateEntryRequest {
        cancels_annotation_id: first.annotation_id.clone(),
        ..annotation(&other)
    };
    let status = officer.annotate(of_another).await.unwrap_err();
    assert_eq!(fields(&status), ["cancels_annotation_id"]);
    let blank = AnnotateEntryRequest {
        text: "  ".to_owned(),
        ..annotation(&entry)
    };
    assert_eq!(fields(&officer.annotate(blank).await.unwrap_err()), ["text"]);

    let status = stack
        .staff(READER, TRUONG_VINH)
        .annotate(annotation(&entry))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = stack
        .staff(OFFICER, THANH_VINH)
        .annotate(annotation(&entry))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "ENTRY_NOT_FOUND")
    );
    assert_eq!(stack.count("SELECT count(*) FROM annotations").await, 3);
    assert_eq!(
        stack
            .count("SELECT count(*) FROM egov.leaves WHERE kind = 'civil_annotation'")
            .await,
        3
    );
}
