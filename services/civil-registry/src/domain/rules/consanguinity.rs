//! Cấm kết hôn giữa những người cùng dòng máu về trực hệ, có họ trong phạm vi ba đời; giữa cha, mẹ nuôi với con nuôi, cha chồng với con dâu, mẹ vợ
//! với con rể, cha dượng với con riêng của vợ, mẹ kế với con riêng của chồng, and between those who were it once.

use jiff::civil::Date;
use uuid::Uuid;

use super::pack::Rules;
use crate::domain::finding::Findings;
use crate::domain::kinship::{FamilyGraph, Line};

/// Whether the family graph keeps two people from marrying.
pub fn judge(rules: &Rules, graph: &FamilyGraph, one: Uuid, other: Uuid, field: &str, day: Date) -> Findings {
    let mut findings = Findings::default();
    if one == other {
        findings.violate(
            "same_person",
            field,
            &rules.consanguinity.origin,
            (
                "hai bên là cùng một người".to_owned(),
                "both are the same person".to_owned(),
            ),
        );
        return findings;
    }
    let generations = rules.consanguinity.generations;
    if graph.direct_line(one, other, day).is_some() {
        findings.violate(
            "direct_line",
            field,
            &rules.consanguinity.origin,
            (
                "hai bên cùng dòng máu về trực hệ".to_owned(),
                "the two are of one blood in the direct line".to_owned(),
            ),
        );
    } else if let Some(common) = graph.common_ancestor(one, other, generations, day) {
        let found = common.generations();
        findings.violate(
            "kin_within_generations",
            field,
            &rules.consanguinity.origin,
            (
                format!("hai bên có họ trong phạm vi {generations} đời (đời thứ {found})"),
                format!("the two are kin within {generations} generations (generation {found})"),
            ),
        );
    }
    let mut told = Vec::new();
    // What is no question comes first, so that a line that stands in both ways is told as what it is.
    let mut affinities: Vec<_> = graph.affinities(one, other, day).into_iter().collect();
    affinities.sort_by_key(|affinity| (affinity.through_adoption, !affinity.is_present));
    for affinity in affinities {
        if told.contains(&affinity.line) {
            continue;
        }
        told.push(affinity.line);
        let (code, vi, en) = match affinity.line {
            Line::Adoptive => (
                "adoptive_line",
                "cha, mẹ nuôi với con nuôi",
                "adoptive parent and adopted child",
            ),
            Line::InLaw => (
                "in_law_line",
                "cha chồng với con dâu hoặc mẹ vợ với con rể",
                "parent-in-law and child-in-law",
            ),
            Line::Step => (
                "step_line",
                "cha dượng, mẹ kế với con riêng của vợ hoặc chồng",
                "step-parent and step-child",
            ),
        };
        let (vi, en) = if affinity.is_present {
            (format!("hai bên là {vi}"), format!("the two are {en}"))
        } else {
            (format!("hai bên đã từng là {vi}"), format!("the two once were {en}"))
        };
        // The law names parents; whether adoptive parents of a spouse are such it leaves open.
        if affinity.through_adoption && affinity.line != Line::Adoptive {
            let words = (
                format!("{vi}, qua quan hệ nuôi con nuôi; cần công chức quyết định"),
                format!("{en}, through an adoption; the officer decides"),
            );
            findings.ask(code, field, &rules.affinity.origin, words);
        } else {
            findings.violate(code, field, &rules.affinity.origin, (vi, en));
        }
    }
    findings
}
