//! Chính tả: how a Vietnamese syllable is written, apart from what it is. `Hòa` and `Hoà`, `Lý` and `Lí`, composed and decomposed letters are one
//! syllable each; `Thúy` and `Thúi`, `Hay` and `Hai` are two.

use egov_codes::fold;
use unicode_normalization::UnicodeNormalization as _;

/// A syllable of a name.
#[derive(Clone, PartialEq, Eq)]
pub struct Syllable {
    /// Without any mark, in lower case, i for y where the two are one.
    bare: String,
    /// With its marks and, at its end, its tone, wherever that was written.
    marked: String,
}

/// How alike two syllables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// The same.
    Same,
    /// The same if one of them was written without marks.
    Unmarked,
    /// The same letters under other marks: Hương, Hường.
    OtherMarks,
    /// One letter apart.
    Typo,
    /// Another one.
    Other,
}

const fn is_tone(character: char) -> bool {
    matches!(character, '\u{300}' | '\u{301}' | '\u{303}' | '\u{309}' | '\u{323}')
}

/// Old and new spelling: y at the end is i, unless another vowel stands before it; after qu the u is none.
fn with_i(mut letters: String) -> String {
    if let Some(before) = letters.strip_suffix('y')
        && (before == "qu" || !before.contains(['a', 'e', 'i', 'o', 'u', 'y']))
    {
        letters.pop();
        letters.push('i');
    }
    letters
}

impl Syllable {
    /// Reads a word.
    pub fn read(word: &str) -> Self {
        let (mut letters, mut tone) = (String::new(), None);
        for character in word.to_lowercase().nfd() {
            if is_tone(character) {
                tone = Some(character);
            } else {
                letters.push(character);
            }
        }
        let letters = with_i(letters);
        let bare = fold(&letters);
        let mut marked = letters;
        marked.extend(tone);
        Self { bare, marked }
    }

    /// Without marks.
    pub fn bare(&self) -> &str {
        &self.bare
    }

    /// How alike another one is.
    pub fn likeness(&self, other: &Self) -> Likeness {
        if self.marked == other.marked {
            Likeness::Same
        } else if self.bare == other.bare {
            if self.marked == self.bare || other.marked == other.bare {
                Likeness::Unmarked
            } else {
                Likeness::OtherMarks
            }
        } else if is_one_apart(&self.bare, &other.bare) {
            Likeness::Typo
        } else {
            Likeness::Other
        }
    }
}

/// The syllables of a name, in their order.
pub fn syllables(name: &str) -> Vec<Syllable> {
    name.split(|character: char| character.is_whitespace() || matches!(character, '-' | '.' | '\'' | '’'))
        .filter(|word| !word.is_empty())
        .map(Syllable::read)
        .collect()
}

/// One letter more, less, or other, or two that changed places; not of words so short that everything would be.
fn is_one_apart(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (short, long) = if one.len() <= other.len() {
        (one, other)
    } else {
        (other, one)
    };
    if short.len() < 3 || long.len() - short.len() > 1 {
        return false;
    }
    let before = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    let after = short
        .iter()
        .rev()
        .zip(long.iter().rev())
        .take_while(|(a, b)| a == b)
        .count()
        .min(short.len() - before);
    if before + after + 1 >= long.len() {
        return true;
    }
    let middle = |word: &[char]| word.get(before..before + 2).map(<[char]>::to_vec);
    short.len() == long.len()
        && before + after + 2 == long.len()
        && middle(&short).is_some_and(|pair| middle(&long).is_some_and(|other| pair.iter().rev().eq(other.iter())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn likeness(one: &str, other: &str) -> Likeness {
        Syllable::read(one).likeness(&Syllable::read(other))
    }

    #[test]
    fn one_syllable_in_two_spellings_is_one() {
        for (one, other) in [
            ("Hòa", "Hoà"),
            ("Thúy", "Thuý"),
            ("Lý", "Lí"),
            ("Quý", "Quí"),
            ("Mỹ", "Mĩ"),
            ("Ý", "Í"),
            ("Trần", "TRA\u{302}\u{300}N"),
            ("Đào", "đào"),
        ] {
            assert_eq!(likeness(one, other), Likeness::Same, "{one} {other}");
        }
    }

    #[test]
    fn two_syllables_that_look_alike_are_two() {
        for (one, other, expected) in [
            ("Hòa", "Hoa", Likeness::Unmarked),
            ("Hương", "Hường", Likeness::OtherMarks),
            ("Thúy", "Thúi", Likeness::Typo),
            ("Hay", "Hai", Likeness::Typo),
            ("Huong", "Hunog", Likeness::Typo),
            ("Lan", "Loan", Likeness::Typo),
            ("An", "Anh", Likeness::Other),
            ("Minh", "Hùng", Likeness::Other),
        ] {
            assert_eq!(likeness(one, other), expected, "{one} {other}");
            assert_eq!(likeness(other, one), expected, "{other} {one}");
        }
    }

    /// The slow way: the distance by the table of Damerau and Levenshtein (neighbours that changed places count once).
    fn distance(one: &[char], other: &[char]) -> usize {
        let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
        for i in 0..=one.len() {
            for j in 0..=other.len() {
                table[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let changed = table[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                    let mut least = changed.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                    if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                        least = least.min(table[i - 2][j - 2] + 1);
                    }
                    least
                };
            }
        }
        table[one.len()][other.len()]
    }

    proptest! {
        #[test]
        fn one_apart_is_a_distance_of_one(one in "[abc]{1,6}", other in "[abc]{1,6}") {
            prop_assume!(one != other);
            let (left, right): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
            let expected = left.len().min(right.len()) >= 3 && distance(&left, &right) == 1;
            prop_assert_eq!(is_one_apart(&one, &other), expected);
        }

        #[test]
        fn any_text_is_read(name in "\\PC{0,30}") {
            for syllable in syllables(&name) {
                prop_assert_eq!(syllable.likeness(&syllable), Likeness::Same);
            }
        }
    }
}
