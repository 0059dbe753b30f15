//! The services of this installation: their names, their migrations, their databases.

use egov_clock::Ids;
use egov_database::{Passwords, Provision, ServiceUrls};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;
use std::collections::BTreeMap;

use crate::accounts::secret_text;
use crate::place::Place;
use crate::postgres::Postgres;
use crate::problem::Problem;

/// A service that is linked into this command.
pub(crate) struct Service {
    /// Its name: of its database, its roles, its policy, its log.
    pub(crate) name: &'static str,
    /// Its migrations.
    pub(crate) migrator: &'static Migrator,
    /// Its share of the connections, against the others.
    pub(crate) weight: u32,
}

/// Every service with a database.
pub(crate) const ALL: [Service; 4] = [
    Service {
        name: "identity",
        migrator: &egov_identity::MIGRATOR,
        weight: 1,
    },
    Service {
        name: "onestop",
        migrator: &egov_onestop::MIGRATOR,
        weight: 3,
    },
    Service {
        name: "integration",
        migrator: &egov_integration::MIGRATOR,
        weight: 2,
    },
    Service {
        name: egov_civil_registry::SERVICE,
        migrator: &egov_civil_registry::MIGRATOR,
        weight: 1,
    },
];

/// The passwords of a service's roles on the operator's own server.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    owner: String,
    app: String,
}

/// The file in the data folder that keeps them.
const FILE: &str = "database.json";

/// Makes what is missing of a service's roles and database, and migrates. On the private cluster roles need no password:
/// only who opens its socket gets in. On the operator's own server they get one, made once and kept in the data folder.
pub(crate) async fn provision(
    place: &Place,
    postgres: &Postgres,
    service: &Service,
    ids: &dyn Ids,
) -> anyhow::Result<ServiceUrls> {
    let superuser = postgres.superuser_url();
    let mut provision = Provision::new(&superuser, service.name);
    if matches!(postgres, Postgres::Given { .. }) {
        let mut kept: BTreeMap<String, Kept> = place.read(FILE)?.unwrap_or_default();
        let passwords = kept.entry(service.name.to_owned()).or_insert_with(|| Kept {
            owner: secret_text(ids),
            app: secret_text(ids),
        });
        let passwords = Passwords {
            owner: SecretString::from(passwords.owner.clone()),
            app: SecretString::from(passwords.app.clone()),
        };
        place.write(FILE, &kept)?;
        provision = provision.passwords(passwords);
    }
    provision
        .run(service.migrator)
        .await
        .map_err(|fault| match fault.reason() {
            "MIGRATION_FAILED" => Problem::new(
                format!("{}: {fault}", service.name),
                "this database was made by another version of the program: start that version",
            )
            .or("or begin with a new data folder: --data DIR")
            .into(),
            _ => fault.into(),
        })
}

/// The URL of the app role.
pub(crate) fn app_url(urls: &ServiceUrls) -> &str {
    urls.app.expose_secret()
}
