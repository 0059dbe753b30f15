//! One decision function, and the rows that a list may show, from one walk over the grants.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use egov_fault::{Code, Fault};
use uuid::Uuid;

use crate::policy::{Condition, Grant, Over, Policies, built_in};
use crate::{Assurance, CallerKind, Principal, RoleAt, UnitTree, WHOLE_PROVINCE};

/// What a decision needs to know of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// The unit responsible for it (`responsible_unit_id`).
    pub unit: Option<i32>,
    /// The person to whom it belongs (`owner_id`).
    pub owner: Option<Uuid>,
    /// The official to whom it is assigned (`assignee_id`).
    pub assignee: Option<Uuid>,
}

impl Resource {
    /// A row of which only the responsible unit matters.
    pub fn of_unit(unit: i32) -> Self {
        Self {
            unit: Some(unit),
            ..Self::default()
        }
    }

    /// A row of which only the owner matters.
    pub fn of_owner(owner: Uuid) -> Self {
        Self {
            owner: Some(owner),
            ..Self::default()
        }
    }
}

/// The rows that a caller may see: all of them, or those of a unit in `units`, or those of `owner`, or those assigned
/// to `assignee`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowScope {
    /// Every row; then the other parts are empty.
    pub all: bool,
    /// Rows of these units, sorted, each once.
    pub units: Vec<i32>,
    /// Rows of this person.
    pub owner: Option<Uuid>,
    /// Rows assigned to this official.
    pub assignee: Option<Uuid>,
}

impl RowScope {
    /// No row.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every row: for jobs and the operator's command, which act for no caller.
    pub fn everything() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Whether no row can be seen.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the row can be seen. This is the condition that the row-level security of the database repeats in SQL.
    pub fn contains(&self, row: &Resource) -> bool {
        self.all
            || row.unit.is_some_and(|unit| self.units.binary_search(&unit).is_ok())
            || row.owner.is_some() && row.owner == self.owner
            || row.assignee.is_some() && row.assignee == self.assignee
    }
}

/// What a caller lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lack {
    /// No role of the caller has the permission for this row.
    Permission(String),
    /// A role has it, if the caller said for what purpose.
    Purpose,
    /// A role has it, if the person were identified more surely.
    Assurance(Assurance),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission(permission) => f.write_str(permission),
            Self::Purpose => f.write_str("purpose_given"),
            Self::Assurance(level) => write!(f, "assurance:{level}"),
        }
    }
}

/// The answer to "may this caller do this to that", with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may.
    pub allowed: bool,
    /// One sentence for each grant that was looked at: which one, and what held or failed. For operators and tests,
    /// not for callers.
    pub reasons: Vec<String>,
    /// What the caller lacks: the permission, `purpose_given`, or `assurance:LEVEL`.
    pub missing: Option<String>,
    /// The account in whose name the caller acts here (thừa uỷ quyền): set if only a delegated role allows it. What the
    /// caller may do by a role of its own is never done in another's name.
    pub acting_for: Option<Uuid>,
    permission: String,
    lack: Option<Lack>,
}

impl Decision {
    fn allow(permission: &str, reasons: Vec<String>, acting_for: Option<Uuid>) -> Self {
        Self {
            allowed: true,
            reasons,
            missing: None,
            acting_for,
            permission: permission.to_owned(),
            lack: None,
        }
    }

    /// Nothing if allowed; otherwise `PERMISSION_MISSING`, `PURPOSE_MISSING` or `ASSURANCE_TOO_LOW`, with the
    /// permission in the metadata.
    pub fn into_result(self) -> Result<(), Fault> {
        let Some(lack) = self.lack else { return Ok(()) };
        Err(match lack {
            Lack::Permission(_) => Fault::new(
                Code::PermissionDenied,
                "PERMISSION_MISSING",
                "người gọi không có quyền thực hiện việc này",
                "the caller may not do this",
            ),
            Lack::Purpose => purpose_missing(),
            Lack::Assurance(level) => Fault::new(
                Code::PermissionDenied,
                "ASSURANCE_TOO_LOW",
                "mức độ định danh điện tử của người gọi chưa đủ",
                "the caller's electronic identity is of too low a level",
            )
            .with("required", level.as_str()),
        }
        .with("permission", self.permission))
    }
}

/// The refusal of a call that does not say its purpose.
pub(crate) fn purpose_missing() -> Fault {
    Fault::new(
        Code::PermissionDenied,
        "PURPOSE_MISSING",
        "yêu cầu phải nêu mục đích (x-egov-purpose)",
        "the request must say its purpose (x-egov-purpose)",
    )
}

/// Judges calls by policies and by the present tree of units.
pub struct Access {
    policies: Policies,
    units: Arc<ArcSwap<UnitTree>>,
}

/// The rows to which one grant reaches, for one role at one unit.
enum Reach<'a> {
    All,
    Units(&'a [i32]),
    Owner(Uuid),
    Assignee(Uuid),
    Nothing,
}

impl Reach<'_> {
    fn contains(&self, row: &Resource) -> bool {
        match self {
            Self::All => true,
            Self::Units(units) => row.unit.is_some_and(|unit| units.binary_search(&unit).is_ok()),
            Self::Owner(owner) => row.owner == Some(*owner),
            Self::Assignee(assignee) => row.assignee == Some(*assignee),
            Self::Nothing => false,
        }
    }
}

/// One grant as it applies to one caller.
struct Step<'a> {
    grant: &'a Grant,
    /// Where the role is held; nothing for a built-in role.
    held: Option<&'a RoleAt>,
    /// Who delegated the role, if it is not the caller's own.
    delegator: Option<Uuid>,
    reach: Reach<'a>,
    /// The first condition on the caller that does not hold.
    failed: Option<Lack>,
}

impl Step<'_> {
    fn describe(&self, row: Option<&Resource>) -> String {
        let role = match self.held {
            Some(RoleAt {
                role,
                unit: WHOLE_PROVINCE,
            }) => format!("{role} of the whole province"),
            Some(RoleAt { role, unit }) => format!("{role} at unit {unit}"),
            None => self.grant.role.clone(),
        };
        let role = match self.delegator {
            Some(delegator) => format!("{role}, delegated by {delegator},"),
            None => role,
        };
        let outcome = match (&self.failed, row) {
            (Some(lack), _) => format!("condition {lack} does not hold"),
            (None, None) => "conditions hold".to_owned(),
            (None, Some(row)) => {
                let not = if self.reach.contains(row) { "" } else { "not " };
                match &self.reach {
                    Reach::All => "every row is reached".to_owned(),
                    Reach::Units(units) => match row.unit {
                        Some(unit) => format!("unit {unit} is {not}among its {}", units.len()),
                        None => "the row has no unit".to_owned(),
                    },
                    Reach::Owner(_) => format!("the row is {not}the caller's own"),
                    Reach::Assignee(_) => format!("the row is {not}assigned to the caller"),
                    Reach::Nothing => "no row is reached".to_owned(),
                }
            }
        };
        format!(
            "{} gives it to {role} over {}: {outcome}",
            self.grant.origin, self.grant.over
        )
    }
}

impl Access {
    /// Judges by `policies` and by whatever tree `units` holds at the time.
    pub fn new(policies: Policies, units: Arc<ArcSwap<UnitTree>>) -> Self {
        Self { policies, units }
    }

    /// The policies.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Whether the caller may do what `permission` names to the row, and why.
    pub fn decide(&self, principal: &Principal, permission: &str, row: &Resource, purpose: Option<&str>) -> Decision {
        let tree = self.units.load();
        self.judge(principal, permission, Some(row), purpose, &tree)
    }

    /// Whether the caller may do what `permission` names at all, to whatever row or none: the question that is asked
    /// before anything is loaded, and the only one for an act that is not about a row.
    pub fn admit(&self, principal: &Principal, permission: &str, purpose: Option<&str>) -> Decision {
        let tree = self.units.load();
        self.judge(principal, permission, None, purpose, &tree)
    }

    fn judge(
        &self,
        principal: &Principal,
        permission: &str,
        row: Option<&Resource>,
        purpose: Option<&str>,
        tree: &UnitTree,
    ) -> Decision {
        let mut reasons = Vec::new();
        let mut lack = None;
        let mut acting_for = None;
        for step in self.walk(principal, permission, purpose, tree) {
            reasons.push(step.describe(row));
            if row.is_none_or(|row| step.reach.contains(row)) {
                match (step.failed, step.delegator) {
                    (None, None) => return Decision::allow(permission, reasons, None),
                    // An own role that is looked at later goes first.
                    (None, delegator) => acting_for = acting_for.or(delegator),
                    (failed, _) => lack = lack.or(failed),
                }
            }
        }
        if acting_for.is_some() {
            return Decision::allow(permission, reasons, acting_for);
        }
        if reasons.is_empty() {
            reasons.push(format!("no grant gives {permission} to a role of the caller"));
        }
        let lack = lack.unwrap_or_else(|| Lack::Permission(permission.to_owned()));
        Decision {
            allowed: false,
            reasons,
            missing: Some(lack.to_string()),
            acting_for: None,
            permission: permission.to_owned(),
            lack: Some(lack),
        }
    }

    /// The rows to which the caller may do what `permission` names: for every row, [`Access::decide`] allows it exactly
    /// if the scope contains it.
    pub fn row_scope(&self, principal: &Principal, permission: &str, purpose: Option<&str>) -> RowScope {
        let tree = self.units.load();
        let mut scope = RowScope::none();
        for step in self.walk(principal, permission, purpose, &tree) {
            if step.failed.is_some() {
                continue;
            }
            match step.reach {
                Reach::All => return RowScope::everything(),
                Reach::Units(units) => scope.units.extend_from_slice(units),
                Reach::Owner(owner) => scope.owner = Some(owner),
                Reach::Assignee(assignee) => scope.assignee = Some(assignee),
                Reach::Nothing => {}
            }
        }
        scope.units.sort_unstable();
        scope.units.dedup();
        scope
    }

    /// Whether some role of the caller has the permission, whatever the rows and conditions.
    pub fn holds(&self, principal: &Principal, permission: &str) -> bool {
        let tree = self.units.load();
        self.walk(principal, permission, None, &tree).next().is_some()
    }

    /// The one walk: every grant of the permission, for every role of the caller that it names.
    fn walk<'a>(
        &'a self,
        principal: &'a Principal,
        permission: &str,
        purpose: Option<&'a str>,
        tree: &'a UnitTree,
    ) -> impl Iterator<Item = Step<'a>> {
        self.policies.giving(permission).flat_map(move |grant| {
            held_roles(principal)
                .filter(move |(role, _, _)| *role == grant.role)
                .map(move |(_, held, delegator)| Step {
                    grant,
                    held,
                    delegator,
                    reach: reach(grant, held, principal, tree),
                    failed: grant
                        .when
                        .iter()
                        .find_map(|&condition| lacking(condition, principal, purpose)),
                })
        })
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("grants", &self.policies.grants().len())
            .field("unit_tree_version", &self.units.load().version())
            .finish_non_exhaustive()
    }
}

/// The roles in the token, without built-in ones, the built-in ones of the caller's kind, and those that others delegated.
fn held_roles(principal: &Principal) -> impl Iterator<Item = (&str, Option<&RoleAt>, Option<Uuid>)> {
    let by_kind = match principal.kind {
        CallerKind::Staff => built_in::STAFF,
        CallerKind::Citizen => built_in::CITIZEN,
        CallerKind::System => built_in::SYSTEM,
    };
    let as_agent = principal.on_behalf_of.map(|_| built_in::CITIZEN_AGENT);
    let in_token = principal
        .roles
        .iter()
        .filter(|held| !built_in::ALL.contains(&held.role.as_str()))
        .map(|held| (held.role.as_str(), Some(held), None));
    let delegated = principal
        .delegated
        .iter()
        .filter(|one| !built_in::ALL.contains(&one.held.role.as_str()))
        .map(|one| (one.held.role.as_str(), Some(&one.held), Some(one.delegator)));
    in_token
        .chain([(by_kind, None, None)])
        .chain(as_agent.map(|role| (role, None, None)))
        .chain(delegated)
}

fn reach<'a>(grant: &Grant, held: Option<&'a RoleAt>, principal: &Principal, tree: &'a UnitTree) -> Reach<'a> {
    match (grant.over, held) {
        (Over::All, _) => Reach::All,
        (Over::Subtree, Some(held)) if held.unit == WHOLE_PROVINCE => Reach::All,
        (Over::Subtree, Some(held)) => Reach::Units(tree.subtree(held.unit)),
        (Over::Unit, Some(held)) if tree.contains(held.unit) => Reach::Units(std::slice::from_ref(&held.unit)),
        (Over::Subtree | Over::Unit, _) => Reach::Nothing,
        (Over::None, _) => {
            if grant.when.contains(&Condition::OwnRecord) {
                Reach::Owner(principal.record_owner())
            } else if grant.when.contains(&Condition::AssignedCase) {
                Reach::Assignee(principal.subject)
            } else {
                Reach::Nothing
            }
        }
    }
}

/// What the caller lacks for `condition`; conditions that name rows are part of the reach.
fn lacking(condition: Condition, principal: &Principal, purpose: Option<&str>) -> Option<Lack> {
    match condition {
        Condition::OwnRecord | Condition::AssignedCase => None,
        Condition::PurposeGiven => purpose.is_none().then_some(Lack::Purpose),
        Condition::AssuranceAtLeast(level) => (principal.assurance < level).then_some(Lack::Assurance(level)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DelegatedRole, OnBehalf, Unit};
    use jiff::Timestamp;

    const POLICY: &str = r#"
        [[role]]
        name = "clerk"
        title = "Công chức bộ phận một cửa"
        [[role]]
        name = "leader"
        title = "Lãnh đạo"

        [[grant]]
        role = "clerk"
        permissions = ["cases.read"]
        over = "subtree"
        when = ["purpose_given"]

        [[grant]]
        role = "leader"
        permissions = ["cases.approve"]
        over = "unit"
        when = []

        [[grant]]
        role = "staff"
        permissions = ["cases.process"]
        over = "none"
        when = ["assigned_case"]

        [[grant]]
        role = "citizen"
        permissions = ["cases.read", "cases.withdraw"]
        over = "none"
        when = ["own_record", "assurance:substantial"]

        [[grant]]
        role = "citizen_agent"
        permissions = ["cases.read"]
        over = "none"
        when = ["own_record"]

        [[grant]]
        role = "citizen"
        permissions = ["files.upload"]
        over = "none"
        when = []
    "#;

    fn access() -> Access {
        let tree = UnitTree::new(
            1,
            [
                Unit { id: 1, parent: None },
                Unit {
                    id: 10,
                    parent: Some(1),
                },
                Unit {
                    id: 11,
                    parent: Some(10),
                },
                Unit {
                    id: 20,
                    parent: Some(1),
                },
            ],
        )
        .unwrap();
        let policies = Policies::from_toml(&[("test.toml", POLICY)]).unwrap();
        Access::new(policies, Arc::new(ArcSwap::from_pointee(tree)))
    }

    fn principal(kind: CallerKind, roles: &[(&str, i32)]) -> Principal {
        Principal {
            subject: Uuid::from_u128(1),
            kind,
            issuer: "i".to_owned(),
            name_hint: None,
            unit: None,
            roles: roles
                .iter()
                .map(|(role, unit)| RoleAt {
                    role: (*role).to_owned(),
                    unit: *unit,
                })
                .collect(),
            delegated: Vec::new(),
            assurance: Assurance::Low,
            client_id: None,
            certificate: None,
            on_behalf_of: None,
            session: None,
            token_id: "t".to_owned(),
            key_id: "k".to_owned(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::MAX,
        }
    }

    fn reason(decision: Decision) -> String {
        decision.into_result().unwrap_err().reason().to_owned()
    }

    #[test]
    fn a_delegated_role_acts_in_the_delegators_name_and_an_own_one_does_not() {
        let access = access();
        let delegator = Uuid::from_u128(9);
        let mut delegatee = principal(CallerKind::Staff, &[]);
        delegatee.delegated = vec![DelegatedRole {
            held: RoleAt {
                role: "leader".to_owned(),
                unit: 20,
            },
            delegator,
        }];
        let decision = access.decide(&delegatee, "cases.approve", &Resource::of_unit(20), None);
        assert!(decision.allowed);
        assert_eq!(decision.acting_for, Some(delegator));
        assert!(decision.reasons[0].contains("delegated by"), "{:?}", decision.reasons);
        assert_eq!(access.row_scope(&delegatee, "cases.approve", None).units, [20]);
        delegatee.roles = vec![RoleAt {
            role: "leader".to_owned(),
            unit: 20,
        }];
        let own = access.decide(&delegatee, "cases.approve", &Resource::of_unit(20), None);
        assert_eq!((own.allowed, own.acting_for), (true, None));
    }

    #[test]
    fn a_clerk_reads_the_units_below_and_not_the_neighbours() {
        let access = access();
        let clerk = principal(CallerKind::Staff, &[("clerk", 10)]);
        let purpose = Some("case_processing");
        assert!(
            access
                .decide(&clerk, "cases.read", &Resource::of_unit(11), purpose)
                .allowed
        );
        let refused = access.decide(&clerk, "cases.read", &Resource::of_unit(20), purpose);
        assert_eq!(refused.missing.as_deref(), Some("cases.read"));
        assert_eq!(
            refused.reasons,
            ["test.toml, grant 1 gives it to clerk at unit 10 over subtree: unit 20 is not among its 2"]
        );
        assert_eq!(access.row_scope(&clerk, "cases.read", purpose).units, [10, 11]);
    }

    #[test]
    fn without_a_purpose_the_purpose_is_what_is_missing_only_where_it_would_help() {
        let access = access();
        let clerk = principal(CallerKind::Staff, &[("clerk", 10)]);
        let near = access.decide(&clerk, "cases.read", &Resource::of_unit(11), None);
        assert_eq!(reason(near), "PURPOSE_MISSING");
        let far = access.decide(&clerk, "cases.read", &Resource::of_unit(20), None);
        assert_eq!(reason(far), "PERMISSION_MISSING");
        assert_eq!(reason(access.admit(&clerk, "cases.read", None)), "PURPOSE_MISSING");
        assert!(access.row_scope(&clerk, "cases.read", None).is_none());
    }

    #[test]
    fn over_unit_excludes_what_lies_below() {
        let access = access();
        let leader = principal(CallerKind::Staff, &[("leader", 10)]);
        assert!(
            access
                .decide(&leader, "cases.approve", &Resource::of_unit(10), None)
                .allowed
        );
        assert!(
            !access
                .decide(&leader, "cases.approve", &Resource::of_unit(11), None)
                .allowed
        );
    }

    #[test]
    fn a_role_of_the_whole_province_reaches_every_row_by_subtree_and_none_by_unit() {
        let access = access();
        let everywhere = principal(CallerKind::Staff, &[("clerk", 0), ("leader", 0)]);
        assert_eq!(
            access.row_scope(&everywhere, "cases.read", Some("inspection")),
            RowScope::everything()
        );
        assert!(access.row_scope(&everywhere, "cases.approve", None).is_none());
    }

    #[test]
    fn a_role_at_a_unit_that_the_tree_does_not_know_reaches_nothing() {
        let access = access();
        let lost = principal(CallerKind::Staff, &[("clerk", 99), ("leader", 99)]);
        assert!(access.row_scope(&lost, "cases.read", Some("x")).is_none());
        assert!(access.row_scope(&lost, "cases.approve", None).is_none());
    }

    #[test]
    fn a_citizen_reaches_own_records_if_identified_surely_enough() {
        let access = access();
        let mut citizen = principal(CallerKind::Citizen, &[]);
        let own = Resource::of_owner(citizen.subject);
        assert_eq!(
            reason(access.decide(&citizen, "cases.read", &own, None)),
            "ASSURANCE_TOO_LOW"
        );
        citizen.assurance = Assurance::High;
        assert!(access.decide(&citizen, "cases.read", &own, None).allowed);
        let other = Resource::of_owner(Uuid::from_u128(2));
        assert_eq!(
            reason(access.decide(&citizen, "cases.read", &other, None)),
            "PERMISSION_MISSING"
        );
    }

    #[test]
    fn a_system_for_a_citizen_reaches_the_citizens_records_and_alone_none() {
        let access = access();
        let mut system = principal(CallerKind::System, &[]);
        assert!(access.row_scope(&system, "cases.read", None).is_none());
        assert!(!access.holds(&system, "cases.read"));
        let citizen = Uuid::from_u128(7);
        system.on_behalf_of = Some(OnBehalf {
            subject: citizen,
            assurance: Assurance::Low,
        });
        let scope = access.row_scope(&system, "cases.read", None);
        assert_eq!(
            scope,
            RowScope {
                owner: Some(citizen),
                ..RowScope::none()
            }
        );
    }

    #[test]
    fn built_in_roles_in_a_token_give_nothing() {
        let access = access();
        let pretender = principal(CallerKind::Staff, &[("citizen_agent", 0), ("citizen", 0)]);
        assert!(!access.holds(&pretender, "cases.read"));
    }

    #[test]
    fn an_officer_reaches_what_is_assigned() {
        let access = access();
        let officer = principal(CallerKind::Staff, &[]);
        let row = Resource {
            unit: Some(20),
            owner: None,
            assignee: Some(officer.subject),
        };
        assert!(access.decide(&officer, "cases.process", &row, None).allowed);
        assert_eq!(
            access.row_scope(&officer, "cases.process", None).assignee,
            Some(officer.subject)
        );
    }

    #[test]
    fn a_permission_without_rows_admits_and_reaches_nothing() {
        let access = access();
        let citizen = principal(CallerKind::Citizen, &[]);
        assert!(access.admit(&citizen, "files.upload", None).allowed);
        assert!(access.row_scope(&citizen, "files.upload", None).is_none());
        assert!(
            !access
                .decide(&citizen, "files.upload", &Resource::default(), None)
                .allowed
        );
    }

    #[test]
    fn a_caller_without_the_permission_is_told_which_one() {
        let access = access();
        let clerk = principal(CallerKind::Staff, &[("clerk", 10)]);
        let decision = access.admit(&clerk, "cases.approve", None);
        assert_eq!(
            decision.reasons,
            ["no grant gives cases.approve to a role of the caller"]
        );
        let fault = decision.into_result().unwrap_err();
        assert_eq!(fault.code(), Code::PermissionDenied);
        assert_eq!(
            fault.metadata().get("permission").map(String::as_str),
            Some("cases.approve")
        );
    }

    #[test]
    fn a_new_tree_counts_at_once() {
        let units = Arc::new(ArcSwap::from_pointee(UnitTree::default()));
        let policies = Policies::from_toml(&[("test.toml", POLICY)]).unwrap();
        let access = Access::new(policies, Arc::clone(&units));
        let clerk = principal(CallerKind::Staff, &[("clerk", 10)]);
        assert!(access.row_scope(&clerk, "cases.read", Some("x")).is_none());
        let tree = UnitTree::new(2, [Unit { id: 10, parent: None }]).unwrap();
        units.store(Arc::new(tree));
        assert_eq!(access.row_scope(&clerk, "cases.read", Some("x")).units, [10]);
    }
}
