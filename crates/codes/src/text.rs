use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Takes the diacritics off: `Đặng Thị Ánh` becomes `Dang Thi Anh`. Case, spaces and everything else stay.
///
/// What is stored for a search and what is searched for go through this same function.
pub fn fold(text: &str) -> String {
    text.nfd()
        .filter(|character| !is_combining_mark(*character))
        .map(|character| match character {
            // đ is a letter of its own, not d with a mark.
            'đ' => 'd',
            'Đ' => 'D',
            other => other,
        })
        .collect()
}

/// A name as it is stored: NFC, without spaces at the ends, one space between words.
pub fn normal_name(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").nfc().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_vietnamese_letter_folds_to_ascii() {
        let letters = "aàảãáạăằẳẵắặâầẩẫấậ eèẻẽéẹêềểễếệ iìỉĩíị oòỏõóọôồổỗốộơờởỡớợ uùủũúụưừửữứự yỳỷỹýỵ đ";
        assert!(fold(letters).is_ascii() && fold(&letters.to_uppercase()).is_ascii());
        assert_eq!(fold("Nguyễn Thị Hường, Đô Lương"), "Nguyen Thi Huong, Do Luong");
    }

    #[test]
    fn composed_and_decomposed_names_become_the_same() {
        let composed = "Tr\u{1ea7}n";
        let decomposed = "  Tra\u{302}\u{300}n ";
        assert_eq!(normal_name(composed), normal_name(decomposed));
        assert_eq!(fold(composed), fold(decomposed.trim()));
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,40}") {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }

        #[test]
        fn a_stored_name_is_stored_as_it_is(text in "\\PC{0,40}") {
            prop_assert_eq!(normal_name(&normal_name(&text)), normal_name(&text));
        }
    }
}
