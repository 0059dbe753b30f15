//! Bước nội bộ: how the steps inside the office map to the ten national codes. The mapping is data of the transitions pack.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::domain::pack::Step;
use crate::domain::transitions::State;

/// An internal step: phân công, thẩm định, lấy ý kiến, trình ký, vào sổ …
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InternalStep {
    /// Its code.
    pub code: String,
    /// Tên bước nội bộ.
    pub name: String,
    /// English.
    pub name_en: String,
    /// The national code under which it happens, as steps of procedures name it: the one in which a case stands when it is done.
    pub state: State,
    /// Steps of procedures that are this internal step; none for the rest of the same national code.
    #[serde(default)]
    pub steps: Vec<String>,
    /// True if the word of somebody else is awaited.
    #[serde(default)]
    pub waits: bool,
}

/// What is wrong with the internal steps of a pack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InternalStepFault {
    /// A code, or a step of procedures, is there twice.
    #[error("internal steps: {0} is there twice")]
    Twice(String),
    /// Internal waiting never pauses the legal deadline (facts 1.5).
    #[error("internal step {code} waits in state {}, which would pause the legal deadline", state.code())]
    WaitingPauses {
        /// The step.
        code: String,
        /// Its national code.
        state: State,
    },
}

/// Demands that every code and every step stands once, and that no internal waiting pauses the clock.
pub fn check_internal(steps: &[InternalStep]) -> Result<(), InternalStepFault> {
    let (mut codes, mut listed) = (BTreeSet::new(), BTreeSet::new());
    for step in steps {
        if !codes.insert(&step.code) {
            return Err(InternalStepFault::Twice(step.code.clone()));
        }
        if let Some(twice) = step.steps.iter().find(|code| !listed.insert(*code)) {
            return Err(InternalStepFault::Twice(twice.clone()));
        }
        if step.waits && step.state.pauses_clock() {
            return Err(InternalStepFault::WaitingPauses {
                code: step.code.clone(),
                state: step.state,
            });
        }
    }
    Ok(())
}

/// The internal step that a step of a procedure is; none if the pack has none for it.
pub fn internal_of<'a>(internal: &'a [InternalStep], step: &Step) -> Option<&'a InternalStep> {
    internal
        .iter()
        .find(|candidate| candidate.steps.contains(&step.code))
        .or_else(|| {
            internal
                .iter()
                .find(|candidate| candidate.steps.is_empty() && candidate.state == step.state)
        })
}

/// The internal step in which opinions are asked for.
pub fn consulting(internal: &[InternalStep]) -> Option<&InternalStep> {
    internal.iter().find(|step| step.waits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transitions::Transitions;

    const NATIONAL: &str = include_str!("../../../../../deploy/packs/transitions/national-2026.toml");

    #[test]
    fn every_step_is_an_internal_step_of_its_own_national_code() {
        let transitions = Transitions::from_toml(NATIONAL).unwrap();
        let internal = transitions.internal_steps();
        for (code, state, expected) in [
            ("tiep_nhan", 2, "tiep_nhan"),
            ("tham_tra", 4, "tham_dinh"),
            ("kiem_tra", 4, "tham_dinh"),
            ("lay_y_kien", 4, "lay_y_kien"),
            ("trinh_ky", 4, "trinh_ky"),
            ("ghi_so", 4, "vao_so"),
            ("nghia_vu_tai_chinh", 6, "nghia_vu_tai_chinh"),
            ("duyet", 9, "ky"),
            ("trao", 10, "tra_ket_qua"),
        ] {
            let step: Step =
                serde_json::from_value(serde_json::json!({ "code": code, "name": "", "role": "", "state": state }))
                    .unwrap();
            let found = internal_of(internal, &step).unwrap();
            assert_eq!((found.code.as_str(), found.state), (expected, step.state));
        }
        assert_eq!(consulting(internal).unwrap().code, "lay_y_kien");
    }
}
