//! A process that is killed between sending and recording.

use std::process::{Command, Stdio};
use std::time::Duration;

use egov_clock::SystemIds;
use egov_database::{Database, DatabaseConfig};
use egov_integration::Deliverer;
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1::DeliveryState;
use egov_simulators::Fault;
use jiff::SignedDuration;

use crate::support::{Running, connections, order, registration};

/// What the child is told: database, four addresses, folder of the keyring.
const TOLD: &str = "EGOV_TEST_DELIVERER";

/// Not a test by itself: the process that is killed. Without its orders it does nothing.
#[test]
fn child_that_delivers_until_it_is_killed() {
    let Some(told) = std::env::var_os(TOLD) else {
        return;
    };
    let told = told.into_string().unwrap();
    let mut words = told.split('\n').map(str::to_owned);
    let mut next = || words.next().unwrap();
    let (url, folder) = (next(), next());
    let urls = [next(), next(), next(), next()];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = egov_testkit::clock();
        let keyring = std::sync::Arc::new(Keyring::open(folder.as_ref(), &clock).unwrap());
        let config = DatabaseConfig::new(url).test_profile();
        let database = Database::connect(&config, keyring.clone(), clock.shared(), SystemIds::shared())
            .await
            .unwrap();
        let deliverer = Deliverer::new(&database, connections(&urls, keyring, &clock));
        deliverer.round().await.unwrap();
    });
}

#[tokio::test]
async fn a_process_killed_between_sending_and_recording_leaves_one_effect() {
    // The partner does it at once and answers after the process is gone.
    for (payment, faults) in [(true, 200), (false, 200)] {
        let folder = tempfile_folder();
        let clock = egov_testkit::clock();
        Keyring::create_missing(&folder.path, &clock).unwrap();
        let service = Running::on_disk(&folder.path).await;
        let id = if payment {
            service.partners.payment.faults().script("create", Fault::Silent);
            service.order(order()).await.unwrap().delivery_id
        } else {
            service.partners.civil_status.faults().script("submit", Fault::Silent);
            let request = service.by("partner_caller", crate::support::HERE, registration());
            let answer = service.civil_status().submit_registration(request).await.unwrap();
            answer.into_inner().delivery.unwrap().delivery_id
        };
        let told = [
            service.database.app_url.clone(),
            folder.path.to_string_lossy().into_owned(),
            service.partners.portal.url(),
            service.partners.payment.url(),
            service.partners.population.url(),
            service.partners.civil_status.url(),
        ];
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "killed::child_that_delivers_until_it_is_killed",
                "--nocapture",
            ])
            .env(TOLD, told.join("\n"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let effects = || service.partners.payment.made() + service.partners.civil_status.numbers_used();
        for _ in 0..faults {
            if effects() > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // SIGKILL: nothing of the process runs any more.
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(effects(), 1, "it was sent");
        assert_eq!(
            service.delivery(&id).await.state(),
            DeliveryState::Sent,
            "and not recorded"
        );
        let mut connection = service.database.connect_as_superuser().await.unwrap();
        sqlx::query("DELETE FROM egov.leases")
            .execute(&mut connection)
            .await
            .unwrap();
        service.clock.advance(SignedDuration::from_mins(3));
        service.rounds().await;
        assert_eq!(service.delivery(&id).await.state(), DeliveryState::Acknowledged);
        assert_eq!(effects(), 1);
    }
}

struct Folder {
    path: std::path::PathBuf,
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn tempfile_folder() -> Folder {
    let name = format!("egov-killed-{}", crate::support::new_id());
    Folder {
        path: std::env::temp_dir().join(name),
    }
}
