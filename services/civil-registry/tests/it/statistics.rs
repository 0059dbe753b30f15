//! Thống kê hộ tịch, through the port, against counting by hand.

use std::collections::BTreeMap;

use egov_proto::egov::civil_registry::v1::*;
use jiff::SignedDuration;
use sqlx::AssertSqlSafe;
use tonic::{Code, Status};

use crate::support::*;

/// What is asked of a year by default: everything in scope.
fn asking(dimension: VitalDimension) -> GetVitalStatisticsRequest {
    GetVitalStatisticsRequest {
        dimension: dimension.into(),
        year: 2026,
        ..Default::default()
    }
}

async fn get(client: &Client, request: GetVitalStatisticsRequest) -> Result<GetVitalStatisticsResponse, Status> {
    let answer = client.statistics.clone().get_vital_statistics(request).await?;
    Ok(answer.into_inner())
}

async fn check(client: &Client, unit_id: i32) -> (i64, Vec<String>) {
    let request = CheckVitalStatisticsRequest { unit_id, year: 2026 };
    let answer = client.statistics.clone().check_vital_statistics(request).await;
    let answer = answer.unwrap().into_inner();
    (answer.entries, answer.differing_entry_ids)
}

/// Births by key: how many, and of them on time and late.
type Slow = BTreeMap<String, (i64, i64, i64)>;

/// The same entries, counted one by one.
fn slow(entries: &[Entry], key: impl Fn(&Entry) -> String) -> Slow {
    let mut counted = Slow::new();
    for entry in entries {
        let (all, on_time, late) = counted.entry(key(entry)).or_default();
        *all += 1;
        *on_time += i64::from(entry.registration_kind() == RegistrationKind::OnTime);
        *late += i64::from(entry.registration_kind() == RegistrationKind::Late);
    }
    counted
}

/// What the service says of births.
fn told(rows: &[VitalFigures]) -> Slow {
    let births = rows.iter().filter(|row| row.event() == EventKind::Birth);
    let told = births.map(|row| {
        let kinds = row.kinds.unwrap_or_default();
        assert!(!row.pooled, "{row:?}");
        (row.key.clone(), (row.total, kinds.on_time, kinds.late))
    });
    told.collect()
}

/// The groups of persons of births that are shown, and what is put together.
fn groups(rows: &[VitalFigures]) -> (Vec<(String, i64)>, Option<i64>) {
    let births = || rows.iter().filter(|row| row.event() == EventKind::Birth);
    assert!(births().all(|row| row.kinds.is_none()));
    let shown = births().filter(|row| !row.pooled);
    let pooled = births().find(|row| row.pooled).map(|row| row.total);
    (shown.map(|row| (row.key.clone(), row.total)).collect(), pooled)
}

#[tokio::test]
async fn figures_are_what_counting_entry_by_entry_gives_also_of_a_past_day_and_after_a_correction() {
    let stack = Stack::start().await;
    let mut entries = Vec::new();
    for (unit_id, births) in [(TRUONG_VINH, 13), (THANH_VINH, 4)] {
        let mut officer = stack.staff(OFFICER, unit_id);
        officer.open(unit_id, 2026).await.unwrap();
        for n in 0..births {
            let mut request = birth_where(|birth| {
                let child = birth.child.as_mut().unwrap();
                child.ethnic_group = ["01", "01", "03", "03", "02"][n % 5].to_owned();
                let sex = if n % 3 == 0 { Sex::Male } else { Sex::Female };
                child.sex = sex.into();
                // Every fourth is late, and every second was registered in October.
                child.date_of_birth = if n % 4 == 0 { day(2026, 3, 5) } else { day(2026, 10, 1) };
            });
            request.unit_id = unit_id;
            request.registration_date = if n % 2 == 0 { day(2026, 10, 20) } else { None };
            let entry = officer.register(request.clone()).await.unwrap();
            // The same request counts once.
            assert_eq!(officer.register(request).await.unwrap(), entry);
            entries.push(entry);
        }
    }
    let (ours, theirs) = entries.split_at(13);
    let province = stack.staff(READER, PROVINCE);
    let reader = stack.staff(READER, TRUONG_VINH);

    let of_unit = |entry: &Entry| entry.unit_id.to_string();
    let of_month = |entry: &Entry| entry.registration_date.unwrap().month.to_string();
    for (dimension, expected) in [
        (VitalDimension::Unit, slow(&entries, of_unit)),
        (VitalDimension::Month, slow(&entries, of_month)),
        (VitalDimension::Whole, slow(&entries, |_| String::new())),
    ] {
        let found = get(&province, asking(dimension)).await.unwrap();
        assert_eq!(told(&found.rows), expected, "{dimension:?}");
        assert_eq!(told(&found.totals), slow(&entries, |_| String::new()), "{dimension:?}");
    }
    let october = GetVitalStatisticsRequest {
        from_month: 10,
        to_month: 10,
        with_units_below: true,
        under_successors: true,
        unit_id: PROVINCE,
        ..asking(VitalDimension::Unit)
    };
    let in_october: Vec<Entry> = entries
        .iter()
        .filter(|entry| of_month(entry) == "10")
        .cloned()
        .collect();
    let found = get(&province, october).await.unwrap();
    assert_eq!(told(&found.rows), slow(&in_october, of_unit));

    // The own commune only; the neighbour looks like a unit that there is not.
    let found = get(&reader, asking(VitalDimension::Unit)).await.unwrap();
    assert_eq!(told(&found.rows), slow(ours, of_unit));
    for unit_id in [THANH_VINH, 99] {
        let request = GetVitalStatisticsRequest {
            unit_id,
            ..asking(VitalDimension::Unit)
        };
        let status = get(&reader, request).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "UNIT_NOT_IN_SCOPE")
        );
    }

    // 6 Kinh, 5 Thái and 2 Tày: the 2 are not shown, and not told by the total; at the neighbour, with 2 and 2, there is nothing but the total.
    let found = get(&reader, asking(VitalDimension::EthnicGroup)).await.unwrap();
    assert_eq!(groups(&found.rows), (vec![("01".to_owned(), 6)], Some(7)));
    let found = get(&reader, asking(VitalDimension::Sex)).await.unwrap();
    assert_eq!(
        groups(&found.rows),
        (vec![("1".to_owned(), 5), ("2".to_owned(), 8)], None)
    );
    let neighbour = stack.staff(READER, THANH_VINH);
    let found = get(&neighbour, asking(VitalDimension::EthnicGroup)).await.unwrap();
    assert_eq!(groups(&found.rows), (Vec::new(), Some(4)));
    assert_eq!(found.totals[0].total, i64::try_from(theirs.len()).unwrap());

    // What is wrong is named at once; a day that is not over could not be answered the same way again.
    let status = get(
        &reader,
        GetVitalStatisticsRequest {
            from_month: 11,
            to_month: 10,
            known_until: day(2026, 11, 23),
            ..asking(VitalDimension::Month)
        },
    )
    .await
    .unwrap_err();
    assert_eq!(fields(&status), ["to_month", "known_until"]);

    // The same as a table.
    let export = |format: VitalTableFormat| ExportVitalStatisticsRequest {
        statistics: Some(asking(VitalDimension::Unit)),
        format: format.into(),
    };
    let mut exporting = reader.statistics.clone();
    let csv = exporting.export_vital_statistics(export(VitalTableFormat::Csv)).await;
    let csv = csv.unwrap().into_inner();
    let text = String::from_utf8(csv.content).unwrap();
    let (_, on_time, late) = slow(ours, |_| String::new())[""];
    assert!(
        text.contains(&format!(
            "khai sinh,Đơn vị,2,Phường Trường Vinh,13,{on_time},{late},0,0"
        )),
        "{text}"
    );
    assert!(!text.contains("Thành Vinh"), "{text}");
    let xlsx = exporting.export_vital_statistics(export(VitalTableFormat::Xlsx)).await;
    let xlsx = xlsx.unwrap().into_inner();
    let extension = std::path::Path::new(&xlsx.name).extension();
    assert!(extension.is_some_and(|one| one == "xlsx") && xlsx.content.starts_with(b"PK"));

    // What is entered and corrected on a later day does not change what was known before.
    assert_eq!(check(&reader, TRUONG_VINH).await, (13, Vec::new()));
    stack.advance(SignedDuration::from_hours(24)).await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open_changes(TRUONG_VINH, 2026).await.unwrap();
    let fields = [("birth.child.ethnic_group", "03", "01")];
    let request = correction(&ours[3], CorrectionKind::Correction, &fields);
    officer.correct(request).await.unwrap();
    officer.register(birth()).await.unwrap();
    let reader = stack.staff(READER, TRUONG_VINH);
    let now = get(&reader, asking(VitalDimension::EthnicGroup)).await.unwrap();
    assert_eq!(now.totals[0].total, 14);
    // One Thái is a Kinh, and a Kinh was born: 4 Thái and 2 Tày are left.
    assert_eq!(groups(&now.rows), (vec![("01".to_owned(), 8)], Some(6)));
    let before = GetVitalStatisticsRequest {
        known_until: day(2026, 11, 23),
        ..asking(VitalDimension::EthnicGroup)
    };
    let before = get(&reader, before).await.unwrap();
    assert_eq!(groups(&before.rows), (vec![("01".to_owned(), 6)], Some(7)));
    // The correction is an entry of that unit too, and is not counted.
    assert_eq!(check(&reader, TRUONG_VINH).await, (15, Vec::new()));

    // Who forces a figure is found.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let (one, other) = (&ours[0].entry_id, &ours[5].entry_id);
    let forced = format!(
        "UPDATE vital_counts SET sex = 3 WHERE entry_id = '{one}'; DELETE FROM vital_counts WHERE entry_id = '{other}'"
    );
    sqlx::raw_sql(AssertSqlSafe(forced))
        .execute(&mut superuser)
        .await
        .unwrap();
    let mut expected = vec![one.clone(), other.clone()];
    expected.sort();
    assert_eq!(check(&reader, TRUONG_VINH).await, (15, expected));
}
