//! Whether an agency code (mã định danh cơ quan) is the unit's that registers or uses it: nobody acts under another's.

use std::sync::Arc;

use egov_auth::{Caller, CallerKind, Resource};
use egov_codes::{AgencyCode, CaseCode};
use egov_database::UnitOfWork;
use egov_directory::{Directory, Whereabouts};
use jiff::civil::Date;

use super::permission::MANAGE_DIRECTORY;
use crate::domain::organisation::{HeldCode, Named, Tenure, Unconfirmed, confirm, holder, may_use};
use crate::error::Error;
use crate::store::organisations;

/// What says whose a code is: the directory's entries in the database, and beside them identity's signed unit tree (cây đơn vị). Without
/// the tree, in jobs that take no requests, nothing is confirmed and nothing contradicted.
#[derive(Clone, Default)]
pub(crate) struct Agencies(Option<Arc<Directory>>);

impl Agencies {
    /// With identity's unit tree.
    pub(crate) fn by(directory: Arc<Directory>) -> Self {
        Self(Some(directory))
    }

    /// What the unit tree says of a code on a day, as the units are today.
    fn named(&self, code: &AgencyCode, day: Date, today: Date) -> Option<Named> {
        let units = self.0.as_ref()?.units();
        let (unit, carried) = units.agency(code.as_str(), day, today)?;
        Some(Named {
            unit_id: unit.id,
            issued: !carried.provisional,
        })
    }

    /// Where the work of a unit is today by the unit tree: at its designated successor (đơn vị kế thừa) once it has closed.
    fn where_its_work_is(&self, unit_id: i32, today: Date) -> i32 {
        let Some(directory) = &self.0 else { return unit_id };
        match directory.units().whereabouts(unit_id, today) {
            Some(Whereabouts::MovedTo(successor)) => successor.id,
            Some(Whereabouts::Here(_) | Whereabouts::NoSuccessor | Whereabouts::NotYet) | None => unit_id,
        }
    }

    /// The unit at the root of the tree, which is the province; none without the tree.
    pub(crate) fn root(&self, today: Date) -> Option<i32> {
        let units = self.0.as_ref()?.units();
        let root = units.on(today).find(|unit| unit.parent.is_none());
        root.map(|unit| unit.id)
    }

    /// Whether the caller decides whose codes are: an official who keeps the directory of the whole province.
    fn decides(&self, caller: &Caller, today: Date) -> bool {
        let Some(directory) = &self.0 else { return false };
        let units = directory.units();
        let mut roots = units.on(today).filter(|unit| unit.parent.is_none()).peekable();
        caller.principal.kind == CallerKind::Staff
            && roots.peek().is_some()
            && roots.all(|root| caller.decide(MANAGE_DIRECTORY, &Resource::of_unit(root.id)).allowed)
    }

    /// Refuses a code for an organisation that is this unit, or none of this platform, if nobody has confirmed that it is: neither the
    /// unit tree nor the caller.
    pub(crate) fn confirm(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
        held: &HeldCode,
        today: Date,
    ) -> Result<(), Error> {
        let named = self.named(&held.code, held.judged_on(today), today);
        confirm(named, unit_id, self.decides(caller, today)).map_err(|Unconfirmed(named)| {
            Error::AgencyCodeUnconfirmed {
                code: held.code.as_str().to_owned(),
                named,
            }
        })
    }

    /// The code is the unit's today.
    pub(crate) async fn require(
        &self,
        unit: &mut UnitOfWork<'_>,
        unit_id: i32,
        field: &'static str,
        code: &str,
    ) -> Result<(), Error> {
        let agency = code.parse::<AgencyCode>().ok();
        let today = unit.today();
        self.require_on(unit, unit_id, (field, code), agency.as_ref(), today)
            .await
    }

    /// The agency in a case code (mã hồ sơ) was the unit's on the day of the case.
    pub(crate) async fn require_case(
        &self,
        unit: &mut UnitOfWork<'_>,
        unit_id: i32,
        field: &'static str,
        case_code: &str,
    ) -> Result<(), Error> {
        match case_code.parse::<CaseCode>() {
            Ok(case) => {
                let said = (field, case.agency().as_str());
                self.require_on(unit, unit_id, said, Some(case.agency()), case.date())
                    .await
            }
            Err(_) => Err(not_of_unit(field, case_code)),
        }
    }

    async fn require_on(
        &self,
        unit: &mut UnitOfWork<'_>,
        unit_id: i32,
        (field, said): (&'static str, &str),
        agency: Option<&AgencyCode>,
        day: Date,
    ) -> Result<(), Error> {
        let agency = agency.ok_or_else(|| not_of_unit(field, said))?;
        let today = unit.today();
        let tenures = organisations::tenures(unit.conn(), agency.as_str()).await?;
        let named = self.named(agency, day, today);
        let held = holder(&tenures, day);
        // Whoever has the work of a unit that closed acts under its code, as it is entered, until the entry is changed.
        let followed = held.map(|tenure| Tenure {
            unit_id: tenure.unit_id.map(|holder| self.where_its_work_is(holder, today)),
            ..tenure
        });
        if may_use(unit_id, held, named) || may_use(unit_id, followed, named) {
            Ok(())
        } else {
            Err(not_of_unit(field, said))
        }
    }
}

fn not_of_unit(field: &'static str, code: &str) -> Error {
    Error::AgencyCodeNotOfUnit {
        field,
        code: code.to_owned(),
    }
}
