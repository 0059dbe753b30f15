//! The civil-status register.

use egov_proto::egov::integration::v1::{DeliveryState, GetRegistrationRequest, Registration};
use egov_simulators::Fault;

use crate::support::{HERE, Running, registration};

async fn read(service: &Running, delivery_id: &str) -> Registration {
    let message = GetRegistrationRequest {
        delivery_id: delivery_id.to_owned(),
    };
    let request = service.by("partner_officer", HERE, message);
    let answer = service.civil_status().get_registration(request).await.unwrap();
    answer.into_inner().registration.unwrap()
}

#[tokio::test]
async fn a_birth_is_registered_and_its_number_is_read_and_the_reading_recorded() {
    let service = Running::start().await;
    let message = registration();
    let mut deliveries = Vec::new();
    for _ in 0..2 {
        let request = service.by("partner_caller", HERE, message.clone());
        let answer = service.civil_status().submit_registration(request).await.unwrap();
        deliveries.push(answer.into_inner().delivery.unwrap());
    }
    assert_eq!(deliveries[0], deliveries[1]);
    let id = &deliveries[0].delivery_id;
    assert_eq!(read(&service, id).await.number, "");
    service.round().await;
    let registered = read(&service, id).await;
    assert_eq!(
        (registered.number.as_str(), registered.book.as_str()),
        ("01", "01/2026")
    );
    assert_eq!(registered.personal_number.len(), 12);
    let for_the_person = "SELECT count(*) FROM egov.read_records WHERE purpose = 'case_handling'
                          AND subjects = ARRAY['00000000-0000-0000-0000-00000000002a'::uuid]";
    assert_eq!(service.count(for_the_person).await, 2);
    let events = service.events("civil_status_registered").await;
    assert_eq!(events.len(), 1);
    assert!(
        !events[0].to_string().contains(&registered.personal_number),
        "the event names no person"
    );
}

#[tokio::test]
async fn every_fault_of_the_register_ends_in_one_number() {
    let service = Running::start().await;
    for (before, fault) in (0_u32..).zip(Fault::ALL) {
        service.partners.civil_status.faults().script("submit", fault);
        let request = service.by("partner_caller", HERE, registration());
        let answer = service.civil_status().submit_registration(request).await.unwrap();
        let id = answer.into_inner().delivery.unwrap().delivery_id;
        service.rounds().await;
        if matches!(fault, Fault::Late(_)) {
            tokio::time::sleep(std::time::Duration::from_millis(350)).await;
        }
        assert_eq!(service.partners.civil_status.numbers_used(), before + 1, "{fault:?}");
        let registered = read(&service, &id).await;
        assert_eq!(registered.number, format!("{:02}", before + 1), "{fault:?}");
        assert_eq!(
            registered.delivery.unwrap().state(),
            DeliveryState::Acknowledged,
            "{fault:?}"
        );
    }
}
