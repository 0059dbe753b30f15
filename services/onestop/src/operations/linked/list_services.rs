//! ListLinkedServices.

use std::sync::Arc;

use egov_clock::Clock as _;
use jiff::civil::Date;

use super::super::OneStop;
use crate::domain::linked::{LinkedService, Owner};

/// A service as it is listed on a day.
pub(crate) struct ListedService {
    pub(crate) service: Arc<LinkedService>,
    pub(crate) owner: Option<Owner>,
    /// From which day somebody else coordinates it.
    pub(crate) changes_on: Option<Date>,
    pub(crate) fileable: bool,
    pub(crate) open: Vec<String>,
}

impl OneStop {
    /// The services in force today, by code.
    pub(crate) fn list_linked_services(&self) -> Vec<ListedService> {
        let today = self.clock.today();
        let services = self.law.get().linked_services(today);
        services
            .into_iter()
            .map(|service| {
                let owner = service.owner_on(today).map(|period| period.owner);
                let later = service.owners.iter().find(|period| period.effective_from > today);
                ListedService {
                    owner,
                    changes_on: later.map(|period| period.effective_from),
                    fileable: owner == Some(Owner::Local) && service.fileable(self.profile).is_ok(),
                    open: service
                        .open_facts(self.profile)
                        .into_iter()
                        .map(|fact| fact.path)
                        .collect(),
                    service,
                }
            })
            .collect()
    }
}
