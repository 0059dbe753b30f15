//! The role that a step names is a check: whoever does it holds the role over the unit where the work lies, or has it delegated.

use egov_auth::{Caller, RoleAt, WHOLE_PROVINCE};

use crate::domain::work::task::WorkRefused;
use crate::error::Error;
use crate::operations::OneStop;

/// The roles in a token, own ones and those that others delegated (uỷ quyền).
fn held(caller: &Caller) -> impl Iterator<Item = &RoleAt> {
    let principal = &caller.principal;
    principal
        .roles
        .iter()
        .chain(principal.delegated.iter().map(|delegated| &delegated.held))
}

impl OneStop {
    /// Refuses unless the caller holds the role over the unit: there or above.
    pub(crate) fn require_role(&self, caller: &Caller, role: &str, unit: i32, step: &str) -> Result<(), Error> {
        let tree = self.directory.tree();
        let tree = tree.load();
        let holds = held(caller).any(|at| {
            at.role == role && (at.unit == WHOLE_PROVINCE || tree.subtree(at.unit).binary_search(&unit).is_ok())
        });
        if holds {
            return Ok(());
        }
        Err(WorkRefused::RoleMissing {
            role: role.to_owned(),
            step: step.to_owned(),
        }
        .into())
    }

    /// Every role of the caller at every unit over which it is held, each once.
    pub(crate) fn roles_at_units(&self, caller: &Caller) -> Vec<(String, i32)> {
        let tree = self.directory.tree();
        let tree = tree.load();
        let mut found: Vec<(String, i32)> = Vec::new();
        for at in held(caller) {
            if at.unit == WHOLE_PROVINCE {
                found.extend(tree.units().map(|unit| (at.role.clone(), unit)));
            } else {
                found.extend(tree.subtree(at.unit).iter().map(|unit| (at.role.clone(), *unit)));
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
