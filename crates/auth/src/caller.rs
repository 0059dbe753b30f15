//! The caller of one request, as handlers and operations see it.

use std::fmt;
use std::sync::Arc;

use egov_fault::Fault;
use uuid::Uuid;

use crate::{Access, Capacity, Decision, Policies, Principal, Resource, RowScope};

/// Who calls, for what purpose, and the way to ask what it may do.
///
/// [`AuthLayer`](crate::AuthLayer) puts it into the extensions of the request; only public methods may run without.
#[derive(Clone)]
pub struct Caller {
    /// Who calls.
    pub principal: Arc<Principal>,
    /// For what purpose it reads (header `x-egov-purpose`).
    pub purpose: Option<String>,
    access: Arc<Access>,
    method: Arc<str>,
    permission: Option<Arc<str>>,
}

impl Caller {
    /// A caller outside a request: in a job, or in a test.
    pub fn new(principal: Arc<Principal>, purpose: Option<String>, access: Arc<Access>) -> Self {
        Self {
            principal,
            purpose,
            access,
            method: Arc::from(""),
            permission: None,
        }
    }

    /// The same caller, admitted by this permission.
    #[must_use]
    pub(crate) fn admitted_by(mut self, permission: Option<Arc<str>>) -> Self {
        self.permission = permission;
        self
    }

    /// The same caller, calling `method`.
    #[must_use]
    pub fn calling(mut self, method: impl Into<Arc<str>>) -> Self {
        self.method = method.into();
        self
    }

    /// The path of the method that is called, as its rule writes it; empty outside a request.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// In which capacities the caller may call the present method at all: the roles in its token that give the method's
    /// permission, own ones before delegated ones. Empty outside a request, and where what allows it follows from the kind of
    /// caller alone.
    pub fn capacities(&self) -> Vec<Capacity> {
        match &self.permission {
            Some(permission) => self
                .access
                .capacities(&self.principal, permission, self.purpose.as_deref()),
            None => Vec::new(),
        }
    }

    /// A stable key of the caller; see [`Principal::caller_key`].
    pub fn key(&self) -> String {
        self.principal.caller_key()
    }

    /// The rows to which the caller may do what `permission` names.
    pub fn scope(&self, permission: &str) -> RowScope {
        self.access
            .row_scope(&self.principal, permission, self.purpose.as_deref())
    }

    /// Whether the caller may do what `permission` names to the row, and why.
    pub fn decide(&self, permission: &str, row: &Resource) -> Decision {
        self.access
            .decide(&self.principal, permission, row, self.purpose.as_deref())
    }

    /// Refuses unless the caller may do what `permission` names to the row: `PERMISSION_DENIED` with
    /// `PERMISSION_MISSING`, `PURPOSE_MISSING` or `ASSURANCE_TOO_LOW`, and the permission in the metadata.
    ///
    /// A row outside the caller's read scope must have been refused with `NOT_FOUND` before.
    pub fn require(&self, permission: &str, row: &Resource) -> Result<(), Fault> {
        self.decide(permission, row).into_result()
    }

    /// The account in whose name the caller does what `permission` names to the row (thừa uỷ quyền), if it may do so by a
    /// delegated role only: for the record of the act.
    pub fn acting_for(&self, permission: &str, row: &Resource) -> Option<Uuid> {
        self.decide(permission, row).acting_for
    }

    /// Refuses unless the caller may do what `permission` names at all: for acts that are not about a row that exists.
    pub fn admit(&self, permission: &str) -> Result<(), Fault> {
        self.access
            .admit(&self.principal, permission, self.purpose.as_deref())
            .into_result()
    }

    /// Every role and grant that the service knows: for what is said about roles, not about this caller.
    pub fn policies(&self) -> &Policies {
        self.access.policies()
    }

    /// Whether some role of the caller has the permission, whatever the rows and conditions.
    pub fn holds(&self, permission: &str) -> bool {
        self.access.holds(&self.principal, permission)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("principal", &self.principal)
            .field("purpose", &self.purpose)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
