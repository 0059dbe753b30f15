//! Tìm người: the words of a name as they are kept and as they are looked for. Both go through the same spelling ([`spelling`]): `Lý`, `Lí` and `ly`
//! are one word, and so are `Hòa` and `Hoà`.

use super::matching::spelling;
use super::person::PersonName;

/// The words that are in many names, the most frequent first. Which of them a search walks is decided by this order and by nothing else.
const FREQUENT: [&str; 40] = [
    "nguyen", "thi", "cong", "van", "tran", "thanh", "ngoc", "le", "hoang", "minh", "pham", "phuong", "duc", "anh",
    "thu", "hong", "phan", "quang", "kim", "dinh", "thuy", "quynh", "mai", "huu", "xuan", "tuan", "khanh", "hoai",
    "duy", "thao", "trang", "quoc", "linh", "dung", "vo", "dang", "bui", "vu", "ho", "hung",
];

/// The words of a name in their order of letters, each once.
pub fn words(name: &PersonName) -> Vec<String> {
    let syllables = spelling::syllables(name.as_str());
    let mut words: Vec<String> = syllables
        .iter()
        .map(|syllable| syllable.bare().to_owned())
        .filter(|word| !word.is_empty())
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// All words of a name as they are kept beside each of them: each between spaces of its own, so that a pattern finds whole words only.
pub fn beside(words: &[String]) -> String {
    words.iter().flat_map(|word| [" ", word.as_str(), " "]).collect()
}

/// What a name that is looked for asks of names.
#[derive(Clone, PartialEq, Eq)]
pub struct WantedWords {
    /// The word that is walked: the rarest of the name.
    pub lead: String,
    /// What the words beside it are like (LIKE): all those of the name, in their order of letters.
    pub pattern: String,
}

impl WantedWords {
    /// Of a name, or of some words of one. None if no word is in it.
    pub fn of(name: &PersonName) -> Option<Self> {
        let words = words(name);
        let rank = |word: &str| FREQUENT.iter().position(|frequent| *frequent == word);
        let lead = words
            .iter()
            .max_by_key(|word| (rank(word).unwrap_or(FREQUENT.len()), word.chars().count()))?;
        // A name consists of letters: nothing in it means anything in a pattern.
        let pattern: String = words.iter().flat_map(|word| ["% ", word.as_str(), " "]).collect();
        Some(Self {
            lead: lead.clone(),
            pattern: format!("{pattern}%"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> PersonName {
        PersonName::read(text).unwrap()
    }

    /// What LIKE does with a pattern of whole words.
    fn is_like(text: &str, pattern: &str) -> bool {
        let mut rest = text;
        for part in pattern.split('%').filter(|part| !part.is_empty()) {
            let Some((_, after)) = rest.split_once(part) else {
                return false;
            };
            rest = after;
        }
        true
    }

    #[test]
    fn the_rarest_word_is_walked() {
        for (text, lead) in [
            ("Nguyễn Thị Nhiên", "nhien"),
            ("nguyen van", "van"),
            ("Trần", "tran"),
            ("Hồ Thị Thuý", "ho"),
            ("Đặng Ất Nhường", "nhuong"),
        ] {
            assert_eq!(WantedWords::of(&name(text)).unwrap().lead, lead, "{text}");
        }
    }

    #[test]
    fn frequent_words_are_written_as_words_are_kept() {
        for word in FREQUENT {
            assert_eq!(words(&name(word)), [word]);
        }
    }

    proptest! {
        /// The slow way: every word that is looked for is one of the name.
        #[test]
        fn a_name_is_found_by_its_words_and_by_no_others(
            kept in "(Lý|Lí|Hòa|hoa|Nguyễn|Thị|An|Anh|Đ){1}( (Lý|Hoà|Nguyễn|Thị|An|Anh|Ánh|Đ)){0,5}",
            wanted in "(Ly|hoa|nguyen|thi|an|anh|d|han){1}( (ly|hoa|nguyen|thi|an|anh)){0,3}",
        ) {
            let (kept, wanted) = (name(&kept), name(&wanted));
            let all = words(&kept);
            let asked = WantedWords::of(&wanted).unwrap();
            let expected = words(&wanted).iter().all(|word| all.contains(word));
            let found = all.contains(&asked.lead) && is_like(&beside(&all), &asked.pattern);
            prop_assert_eq!(found, expected);
        }
    }
}
