//! Định nghĩa quy trình: what a version of a procedure says beyond the published catalogue, and whether it can work.
//!
//! One model for packs and for drafts: [`Procedure`](super::pack::Procedure). What stands here is
//!
//! * the process as a **graph** of steps with branches and times (`graph`),
//! * **decision tables** for eligibility and fees, each row with its article and dates (`table`),
//! * in which **shape** a component is filed, by channel and case (`ways`), and **e-forms** (`forms`),
//! * the **linter**, which names what cannot work and where (`lint`),
//! * the text of a draft, read leniently, so that one wrong unit does not hide the other faults (`text`),
//! * the **replay** of past cases under a draft, and the **migration** of running ones (`replay`, `migrate`), with what stands for outcomes
//!   that the new version calls otherwise (`outcome_mapping`).

pub mod draft;
pub mod forms;
pub mod graph;
pub mod lint;
mod lint_parts;
mod lint_roles;
#[cfg(test)]
mod lint_tests;
mod lint_times;
pub mod migrate;
pub mod outcome_mapping;
pub mod replay;
mod table;
#[cfg(test)]
mod tests;
pub mod text;
pub mod ways;

pub use forms::Form;
pub use graph::{Branch, Done, leads_to, way_on};
pub use lint::{Context, Finding, FindingKind, Severity, Staffing, lint};
pub use table::{Asked, EligibilityRow, FeeRow, RowWhen};
pub use ways::{Reuse, Shape, Way};
