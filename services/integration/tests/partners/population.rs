//! The population database.

use egov_integration::rebuild_leaves::{rebuild_leaves, without_row};
use egov_proto::egov::integration::v1::{
    AssignPersonalNumberRequest, ConfirmCitizenRequest, LookUpCitizenRequest, LookUpCitizenResponse, Newborn,
};
use egov_simulators::{Fault, Person};
use egov_transparency::{LogReport, verify_kind};
use tonic::{Code, Status};

use crate::support::{AGENCY, HERE, NEIGHBOUR, NEIGHBOURS_AGENCY, Running, enquiry, new_id, order, refusal};

fn question() -> LookUpCitizenRequest {
    LookUpCitizenRequest {
        request_id: new_id(),
        enquiry: Some(enquiry()),
    }
}

async fn look_up(service: &Running, message: LookUpCitizenRequest) -> Result<LookUpCitizenResponse, Status> {
    let request = service.by("partner_officer", HERE, message);
    Ok(service.population().look_up_citizen(request).await?.into_inner())
}

#[tokio::test]
async fn a_citizen_is_looked_up_in_our_codes_and_the_reading_is_recorded() {
    let service = Running::start().await;
    let found = look_up(&service, question()).await.unwrap();
    let citizen = found.citizen.unwrap();
    assert_eq!(
        (citizen.full_name.as_str(), citizen.gender.as_str()),
        ("Nguyễn Văn An", "male")
    );
    assert_eq!(citizen.ethnic_group_code, "01");
    let mut connection = service.database.connect_as_superuser().await.unwrap();
    let (purpose, resources): (String, Vec<String>) =
        sqlx::query_as("SELECT purpose, resources FROM egov.read_records WHERE $1 = ANY(subjects)")
            .bind(uuid::Uuid::from_u128(42))
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(
        (purpose.as_str(), resources),
        ("case_handling", vec![format!("population/{}", found.request_code)])
    );
    let asked =
        "SELECT count(*) FROM population_requests WHERE legal_basis LIKE 'Luật Hộ tịch%' AND officer_code = 'CB-0001'";
    assert_eq!(service.count(asked).await, 1);

    // Whoever edits or deletes the row of a question, or of an order of a payment, in the database is found out.
    service.order(order()).await.unwrap();
    service.round().await;
    assert_eq!(findings(&service).await, Vec::<String>::new(), "nothing was touched");
    sqlx::raw_sql("SET session_replication_role = replica")
        .execute(&mut connection)
        .await
        .unwrap();
    for (edit, undo, kind) in [
        (
            "UPDATE population_requests SET legal_basis = legal_basis || 'x'",
            "UPDATE population_requests SET legal_basis = left(legal_basis, -1)",
            "population_request ",
        ),
        (
            "UPDATE payment_orders SET pay_url = pay_url || 'x'",
            "UPDATE payment_orders SET pay_url = left(pay_url, -1)",
            "payment_order ",
        ),
        (
            "UPDATE payment_orders SET version = version - 1",
            "UPDATE payment_orders SET version = version + 1",
            "payment_order ",
        ),
    ] {
        sqlx::query(edit).execute(&mut connection).await.unwrap();
        let found = findings(&service).await;
        assert!(
            !found.is_empty() && found.iter().all(|one| one.starts_with(kind)),
            "{edit}: {found:?}"
        );
        sqlx::query(undo).execute(&mut connection).await.unwrap();
        assert_eq!(findings(&service).await, Vec::<String>::new(), "{undo}");
    }
    for (gone, kind) in [
        ("DELETE FROM population_requests", "population_request "),
        ("DELETE FROM payment_orders", "payment_order "),
    ] {
        sqlx::query(gone).execute(&mut connection).await.unwrap();
        let found = findings(&service).await;
        assert!(
            found
                .iter()
                .any(|one| one.starts_with(kind) && one.ends_with("its row is gone")),
            "{gone}: {found:?}"
        );
    }
}

/// What the verification says of questions and of orders of payments, each in one sentence.
async fn findings(service: &Running) -> Vec<String> {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(service.pool()).await.unwrap();
    for kind in ["population_request", "payment_order"] {
        verify_kind(service.pool(), kind, &rebuilt, without_row(kind), &mut report)
            .await
            .unwrap();
    }
    report.findings.into_iter().map(|one| one.detail).collect()
}

#[tokio::test]
async fn the_same_question_carries_the_same_code_and_is_one_question_to_the_register() {
    let service = Running::start().await;
    let message = question();
    let (first, second) = tokio::join!(look_up(&service, message.clone()), look_up(&service, message.clone()));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first, second);
    let third = look_up(&service, message.clone()).await.unwrap();
    assert_eq!(third.request_code, first.request_code);
    assert_eq!(service.partners.population.asked().len(), 1);
    let mut other = message;
    other.enquiry.as_mut().unwrap().full_name = "Nguyễn Văn Ba".to_owned();
    let status = look_up(&service, other).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test]
async fn nothing_leaves_when_the_reading_cannot_be_recorded() {
    let service = Running::start().await;
    let mut connection = service.database.connect_as_superuser().await.unwrap();
    sqlx::query("ALTER TABLE egov.read_records RENAME TO away")
        .execute(&mut connection)
        .await
        .unwrap();
    let status = look_up(&service, question()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(service.partners.population.asked().is_empty());
}

#[tokio::test]
async fn particulars_are_confirmed_without_being_told() {
    let service = Running::start().await;
    for (name, expected) in [("Nguyễn Văn An", true), ("Nguyễn Văn Ba", false)] {
        let mut message = ConfirmCitizenRequest {
            request_id: new_id(),
            enquiry: Some(enquiry()),
        };
        message.enquiry.as_mut().unwrap().full_name = name.to_owned();
        let request = service.by("partner_officer", HERE, message);
        let answer = service
            .population()
            .confirm_citizen(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.confirmed, expected, "{name}");
    }
}

#[tokio::test]
async fn a_register_that_is_silent_leaves_a_doubt_and_the_same_request_settles_it() {
    let service = Running::start().await;
    let faults = service.partners.population.faults();
    faults.script("TraCuuThongTinCongDan", Fault::Silent);
    faults.script("TraCuuThongTinCongDan", Fault::HalfOpen);
    let message = question();
    let status = look_up(&service, message.clone()).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::Unavailable, "PARTNER_OUTCOME_UNKNOWN".to_owned())
    );
    let found = look_up(&service, message).await.unwrap();
    assert!(found.citizen.is_some());
    assert_eq!(service.partners.population.asked().len(), 1);
}

#[tokio::test]
async fn every_fault_of_the_population_register_ends_in_one_question_and_the_right_person() {
    let service = Running::start().await;
    let register = &service.partners.population;
    for (before, fault) in (0_usize..).zip(Fault::ALL) {
        register.faults().script("TraCuuThongTinCongDan", fault);
        let message = question();
        let mut answer = look_up(&service, message.clone()).await;
        // What the second try does not settle is a doubt, and nobody else's particulars; the same request settles it.
        for _ in 0..5 {
            let Err(status) = &answer else { break };
            assert_eq!(
                refusal(status),
                (Code::Unavailable, "PARTNER_OUTCOME_UNKNOWN".to_owned()),
                "{fault:?}"
            );
            answer = look_up(&service, message.clone()).await;
        }
        let citizen = answer.unwrap().citizen.unwrap();
        assert_eq!(
            (citizen.full_name.as_str(), citizen.personal_number.as_str()),
            ("Nguyễn Văn An", "040099000001"),
            "{fault:?}"
        );
        assert_eq!(register.faults().left(), 0, "{fault:?} was met");
        assert_eq!(register.asked().len(), before + 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_wrong_person_is_never_answered() {
    let service = Running::start().await;
    service
        .partners
        .population
        .faults()
        .script("TraCuuThongTinCongDan", Fault::WrongRecord);
    let status = look_up(&service, question()).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::Unavailable, "PARTNER_OUTCOME_UNKNOWN".to_owned())
    );
}

#[tokio::test]
async fn a_code_of_the_register_that_no_table_knows_is_left_out_and_reported() {
    let service = Running::start().await;
    service.partners.population.add(Person {
        personal_number: "040300000009".to_owned(),
        identity_card: String::new(),
        full_name: "Lô Thị Mai".to_owned(),
        birth: "2000".to_owned(),
        gender: "9".to_owned(),
        ethnic_group: "03".to_owned(),
        residence: String::new(),
    });
    let mut message = question();
    let enquiry = message.enquiry.as_mut().unwrap();
    enquiry.number = "040300000009".to_owned();
    enquiry.full_name = "Lô Thị Mai".to_owned();
    let date = enquiry.birth_date.as_mut().unwrap();
    (date.year, date.month, date.day) = (2000, 0, 0);
    let citizen = look_up(&service, message).await.unwrap().citizen.unwrap();
    assert_eq!(
        (citizen.gender.as_str(), citizen.ethnic_group_code.as_str()),
        ("", "03")
    );
    let listed = service.by("partner_operator", HERE, Default::default());
    let values = service
        .portal()
        .list_unmapped_values(listed)
        .await
        .unwrap()
        .into_inner()
        .values;
    assert_eq!(values.len(), 1);
    assert_eq!((values[0].table.as_str(), values[0].value.as_str()), ("gender", "9"));
    assert_eq!((values[0].path.as_str(), values[0].count), ("CongDan/GioiTinh", 1));
}

/// A girl of Nghệ An, under a request code of her own.
fn child(request_code: &str) -> AssignPersonalNumberRequest {
    AssignPersonalNumberRequest {
        request_id: new_id(),
        request_code: request_code.to_owned(),
        unit_id: HERE,
        agency_code: AGENCY.to_owned(),
        service_code: "1.001193".to_owned(),
        officer_code: "CB-0001".to_owned(),
        legal_basis: "Nghị định 137/2015/NĐ-CP".to_owned(),
        newborn: Some(Newborn {
            full_name: "Nguyễn Thị An Nhiên".to_owned(),
            birth_date: Some(jiff::civil::date(2026, 11, 13).into()),
            gender: "female".to_owned(),
            ethnic_group_code: "01".to_owned(),
            nationality: "VN".to_owned(),
            registration_place: "Xã Kim Liên".to_owned(),
            mother_number: "040195000111".to_owned(),
            father_number: String::new(),
        }),
    }
}

async fn assign(service: &Running, message: AssignPersonalNumberRequest) -> Result<String, Status> {
    let request = service.by("personal_number_requester", message.unit_id, message);
    let answer = service.population().assign_personal_number(request).await?;
    Ok(answer.into_inner().personal_number)
}

#[tokio::test]
async fn a_number_is_assigned_once_for_a_code_whatever_goes_wrong_on_the_way() {
    let service = Running::start().await;
    let register = &service.partners.population;
    for (place, fault) in [Fault::Silent, Fault::FailedAfter, Fault::Failed, Fault::WrongRecord]
        .into_iter()
        .enumerate()
    {
        register.faults().script("CapSoDinhDanh", fault);
        let code = format!("KS-0000000{place}");
        // It is one try: what became of it is not known, and the same is asked again under the same code, under whatever request id.
        let status = assign(&service, child(&code)).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{fault:?}: {status}");
        let message = child(&code);
        let number = assign(&service, message.clone()).await.unwrap();
        assert!(number.starts_with("040326"), "{number}");
        assert_eq!(assign(&service, message).await.unwrap(), number, "the same request");
        assert_eq!(
            register.assigned().len(),
            place + 1,
            "{fault:?}: one number for one code"
        );
    }
    let recorded = "SELECT count(*) FROM population_requests WHERE operation = 'AssignPersonalNumber'";
    assert_eq!(service.count(recorded).await, 4, "one a child");

    // Refused by the register, and here: another child, another unit, another role.
    register.refuse("Nguyễn Thị An Nhiên");
    let status = assign(&service, child("KS-00000009")).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "PARTNER_REFUSED".to_owned())
    );
    assert_eq!(egov_fault::fault_of(&status).metadata()["partner_code"], "02");
    let mut other = child("KS-00000000");
    "Nguyễn Thị Khác".clone_into(&mut other.newborn.as_mut().unwrap().full_name);
    let status = assign(&service, other).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).metadata()["partner_code"], "03");
    let theirs = AssignPersonalNumberRequest {
        unit_id: NEIGHBOUR,
        agency_code: NEIGHBOURS_AGENCY.to_owned(),
        ..child("KS-00000000")
    };
    let status = assign(&service, theirs).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::AlreadyExists, "REQUEST_CODE_TAKEN".to_owned()));
    for (role, unit) in [("partner_caller", HERE), ("personal_number_requester", NEIGHBOUR)] {
        let request = service.by(role, unit, child("KS-00000010"));
        let status = service.population().assign_personal_number(request).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{role}");
    }
    assert_eq!(register.assigned().len(), 4);
    assert_eq!(findings(&service).await, Vec::<String>::new());
}
