//! Dịch vụ công liên thông: one application, several procedures of several agencies (NĐ 63/2024/NĐ-CP; facts 1.7).
//!
//! * [`pack`]: a linked service as dated data, with its linter;
//! * [`case`]: the application (hồ sơ liên thông) and its members, without anything personal;
//! * [`plan`]: what follows from where the members stand. Pure: the same members always give the same next actions, so that whoever
//!   was interrupted goes on from what is stored.

pub mod case;
mod lint;
pub mod pack;
pub mod plan;
#[cfg(test)]
mod tests;

pub use case::{CaseStand, Effect, EffectKind, LinkedCase, LinkedState, Member, MemberState};
pub use lint::{Finding, lint};
pub use pack::{Decisions, Ended, LinkedPackError, LinkedService, MemberRule, Owner, Then, WrongMember};
pub use plan::{Action, next_actions};
