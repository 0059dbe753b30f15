//! An error for people: what is wrong, and what to do about it.

use std::fmt;

use egov_fault::Fault;
use egov_postgres::PostgresError;

/// What is wrong, and what to do about it.
#[derive(Debug)]
pub(crate) struct Problem {
    what: String,
    advice: Vec<String>,
}

impl Problem {
    /// A problem with one thing to do about it.
    pub(crate) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            advice: vec![advice.into()],
        }
    }

    /// The same with one more thing to do.
    #[must_use]
    pub(crate) fn or(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// A refusal of a server, with its reason, both languages and every violation.
    pub(crate) fn refused(fault: &Fault) -> Self {
        let mut lines = vec![
            format!("{}: {}", fault.reason(), fault.en()),
            format!("  {}", fault.vi()),
        ];
        for violation in fault.violations() {
            lines.push(format!("  {} ({}): {}", violation.field, violation.rule, violation.en));
            lines.push(format!("    {}", violation.vi));
        }
        for (key, value) in fault.metadata() {
            lines.push(format!("  {key} = {value}"));
        }
        let mut advice = Vec::new();
        if let Some(wait) = fault.retry_delay() {
            advice.push(format!("try again in {} s", wait.as_secs()));
        }
        match fault.reason() {
            "TOKEN_MISSING" => {
                advice.push("say who calls: --as clerk, --as officer, --as portal … or --token T".to_owned());
            }
            "PURPOSE_MISSING" => advice.push("say what the data is read for: --purpose case_handling".to_owned()),
            _ => {}
        }
        Self {
            what: lines.join("\n"),
            advice,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

impl From<PostgresError> for Problem {
    /// Its sentences name the fault, then after a semicolon the next step.
    fn from(error: PostgresError) -> Self {
        let text = error.to_string();
        match text.split_once("; ") {
            Some((what, advice)) => Self::new(what, advice),
            None => Self {
                what: text,
                advice: Vec::new(),
            },
        }
    }
}

/// The text that is shown for an error: `error: …`, then a line with an arrow for each thing to do.
pub(crate) fn report(error: &anyhow::Error) -> String {
    let mut text = String::from("error: ");
    let mut said: Vec<String> = Vec::new();
    for cause in error.chain() {
        let this = cause.to_string();
        if !said.iter().any(|earlier| earlier.contains(&this)) {
            said.push(this);
        }
    }
    text.push_str(&said.join(": "));
    for problem in error.chain().filter_map(|cause| cause.downcast_ref::<Problem>()) {
        for advice in &problem.advice {
            text.push_str("\n  → ");
            text.push_str(advice);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_is_wrong_and_what_to_do() {
        let error = anyhow::Error::new(Problem::new("the port is taken", "choose another").or("stop the other"));
        assert_eq!(
            report(&error),
            "error: the port is taken\n  → choose another\n  → stop the other"
        );
    }

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("disk full").context("cannot write: disk full");
        assert_eq!(report(&error), "error: cannot write: disk full");
    }
}
