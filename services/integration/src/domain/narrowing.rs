//! What was granted and never used.

use std::collections::BTreeSet;

use super::terms::Terms;

/// A method with what of it was never used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unused {
    pub(crate) method: String,
    /// The method itself was never called; its fields are not named then.
    pub(crate) never_called: bool,
    /// Paths of its mask that never left.
    pub(crate) fields: Vec<String>,
}

/// What of the terms was never used. `used` holds (method, field), with the empty field for the call itself. A path of a
/// mask counts as used if it left, or anything below it.
pub(crate) fn unused(terms: &Terms, used: &BTreeSet<(String, String)>) -> Vec<Unused> {
    let mut found = Vec::new();
    for (method, of) in &terms.methods {
        let of_method = || {
            used.iter()
                .filter(|(name, _)| name == method)
                .map(|(_, field)| field.as_str())
        };
        if of_method().next().is_none() {
            found.push(Unused {
                method: method.clone(),
                never_called: true,
                fields: Vec::new(),
            });
            continue;
        }
        let left = |path: &str| {
            of_method().any(|field| {
                field
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let fields: Vec<String> = of.mask.iter().filter(|path| !left(path)).cloned().collect();
        if !fields.is_empty() {
            found.push(Unused {
                method: method.clone(),
                never_called: false,
                fields,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::permit::MethodTerms;
    use super::super::terms::tests::terms;
    use super::*;

    #[test]
    fn only_what_never_left_is_named() {
        let mask = ["person.name", "person.address", "person.addresses"].map(str::to_owned);
        let mut granted = terms(
            "demo.v1.People/Get",
            MethodTerms {
                predicates: Vec::new(),
                mask: mask.to_vec(),
            },
        );
        granted
            .methods
            .insert("demo.v1.People/List".to_owned(), MethodTerms::default());
        let get = |field: &str| ("demo.v1.People/Get".to_owned(), field.to_owned());
        let used = BTreeSet::from([get(""), get("person.addresses.ward"), get("person.name")]);
        let found = unused(&granted, &used);
        assert_eq!(found[0].fields, ["person.address"]);
        assert!(!found[0].never_called && found[1].never_called);
        assert_eq!(found[1].method, "demo.v1.People/List");
        assert_eq!(unused(&granted, &BTreeSet::new()).len(), 2);
    }
}
