//! The directory as the door has it in memory: who takes part, what is offered, by which names of X-Road.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::service::InterfaceKind;
use crate::store;
use crate::store::catalogue::{Member, Offered, Shown};

/// A member class, a member code, a subsystem code.
type Subsystem = (String, String, String);

/// Who takes part in the directory, and what is offered there.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    members: HashMap<Uuid, Member>,
    by_client: HashMap<String, Uuid>,
    by_subsystem: HashMap<Subsystem, Uuid>,
    services: Vec<Offered>,
    certificates: HashMap<String, Shown>,
}

impl Catalogue {
    /// Reads it whole.
    pub(crate) async fn read(conn: &mut PgConnection) -> Result<Self, store::StoreError> {
        let members = store::catalogue::members(conn).await?;
        let services = store::catalogue::offered(conn).await?;
        let certificates = store::catalogue::certificates(conn).await?;
        let subsystem = |one: &Member| {
            let (class, code) = (one.member_class.clone(), one.member_code.clone());
            (class, code, one.subsystem_code.clone())
        };
        Ok(Self {
            by_client: members
                .iter()
                .map(|one| (one.client_id.clone(), one.system_id))
                .collect(),
            by_subsystem: members.iter().map(|one| (subsystem(one), one.system_id)).collect(),
            members: members.into_iter().map(|one| (one.system_id, one)).collect(),
            services,
            certificates: certificates
                .into_iter()
                .map(|one| (one.thumbprint.clone(), one))
                .collect(),
        })
    }

    /// The services of plain HTTP, each with the newest version of its interface.
    pub(crate) fn plain_services(&self) -> impl Iterator<Item = (Uuid, i64)> {
        self.services
            .iter()
            .filter(|one| one.kind == InterfaceKind::OpenApi)
            .map(|one| (one.service_id, one.interface_version))
    }

    /// The system with this client id.
    pub(crate) fn client(&self, client_id: &str) -> Option<&Member> {
        self.members.get(self.by_client.get(client_id)?)
    }

    /// The system for which a certificate is registered that is valid now; by its SHA-256 in hexadecimal.
    pub(crate) fn of_certificate(&self, thumbprint: &str, now: Timestamp) -> Option<&Member> {
        let shown = self.certificates.get(thumbprint)?;
        let valid = shown.not_before <= now && now <= shown.not_after;
        self.members.get(&shown.system_id).filter(|_| valid)
    }

    /// The system that is a subsystem in X-Road.
    pub(crate) fn subsystem(&self, class: &str, code: &str, subsystem: &str) -> Option<&Member> {
        let key = (class.to_owned(), code.to_owned(), subsystem.to_owned());
        self.members.get(self.by_subsystem.get(&key)?)
    }

    /// What a system offers.
    pub(crate) fn services_of(&self, system_id: Uuid) -> impl Iterator<Item = &Offered> {
        self.services.iter().filter(move |one| one.system_id == system_id)
    }
}
