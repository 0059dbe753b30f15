//! Comments of the contracts as descriptions.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, FileDescriptor};

/// The leading comments of a pool, by file and path.
pub(super) struct Comments {
    by_file: HashMap<String, HashMap<Vec<i32>, String>>,
}

impl Comments {
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let by_file = pool
            .files()
            .map(|file| {
                let comments = file
                    .file_descriptor_proto()
                    .source_code_info
                    .iter()
                    .flat_map(|info| &info.location)
                    .filter(|location| !location.leading_comments().trim().is_empty())
                    .map(|location| (location.path.clone(), tidy(location.leading_comments())))
                    .collect();
                (file.name().to_owned(), comments)
            })
            .collect();
        Self { by_file }
    }

    pub(super) fn of_path(&self, file: &FileDescriptor, path: &[i32]) -> String {
        self.by_file
            .get(file.name())
            .and_then(|comments| comments.get(path))
            .cloned()
            .unwrap_or_default()
    }

    pub(super) fn of_field(&self, field: &FieldDescriptor) -> String {
        self.of_path(&field.parent_file(), field.path())
    }
}

/// Lines of a paragraph joined, paragraphs kept.
fn tidy(comment: &str) -> String {
    let mut paragraphs: Vec<String> = vec![String::new()];
    for line in comment.lines().map(str::trim) {
        if line.is_empty() {
            paragraphs.push(String::new());
        } else if let Some(last) = paragraphs.last_mut() {
            if !last.is_empty() {
                // A list keeps its lines.
                last.push(if line.starts_with(['*', '-']) { '\n' } else { ' ' });
            }
            last.push_str(line);
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs.join("\n\n")
}

/// The first sentence, without its full stop.
pub(super) fn first_sentence(comment: &str) -> String {
    let paragraph = comment.split("\n\n").next().unwrap_or_default();
    match paragraph.split_once(". ") {
        Some((first, _)) => first.to_owned(),
        None => paragraph.trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_joined_and_the_first_sentence_is_the_summary() {
        let comment = tidy(" Accepts a case.\n Only once. \n\n Then\n * one\n * two\n");
        assert_eq!(comment, "Accepts a case. Only once.\n\nThen\n* one\n* two");
        assert_eq!(first_sentence(&comment), "Accepts a case");
        assert_eq!(first_sentence("One only."), "One only");
    }
}
