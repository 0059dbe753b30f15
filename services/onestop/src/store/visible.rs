//! The query's own filter: the first of the two walls (the second is row-level security).

use egov_auth::RowScope;
use uuid::Uuid;

/// The rows that a caller may see, as parameters of a query:
/// `($all OR responsible_unit_id = ANY($units) OR owner_id = $owner OR assignee_id = $assignee)`.
#[derive(Debug, Clone)]
pub(crate) struct Visible {
    pub(crate) all: bool,
    pub(crate) units: Vec<i32>,
    pub(crate) owner: Option<Uuid>,
    pub(crate) assignee: Option<Uuid>,
}

impl Visible {
    /// Every row: for a job, which acts for nobody.
    pub(crate) const fn everything() -> Self {
        Self {
            all: true,
            units: Vec::new(),
            owner: None,
            assignee: None,
        }
    }
}

impl From<&RowScope> for Visible {
    fn from(scope: &RowScope) -> Self {
        Self {
            // The test build with this feature takes the first wall away, to show that the second one holds alone.
            all: scope.all || cfg!(feature = "test-without-query-filter"),
            units: scope.units.clone(),
            owner: scope.owner,
            assignee: scope.assignee,
        }
    }
}
