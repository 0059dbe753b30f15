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
        Ok(Self::of(members, services, certificates))
    }

    fn of(members: Vec<Member>, services: Vec<Offered>, certificates: Vec<Shown>) -> Self {
        let subsystem = |one: &Member| {
            let (class, code) = (one.member_class.clone(), one.member_code.clone());
            (class, code, one.subsystem_code.clone())
        };
        Self {
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
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u128) -> Member {
        Member {
            system_id: Uuid::from_u128(number),
            client_id: format!("client-{number}"),
            member_class: "GOV".to_owned(),
            member_code: format!("H41.{number}"),
            subsystem_code: "main".to_owned(),
        }
    }

    #[test]
    fn a_certificate_stands_for_its_system_within_its_dates_and_only_while_that_takes_part() {
        let shown = |number: u128| Shown {
            system_id: Uuid::from_u128(number),
            thumbprint: format!("thumb-{number}"),
            not_before: Timestamp::from_second(100).unwrap(),
            not_after: Timestamp::from_second(200).unwrap(),
        };
        // The system 2 takes part no more, though its certificate is not withdrawn.
        let catalogue = Catalogue::of(vec![member(1)], Vec::new(), vec![shown(1), shown(2)]);
        let found = |thumbprint: &str, second: i64| {
            let now = Timestamp::from_second(second).unwrap();
            catalogue
                .of_certificate(thumbprint, now)
                .map(|member| member.client_id.as_str())
        };
        for (thumbprint, second, wanted) in [
            ("thumb-1", 99, None),
            ("thumb-1", 100, Some("client-1")),
            ("thumb-1", 200, Some("client-1")),
            ("thumb-1", 201, None),
            ("thumb-2", 150, None),
            ("thumb-3", 150, None),
        ] {
            assert_eq!(found(thumbprint, second), wanted, "{thumbprint} {second}");
        }
    }

    #[test]
    fn systems_are_found_by_all_parts_of_their_names() {
        let catalogue = Catalogue::of(vec![member(1), member(2)], Vec::new(), Vec::new());
        let found = |class: &str, code: &str, subsystem: &str| {
            let member = catalogue.subsystem(class, code, subsystem);
            member.map(|member| member.client_id.as_str())
        };
        assert_eq!(found("GOV", "H41.2", "main"), Some("client-2"));
        for (class, code, subsystem) in [
            ("COM", "H41.2", "main"),
            ("GOV", "H41.3", "main"),
            ("GOV", "H41.2", "x"),
        ] {
            assert_eq!(found(class, code, subsystem), None);
        }
        assert_eq!(catalogue.client("client-1"), Some(&member(1)));
        assert_eq!(catalogue.client("client-3"), None);
    }
}
