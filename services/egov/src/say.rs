//! What the command says: results to standard output, everything else to standard error.

use std::io::{self, Write as _};

/// A line of the result. A closed pipe (`| head`) is no fault.
pub(crate) fn line(text: impl AsRef<str>) {
    let _ = writeln!(io::stdout().lock(), "{}", text.as_ref());
}

/// A value as JSON, for scripts: on one line.
pub(crate) fn json(value: &impl serde::Serialize) {
    line(serde_json::to_string(value).unwrap_or_default());
}

/// A remark beside the result.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// An aligned table without borders.
pub(crate) fn table(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    // Lines are not broken: they are read by `grep` as well.
    table.load_style(comfy_table::TableStyle::new());
    table.add_rows(rows);
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
