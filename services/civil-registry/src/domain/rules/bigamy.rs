//! Một vợ một chồng: nobody marries who has a spouse on the day.

use jiff::civil::Date;
use uuid::Uuid;

use super::pack::Rules;
use crate::domain::finding::Findings;
use crate::domain::kinship::FamilyGraph;

/// Whether a person has a marriage that holds on the day of another one. `field` says which of the two it is.
pub fn judge(rules: &Rules, graph: &FamilyGraph, person: Uuid, field: &str, day: Date) -> Findings {
    let mut findings = Findings::default();
    if !graph.is_unmarried_on(person, day) {
        findings.violate(
            "bigamy",
            field,
            &rules.bigamy.origin,
            (
                "đang có vợ hoặc có chồng vào ngày đăng ký kết hôn".to_owned(),
                "has a spouse on the day of the marriage".to_owned(),
            ),
        );
    }
    findings
}
