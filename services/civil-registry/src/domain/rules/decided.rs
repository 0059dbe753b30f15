//! Quyết định về quy tắc chưa được xác nhận: what somebody answers for, so that production may rest on a rule whose text nobody has read.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Rules;

/// A decision that a rule of a pack is used as it stands there, though it is unconfirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDecision {
    /// The name of the pack.
    pub pack: String,
    /// The table of the rule in it, as `marriage_age`.
    pub rule: String,
    /// Who decided: name and title.
    pub decided_by: String,
    /// The day of the decision.
    pub decided_on: Date,
}

/// Everything that keeps production from resting on these packs: unconfirmed rules of which nobody has decided, and decisions that are none. Empty if there
/// is nothing.
pub fn undecided<'a>(
    packs: impl IntoIterator<Item = &'a Rules>,
    decisions: &[RuleDecision],
    today: Date,
) -> Vec<String> {
    let mut open: BTreeSet<(&str, &str)> = BTreeSet::new();
    for rules in packs {
        open.extend(rules.open().into_iter().map(|rule| (rules.name.as_str(), rule)));
    }
    let mut flaws = Vec::new();
    let mut decided = BTreeSet::new();
    for decision in decisions {
        let RuleDecision { pack, rule, .. } = decision;
        let of = (pack.as_str(), rule.as_str());
        if !open.contains(&of) {
            flaws.push(format!(
                "{pack}, {rule}: nothing is to be decided there / không có gì phải quyết định"
            ));
        }
        if !decided.insert(of) {
            flaws.push(format!("{pack}, {rule}: decided twice / quyết định hai lần"));
        }
        if decision.decided_by.trim().is_empty() {
            flaws.push(format!("{pack}, {rule}: decided_by is empty / thiếu người quyết định"));
        }
        if decision.decided_on > today {
            flaws.push(format!(
                "{pack}, {rule}: decided_on is after today / ngày quyết định sau hôm nay"
            ));
        }
    }
    for (pack, rule) in open.difference(&decided) {
        flaws.push(format!(
            "{pack}, {rule}: unconfirmed and not decided / chưa được xác nhận và chưa có quyết định"
        ));
    }
    flaws
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn rules() -> Rules {
        Rules::from_toml(include_str!(
            "../../../../../deploy/packs/civil-registry/rules-2025.toml"
        ))
        .unwrap()
    }

    fn decision(rule: &str) -> RuleDecision {
        RuleDecision {
            pack: "rules-2025".to_owned(),
            rule: rule.to_owned(),
            decided_by: "Hồ Văn A, Giám đốc Sở Tư pháp".to_owned(),
            decided_on: date(2026, 11, 1),
        }
    }

    #[test]
    fn every_unconfirmed_rule_needs_a_decision_that_somebody_took() {
        let (rules, today) = (rules(), date(2026, 11, 23));
        let open = rules.open();
        assert!(open.contains(&"marriage_age") && !open.contains(&"birth_term"));
        let named = undecided([&rules], &[], today);
        assert_eq!(named.len(), open.len());
        assert!(
            named
                .iter()
                .any(|flaw| flaw.starts_with("rules-2025, marriage_age: unconfirmed"))
        );

        let all: Vec<RuleDecision> = open.iter().map(|rule| decision(rule)).collect();
        assert_eq!(undecided([&rules], &all, today), Vec::<String>::new());
        assert_eq!(undecided([&rules], &all, date(2026, 10, 31)).len(), all.len());

        let mut nobody = all.clone();
        for one in &mut nobody {
            one.decided_by = " ".to_owned();
        }
        assert_eq!(undecided([&rules], &nobody, today).len(), all.len());
        for wrong in [decision("birth_term"), decision("no_rule"), all[0].clone()] {
            let with = [all.clone(), vec![wrong]].concat();
            assert_eq!(undecided([&rules], &with, today).len(), 1);
        }
    }
}
