//! Thẩm quyền đăng ký hộ tịch: which authority registers, and who signs.

use super::pack::{Level, Rules};
use crate::domain::finding::Findings;

/// Who is about to decide on an event.
#[derive(Clone, Copy, Debug)]
pub struct Deciding<'a> {
    /// Cấp of the registering authority.
    pub level: Level,
    /// Its unit.
    pub unit_id: i32,
    /// Units where those whom it concerns live (thường trú, tạm trú), where the child was found, where somebody died: any of them may register.
    pub of_residence: &'a [i32],
    /// Có yếu tố nước ngoài.
    pub is_foreign: bool,
    /// Chức vụ of the signer.
    pub title: &'a str,
    /// Số văn bản uỷ quyền of a signer of another title; empty if there is none.
    pub authorisation: &'a str,
}

/// Cấp of the authority that registers.
pub const fn competent(rules: &Rules, is_foreign: bool) -> Level {
    if is_foreign {
        rules.deciding.foreign_level
    } else {
        rules.deciding.level
    }
}

/// Judges who decides.
pub fn judge(rules: &Rules, deciding: &Deciding<'_>) -> Findings {
    let mut findings = Findings::default();
    let rule = &rules.deciding;
    let level = competent(rules, deciding.is_foreign);
    if deciding.level != level {
        let words = (
            format!("việc này do Ủy ban nhân dân {} đăng ký", level.vi()),
            format!("this is registered by the People's Committee of the {}", level.en()),
        );
        findings.violate("authority_level", "unit", &rule.origin, words);
    }
    // Where people live is what they say or what another register says; a commune of another place is the officer's to judge.
    if !deciding.of_residence.contains(&deciding.unit_id) {
        let words = (
            "đơn vị đăng ký không phải nơi cư trú của các bên theo dữ liệu; cần công chức quyết định".to_owned(),
            "by the data none of those concerned lives where it is registered; the officer decides".to_owned(),
        );
        findings.ask("authority_place", "unit", &rule.origin, words);
    }
    let is_titled = rule.titles.iter().any(|title| is_title(title, deciding.title));
    if !is_titled && deciding.authorisation.trim().is_empty() {
        let titles = rule.titles.join(", ");
        let words = (
            format!("người ký không có chức vụ được ký ({titles}) và không có văn bản uỷ quyền"),
            format!("the signer has no title that signs ({titles}) and no authorisation"),
        );
        findings.violate("signer", "signer_title", &rule.origin, words);
    }
    findings
}

/// Whether somebody says this title, however it is spaced and capitalised; also with the authority beside it (Chủ tịch Uỷ ban nhân dân xã …), whose
/// name is written with the mark on either vowel.
fn is_title(title: &str, said: &str) -> bool {
    let words = |text: &str| egov_codes::normal_name(text).to_lowercase();
    let (title, said) = (words(title), words(said));
    let Some(rest) = said.strip_prefix(&title) else {
        return false;
    };
    let authority = rest.strip_prefix(' ').map(egov_codes::fold);
    rest.is_empty()
        || authority.is_some_and(|authority| {
            ["uy ban nhan dan", "ubnd"].into_iter().any(|name| {
                authority
                    .strip_prefix(name)
                    .is_some_and(|place| place.is_empty() || place.starts_with(' '))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::pack::tests::rules;

    const DECIDING: Deciding<'_> = Deciding {
        level: Level::Commune,
        unit_id: 7,
        of_residence: &[3, 7],
        is_foreign: false,
        title: "chủ  tịch",
        authorisation: "",
    };

    #[test]
    fn the_commune_of_either_residence_registers_also_with_a_foreign_element() {
        for is_foreign in [false, true] {
            assert!(judge(&rules(), &Deciding { is_foreign, ..DECIDING }).is_clear());
        }
    }

    #[test]
    fn another_level_and_another_signer_are_refused_and_another_place_is_asked_about() {
        let deciding = Deciding {
            level: Level::Province,
            unit_id: 9,
            title: "Công chức tư pháp - hộ tịch",
            ..DECIDING
        };
        let found = judge(&rules(), &deciding);
        let codes: Vec<&str> = found.violations.iter().map(|one| one.code).collect();
        assert_eq!(codes, ["authority_level", "signer"]);
        assert_eq!(found.questions[0].code, "authority_place");
        let authorised = Deciding {
            authorisation: "12/UQ-UBND",
            ..deciding
        };
        assert_eq!(judge(&rules(), &authorised).violations.len(), 1);
    }

    #[test]
    fn a_title_is_the_same_with_the_authority_beside_it_and_however_that_is_written() {
        for title in [
            "CHỦ TỊCH",
            "Chủ tịch Uỷ ban nhân dân",
            "Phó Chủ tịch Ủy ban nhân dân phường Trường Vinh",
            "chủ tịch UBND xã Đông Lộc",
        ] {
            assert!(judge(&rules(), &Deciding { title, ..DECIDING }).is_clear(), "{title}");
        }
        for title in [
            "",
            "Chủ",
            "Chủ tịch Hội đồng nhân dân",
            "Chủ tịchUBND",
            "Nguyên Chủ tịch",
            "Chủ tịch UBNDX",
        ] {
            let found = judge(&rules(), &Deciding { title, ..DECIDING });
            let [one] = found.violations.as_slice() else {
                panic!("{title}: {found:?}")
            };
            assert_eq!(one.code, "signer", "{title}");
            assert!(one.vi.contains("Chủ tịch, Phó Chủ tịch"), "{}", one.vi);
        }
    }

    #[test]
    fn a_pack_of_three_levels_sends_a_foreign_element_to_the_district() {
        let mut rules = rules();
        rules.deciding.foreign_level = Level::District;
        assert_eq!(
            (competent(&rules, true), competent(&rules, false)),
            (Level::District, Level::Commune)
        );
    }
}
