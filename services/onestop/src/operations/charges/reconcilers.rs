//! Who reconciles which units, and where the charges of a unit's receipts are.

use std::collections::BTreeSet;

use egov_auth::{Caller, Resource, RowScope};
use egov_clock::Clock as _;
use egov_directory::Whereabouts;
use jiff::civil::Date;

use super::RECONCILE;
use crate::error::Error;
use crate::operations::OneStop;
use crate::report_error::ReportRefused;

impl OneStop {
    /// The rows of the units that the caller reconciles: its own, and those that closed into one of them (đơn vị kế thừa). What a closed
    /// unit took, its files and its differences stay under its name, and are nobody else's to reconcile.
    pub(super) fn reconciled(&self, caller: &Caller) -> RowScope {
        self.with_closed(caller.scope(RECONCILE))
    }

    /// A scope with the units that closed into one of its own.
    pub(super) fn with_closed(&self, mut scope: RowScope) -> RowScope {
        if scope.all || scope.units.is_empty() {
            return scope;
        }
        let units = self.directory.units();
        let inherited: Vec<i32> = units
            .closed(self.clock.today())
            .filter_map(|(unit, at)| match at {
                Whereabouts::MovedTo(to) if scope.units.contains(&to.id) => Some(unit.id),
                _ => None,
            })
            .collect();
        scope.units.extend(inherited);
        scope.units.sort_unstable();
        scope.units.dedup();
        scope
    }

    /// Demands that the caller may reconcile a unit: one out of sight looks as one that is not there. The rows that it reconciles.
    pub(super) fn require_reconciler(&self, caller: &Caller, unit_id: i32) -> Result<RowScope, Error> {
        let scope = self.reconciled(caller);
        if !(scope.all || scope.units.contains(&unit_id)) || self.directory.units().get(unit_id).is_none() {
            return Err(ReportRefused::UnitNotFound(unit_id).into());
        }
        let own = caller.scope(RECONCILE);
        let by = if own.all || own.units.contains(&unit_id) {
            unit_id
        } else {
            self.work_of(unit_id, self.clock.today())
        };
        let at = Resource {
            unit: Some(by),
            owner: None,
            assignee: None,
        };
        caller.require(RECONCILE, &at)?;
        Ok(scope)
    }

    /// The units of which the caller lists differences, or one of them, with the rows that it reconciles.
    pub(super) fn reconciled_units(
        &self,
        caller: &Caller,
        unit_id: Option<i32>,
    ) -> Result<(RowScope, Vec<i32>), Error> {
        let scope = self.reconciled(caller);
        // The test build with this feature takes the first wall away, to show that the second one holds alone.
        let all = scope.all || cfg!(feature = "test-without-query-filter");
        let seen: BTreeSet<i32> = if all {
            self.directory.units().iter().map(|unit| unit.id).collect()
        } else {
            scope.units.iter().copied().collect()
        };
        let units = match unit_id {
            None => seen.into_iter().collect(),
            Some(unit_id) if seen.contains(&unit_id) => vec![unit_id],
            Some(unit_id) => return Err(ReportRefused::UnitNotFound(unit_id).into()),
        };
        Ok((scope, units))
    }

    /// Where the charges of a unit's receipts are on a day: with the unit, and with the one that its open cases went to.
    pub(super) fn charged_at(&self, unit_id: i32, on: Date) -> Vec<i32> {
        let mut at = vec![unit_id, self.work_of(unit_id, on)];
        at.sort_unstable();
        at.dedup();
        at
    }

    /// The unit whose work a unit's is on a day: another one if it has closed and a successor was recorded.
    fn work_of(&self, unit_id: i32, on: Date) -> i32 {
        match self.directory.units().whereabouts(unit_id, on) {
            Some(Whereabouts::MovedTo(to)) => to.id,
            _ => unit_id,
        }
    }
}
