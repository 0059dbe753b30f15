//! GetProcedure, ListProcedures, SearchProcedures: public by law.

use egov_auth::RowScope;
use egov_codes::fold;
use egov_database::Page;
use jiff::civil::Date;

use super::OneStop;
use crate::error::Error;
use crate::store::procedures::{self, Filter, Versioned};

impl OneStop {
    /// The version of a procedure in force on a day, today if none is given.
    pub(crate) async fn get_procedure(&self, procedure_code: &str, on: Option<Date>) -> Result<Versioned, Error> {
        let on = on.unwrap_or_else(|| self.clock.today());
        self.database
            .read(&RowScope::none(), async |connection| {
                Ok::<_, Error>(procedures::in_force(connection, procedure_code, on).await?)
            })
            .await?
            .ok_or_else(|| Error::ProcedureNotFound(procedure_code.to_owned()))
    }

    /// One page of the procedures in force today, by code.
    pub(crate) async fn list_procedures(
        &self,
        filter: Filter,
        page: Page<String>,
    ) -> Result<(Vec<Versioned>, String), Error> {
        let today = self.clock.today();
        let after = page.after().cloned().unwrap_or_default();
        let limit = page.fetch();
        let rows = self
            .database
            .read(&RowScope::none(), async |connection| {
                Ok::<_, Error>(procedures::list(connection, today, &filter, &after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| row.procedure.code.to_string())?)
    }
}

/// What a search text narrows the list to: the beginning of a code, or words of the name without diacritics.
pub(crate) fn search_filter(query: &str) -> Filter {
    let text = query.trim();
    if text.starts_with(|first: char| first.is_ascii_digit()) && text.contains('.') {
        return Filter {
            code: Some(text.to_owned()),
            ..Filter::default()
        };
    }
    let words = fold(text)
        .to_lowercase()
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    Filter {
        words,
        ..Filter::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_by_code_or_by_words_without_diacritics() {
        assert_eq!(search_filter(" 1.0011 ").code.as_deref(), Some("1.0011"));
        assert_eq!(search_filter("Đăng ký khai SINH").words, ["dang", "ky", "khai", "sinh"]);
    }

    #[test]
    fn a_wildcard_is_no_word() {
        assert!(search_filter("%_\\").words.is_empty());
    }
}
