//! What a door does while nothing happens.

use std::time::Duration;

use egov_proto::egov::integration::v1::*;

use crate::door::{GET, World, person};
use crate::support::*;

/// How often certificates and organisations were read so far; the database adds its counts up within a second.
async fn reads(superuser: &mut sqlx::PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT sum(seq_scan + coalesce(idx_scan, 0))::bigint FROM pg_stat_user_tables
         WHERE relname IN ('system_certificates', 'organisations')",
    )
    .fetch_one(superuser)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_directory_that_stands_still_is_not_read_again_and_a_change_of_it_counts_within_a_second() {
    let world = World::start(|_| {}).await;
    let mut superuser = world.stack.database.connect_as_superuser().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = reads(&mut superuser).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        reads(&mut superuser).await,
        before,
        "twelve looks, and none of them reads the directory"
    );
    world.call(GET, person("a")).await.unwrap();

    // An endpoint in maintenance is a change of the directory alone: the permits stay as they are.
    let mut staff = world.stack.staff(PARTNER, PROVIDER);
    let read = GetServiceRequest {
        service_id: world.agreed.service.service_id.clone(),
    };
    let service = staff.interfaces.get_service(read).await.unwrap().into_inner();
    let endpoint = service.service.unwrap().endpoints.remove(0);
    let change = ChangeEndpointRequest {
        request_id: request_id(),
        service_id: world.agreed.service.service_id.clone(),
        endpoint_id: endpoint.endpoint_id,
        weight: 1,
        state: EndpointState::Maintenance.into(),
        reason: "bảo trì".to_owned(),
    };
    staff.interfaces.change_endpoint(change).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refused = world.call(GET, person("a")).await.unwrap_err();
    assert_eq!(reason(&refused), "PROVIDER_IN_MAINTENANCE");
}
