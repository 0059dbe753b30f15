//! Gói thủ tục hành chính: a procedure as dated data.
//!
//! A pack is one TOML file (`deploy/packs/procedures/<code>.toml`), read strictly: an unknown key, a condition that
//! nobody defines, a settled time without a unit are errors at import and not at a counter. Each thing that the law
//! says – a time, a fee, a component, a result, a legal basis, the day from which the version is in force – carries
//! a [`Fact`]: **confirmed** by a source, **unconfirmed**, or **decided** by somebody on some day on some basis.
//!
//! What is unconfirmed becomes usable only by a visible decision ([`Decisions`], [`apply_decisions`]). Whether a
//! procedure may be offered at all depends on the [`Profile`]: production wants every fact settled, and takes no
//! decision that was made for a demonstration.
//!
//! ```
//! # use egov_onestop::domain::pack::{Channel, Decisions, Procedure, Profile, apply_decisions};
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/packs/procedures");
//! # let pack = std::fs::read_to_string(format!("{folder}/1.001193.toml"))?;
//! # let demo = std::fs::read_to_string(format!("{folder}/decisions/demo.toml"))?;
//! let mut birth = Procedure::from_toml(&pack)?;
//! assert!(birth.publishable(Profile::Demo).is_err()); // how long it takes is not known for sure
//!
//! apply_decisions(&mut birth, &Decisions::from_toml(&demo)?)?;
//! assert!(birth.publishable(Profile::Demo).is_ok());
//! assert!(birth.publishable(Profile::Production).is_err());
//!
//! let conditions = birth.conditions_for(Channel::Online, &[]);
//! let missing = birth.missing_components(&conditions, &[("mau_dien_tu", false)]);
//! assert_eq!(missing[0].any_of, ["giay_chung_sinh", "van_ban_lam_chung", "giay_cam_doan"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod catalogue;
#[cfg(test)]
mod catalogue_tests;
mod check;
mod decisions;
mod facts;
mod procedure;
mod rules;
#[cfg(test)]
mod tests;

pub use catalogue::{CatalogueError, Catalogued, Entry, FEE, LineFault, Manifest, ReadLine, read_lines};
pub(crate) use check::flaw_in_vietnamese;
pub use check::{Flaw, PackError};
pub use decisions::{
    Decision, Decisions, FeeDecision, NewComponent, NewLegalBasis, NewResult, Subject, TimeDecision, apply_decisions,
};
pub use facts::{Fact, FactKind, FactStatus, OpenFact, Profile, ToDecide};
pub use procedure::{
    ApplicantKind, Channel, ChannelOffer, Component, Condition, Fee, FeeKind, LegalBasis, Level, Procedure, ResultKind,
    Sector, SpecialTime, Step, StepTime, Time, TimeUnit,
};
pub use rules::{ConditionFault, MissingComponent, MissingReason, Requirement};
