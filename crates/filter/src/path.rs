//! How terms name a field.

/// The parts of a path: names between dots, and names of types in brackets, whose dots divide nothing
/// (`detail.[package.Type].field`). None if a part is empty, or a bracket is where none may be.
pub fn segments(path: &str) -> Option<Vec<&str>> {
    let mut found = Vec::new();
    let mut rest = path;
    loop {
        let end = match rest.strip_prefix('[') {
            Some(inside) => inside.find(']')? + 2,
            None => rest.find('.').unwrap_or(rest.len()),
        };
        let (segment, behind) = rest.split_at_checked(end)?;
        let name = type_in(segment).unwrap_or(segment);
        if name.is_empty() || name.contains(['[', ']']) {
            return None;
        }
        found.push(segment);
        if behind.is_empty() {
            return Some(found);
        }
        rest = behind.strip_prefix('.')?;
    }
}

/// The type that a part of a path names: what an Any before it holds.
pub fn type_in(segment: &str) -> Option<&str> {
    segment.strip_prefix('[')?.strip_suffix(']')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dots_in_brackets_divide_nothing() {
        assert_eq!(segments("a.b").unwrap(), ["a", "b"]);
        assert_eq!(
            segments("detail.[demo.v1.Address].ward").unwrap(),
            ["detail", "[demo.v1.Address]", "ward"]
        );
        assert_eq!(
            segments("[google.protobuf.Any].[demo.Address]").unwrap(),
            ["[google.protobuf.Any]", "[demo.Address]"]
        );
        assert_eq!(type_in("[demo.Address]"), Some("demo.Address"));
        assert_eq!(type_in("address"), None);
        for wrong in [
            "", ".", "a.", ".a", "a..b", "a.[]", "a.[b", "a.b]", "a.[b]c", "a[b]", "a.[[b]]", "[", "]",
        ] {
            assert_eq!(segments(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_divided_is_joined_to_the_same_path(path in "[a-b.\\[\\]]{0,12}") {
            if let Some(parts) = segments(&path) {
                prop_assert_eq!(parts.join("."), path);
            }
        }
    }
}
