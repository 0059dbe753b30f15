//! What a rule says of what it judged: a violation, which stands in the way, or a question, which the officer answers.

use egov_calendar::{Origin, Status};
use serde::Serialize;

use super::entry::Settled;

/// What a rule rests on, as it is told with every finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Basis {
    /// Điều luật; empty for what no law says but the shape of the data.
    pub article: String,
    /// How far it is established; none for the shape of the data.
    pub status: Option<Status>,
}

impl Basis {
    /// The shape of the data: no article.
    pub const SHAPE: Self = Self {
        article: String::new(),
        status: None,
    };
}

impl From<&Origin> for Basis {
    fn from(origin: &Origin) -> Self {
        Self {
            article: origin.legal_basis.clone(),
            status: Some(origin.status),
        }
    }
}

/// What stands in the way. Its texts name no person and repeat no number: they leave the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule, a word that stays the same.
    pub code: &'static str,
    /// Path of the field that it is about.
    pub field: String,
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
    /// What it rests on.
    pub basis: Basis,
}

impl Violation {
    /// A violation of what the data must look like.
    pub fn of_shape(
        code: &'static str,
        field: impl Into<String>,
        vi: impl Into<String>,
        en: impl Into<String>,
    ) -> Self {
        Self {
            code,
            field: field.into(),
            vi: vi.into(),
            en: en.into(),
            basis: Basis::SHAPE,
        }
    }

    /// A violation of a rule of law.
    pub fn of_law(
        code: &'static str,
        field: impl Into<String>,
        origin: &Origin,
        vi: impl Into<String>,
        en: impl Into<String>,
    ) -> Self {
        Self {
            basis: origin.into(),
            ..Self::of_shape(code, field, vi, en)
        }
    }
}

/// What the law leaves to the officer, or what the data cannot tell. It does not stand in the way: it asks for a decision that is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Question {
    /// The rule, a word that stays the same; the decision names it.
    pub code: &'static str,
    /// Path of the field that it is about.
    pub field: String,
    /// Vietnamese.
    pub vi: String,
    /// English.
    pub en: String,
    /// What it rests on.
    pub basis: Basis,
}

/// The officer's answer to a question (quyết định của công chức), kept with the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The question.
    pub code: String,
    /// The field that the question was about.
    pub field: String,
    /// True if registering goes on.
    pub proceed: bool,
    /// Why: never empty.
    pub reason: String,
}

/// Everything that rules said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// What stands in the way: every violation.
    pub violations: Vec<Violation>,
    /// What is asked: every question.
    pub questions: Vec<Question>,
}

impl Findings {
    /// Nothing found.
    pub fn is_clear(&self) -> bool {
        self.violations.is_empty() && self.questions.is_empty()
    }

    /// Adds what another rule said.
    pub fn join(&mut self, other: Self) {
        self.violations.extend(other.violations);
        self.questions.extend(other.questions);
    }

    /// Adds a violation of a rule of law.
    pub fn violate(&mut self, code: &'static str, field: &str, origin: &Origin, (vi, en): (String, String)) {
        self.violations.push(Violation::of_law(code, field, origin, vi, en));
    }

    /// Asks.
    pub fn ask(&mut self, code: &'static str, field: &str, origin: &Origin, (vi, en): (String, String)) {
        self.questions.push(Question {
            code,
            field: field.to_owned(),
            vi,
            en,
            basis: origin.into(),
        });
    }

    /// What still stands in the way when the officer has decided so: all violations, each question without a decision, and each that was
    /// decided against or without a reason. Registering may go on if nothing is left.
    pub fn left_by(&self, decisions: &[Decision]) -> Vec<Violation> {
        let mut left = self.violations.clone();
        for question in &self.questions {
            let decision = decisions
                .iter()
                .find(|decision| decision.code == question.code && decision.field == question.field);
            let (code, vi, en) = match decision {
                Some(decision) if decision.reason.trim().is_empty() => (
                    "decision_without_reason",
                    "quyết định phải nêu lý do",
                    "a decision gives its reason",
                ),
                Some(decision) if decision.proceed => continue,
                Some(_) => (
                    "decided_against",
                    "công chức đã quyết định không đăng ký",
                    "the officer decided against registering",
                ),
                // By this code it is answered.
                None => (
                    question.code,
                    "cần ghi nhận quyết định của công chức",
                    "a decision of the officer has to be recorded",
                ),
            };
            left.push(Violation {
                code,
                field: question.field.clone(),
                vi: format!("{vi}: {}", question.vi),
                en: format!("{en}: {}", question.en),
                basis: question.basis.clone(),
            });
        }
        left
    }

    /// What was settled by these decisions.
    ///
    /// # Errors
    /// What is left in the way: of a question that nobody answered by its own code, by which it is answered; and answers to what nobody asks.
    pub fn settled_by(&self, decisions: &[Decision]) -> Result<Vec<Settled>, Vec<Violation>> {
        let mut left = self.left_by(decisions);
        let mut settled = Vec::new();
        for question in &self.questions {
            let answer = decisions
                .iter()
                .find(|decision| decision.code == question.code && decision.field == question.field);
            if let Some(decision) = answer {
                settled.push(Settled {
                    code: question.code.to_owned(),
                    field: question.field.clone(),
                    vi: question.vi.clone(),
                    en: question.en.clone(),
                    reason: decision.reason.clone(),
                });
            }
        }
        for (place, decision) in decisions.iter().enumerate() {
            let is_asked = self
                .questions
                .iter()
                .any(|question| decision.code == question.code && decision.field == question.field);
            if !is_asked {
                left.push(Violation::of_shape(
                    "decision_not_asked",
                    format!("decisions[{place}]"),
                    "không có câu hỏi này",
                    "nobody asks this",
                ));
            }
        }
        if left.is_empty() { Ok(settled) } else { Err(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(proceed: bool, reason: &str) -> Decision {
        Decision {
            code: "late".to_owned(),
            field: "death".to_owned(),
            proceed,
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn a_question_is_settled_by_a_decision_with_a_reason_and_by_nothing_else() {
        let mut findings = Findings::default();
        findings.questions.push(Question {
            code: "late",
            field: "death".to_owned(),
            vi: "quá hạn".to_owned(),
            en: "late".to_owned(),
            basis: Basis::SHAPE,
        });
        let left = |decisions: &[Decision]| {
            findings
                .left_by(decisions)
                .iter()
                .map(|one| one.code)
                .collect::<Vec<_>>()
        };
        assert_eq!(left(&[]), ["late"]);
        assert_eq!(left(&[decision(true, "  ")]), ["decision_without_reason"]);
        assert_eq!(left(&[decision(false, "thiếu chứng cứ")]), ["decided_against"]);
        assert!(left(&[decision(true, "đã xác minh")]).is_empty());
    }

    #[test]
    fn no_decision_settles_a_violation() {
        let mut findings = Findings::default();
        findings.violations.push(Violation::of_shape("late", "death", "x", "x"));
        assert_eq!(findings.left_by(&[decision(true, "đã xác minh")]).len(), 1);
    }
}
