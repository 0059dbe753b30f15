//! The query's own filter: the first of the two walls (the second is row-level security).

use egov_auth::RowScope;
use uuid::Uuid;

/// So many units are read one by one: a commune has a handful below it. Among more, what is wanted is met soon on the walk by time.
const FEW_UNITS: usize = 16;

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

    /// True if the units are so many that a walk by time soon meets what is wanted.
    pub(crate) fn is_wide(&self) -> bool {
        self.all || self.units.len() > FEW_UNITS
    }

    /// The same, only of one unit: a list of a unit is read by that unit's index, however much else the caller sees.
    pub(crate) fn narrowed(&self, unit: Option<i32>) -> Self {
        let Some(unit) = unit else { return self.clone() };
        let seen = self.all || self.units.contains(&unit);
        Self {
            all: false,
            units: if seen { vec![unit] } else { Vec::new() },
            ..self.clone()
        }
    }

    /// The same, a reason each: everything, a unit (or the units, if they are many), the own cases, the assigned ones. One that
    /// shows nothing if there is none. Each has an index that gives its rows in the order of a list.
    pub(crate) fn reasons(&self) -> Vec<Self> {
        let nothing = || Self {
            all: false,
            ..Self::everything()
        };
        if self.all {
            return vec![Self::everything()];
        }
        let of = |units: &[i32]| Self {
            units: units.to_vec(),
            ..nothing()
        };
        let units: Vec<Self> = match self.units.len() {
            0 => Vec::new(),
            1..=FEW_UNITS => self.units.chunks(1).map(of).collect(),
            _ => vec![of(&self.units)],
        };
        let owner = self.owner.map(|owner| Self {
            owner: Some(owner),
            ..nothing()
        });
        let assignee = self.assignee.map(|assignee| Self {
            assignee: Some(assignee),
            ..nothing()
        });
        let reasons: Vec<Self> = units.into_iter().chain(owner).chain(assignee).collect();
        if reasons.is_empty() { vec![nothing()] } else { reasons }
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
