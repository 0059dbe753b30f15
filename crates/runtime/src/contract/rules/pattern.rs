//! Patterns of contracts.
//!
//! `buf.validate` patterns are RE2, so that every language's validator reads them alike. The `regex` crate has the
//! same guarantees and nearly the same syntax; where one spelling means two things it is rewritten here. The
//! important one: RE2's `\d` is `[0-9]`, the crate's takes every digit of Unicode, and a personal number in
//! Devanagari digits must not pass.

use regex::Regex;

/// Compiles a pattern with the meaning that RE2 gives it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let spelled = respell(pattern)?;
    Regex::new(&spelled).map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("the pattern needs more than {limit} bytes")
        }
        other => format!("the pattern does not compile: {other}"),
    })
}

fn respell(pattern: &str) -> Result<String, String> {
    let mut spelled = String::with_capacity(pattern.len() + 16);
    let mut letters = pattern.chars().peekable();
    let mut in_class = false;
    // The first letter of a class may be a closing bracket that stands for itself.
    let mut class_start = false;
    while let Some(letter) = letters.next() {
        let first_in_class = std::mem::take(&mut class_start);
        match letter {
            '\\' => match letters.next() {
                Some('d') => spelled.push_str("[0-9]"),
                Some('D') => spelled.push_str("[^0-9]"),
                Some('w') => spelled.push_str("[0-9A-Za-z_]"),
                Some('W') => spelled.push_str("[^0-9A-Za-z_]"),
                Some('s') => spelled.push_str(r"[\t\n\f\r ]"),
                Some('S') => spelled.push_str(r"[^\t\n\f\r ]"),
                Some('b') if !in_class => spelled.push_str(r"(?-u:\b)"),
                Some(other @ ('B' | 'C' | 'Q' | 'E')) => {
                    return Err(format!(r"\{other} is not supported in a pattern"));
                }
                Some(other) => {
                    spelled.push('\\');
                    spelled.push(other);
                }
                None => return Err("the pattern ends in a backslash".to_owned()),
            },
            '[' if !in_class => {
                in_class = true;
                class_start = true;
                spelled.push('[');
                if letters.peek() == Some(&'^') {
                    letters.next();
                    spelled.push('^');
                }
            }
            // RE2 knows named classes inside a class, and otherwise a bracket that stands for itself; the crate would
            // begin a class within the class.
            '[' => match letters.peek() {
                Some(':') => {
                    spelled.push('[');
                    for inner in letters.by_ref() {
                        spelled.push(inner);
                        if inner == ']' {
                            break;
                        }
                    }
                }
                _ => spelled.push_str(r"\["),
            },
            ']' if in_class && first_in_class => spelled.push_str(r"\]"),
            ']' => {
                in_class = false;
                spelled.push(']');
            }
            // `&&` and `~~` are operations on classes in the crate.
            '&' | '~' if in_class => {
                spelled.push('\\');
                spelled.push(letter);
            }
            '-' if in_class && letters.peek() == Some(&'-') => {
                return Err("two hyphens in a class read differently in RE2".to_owned());
            }
            other => spelled.push(other),
        }
    }
    Ok(spelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_ascii_digits() {
        let number = compile(r"^\d{3}$").unwrap();
        assert!(number.is_match("123"));
        assert!(!number.is_match("१२३"));
        let word = compile(r"^[\w-]+$").unwrap();
        assert!(word.is_match("a-b_9"));
        assert!(!word.is_match("Đ"));
        assert!(compile(r"^\D$").unwrap().is_match("१"));
        assert!(compile(r"^[^\d]$").unwrap().is_match("x"));
        assert!(!compile(r"^[^\d]$").unwrap().is_match("7"));
    }

    #[test]
    fn brackets_and_ampersands_in_a_class_stand_for_themselves() {
        let class = compile("^[[&~]+$").unwrap();
        assert!(class.is_match("[&&~~"));
        assert!(compile("^[]a]+$").unwrap().is_match("]a"));
        assert!(compile("^[^]]$").unwrap().is_match("x"));
        assert!(compile("^[[:alpha:]]+$").unwrap().is_match("ab"));
    }

    #[test]
    fn letters_of_vietnamese_can_be_named_by_their_class() {
        assert!(compile(r"^\p{L}[\p{L} ]*$").unwrap().is_match("Nguyễn Thị Đào"));
    }

    #[test]
    fn an_end_is_the_end_of_the_text() {
        assert!(!compile("^a$").unwrap().is_match("a\n"));
    }

    #[test]
    fn what_cannot_be_read_alike_is_refused() {
        for bad in [r"a\", r"a\Bb", r"\Qa.b\E", "[a--b]", "(", "[z-a]"] {
            assert!(compile(bad).is_err(), "{bad}");
        }
    }
}
