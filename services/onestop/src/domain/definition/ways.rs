//! In which shape a component is filed (bản chính, bản sao, mẫu điện tử, dữ liệu), by channel and case.

use serde::{Deserialize, Serialize};

use crate::domain::case::FiledComponent;
use crate::domain::pack::{Channel, Component, Procedure};

/// The shape of a filed component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Bản chính: a paper original.
    Original,
    /// Bản sao: a paper copy.
    Copy,
    /// Bản điện tử: a file.
    File,
    /// Mẫu điện tử: an e-form that was filled in.
    EForm,
    /// Dữ liệu of a database in place of the paper.
    Data,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 5] = [Self::Original, Self::Copy, Self::File, Self::EForm, Self::Data];

    /// The name in packs and contracts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Copy => "copy",
            Self::File => "file",
            Self::EForm => "e_form",
            Self::Data => "data",
        }
    }
}

/// How a component is filed on some channels, in some cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// On one of these channels; empty: on any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// If this condition holds; absent: in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// One of these shapes is enough.
    pub accepts: Vec<Shape>,
}

impl Way {
    /// Whether it says how the component of such a case is filed.
    pub fn applies(&self, channel: Channel, conditions: &[String]) -> bool {
        (self.channels.is_empty() || self.channels.contains(&channel))
            && self.when.as_ref().is_none_or(|when| conditions.contains(when))
    }

    /// Whether it applies wherever the other does.
    pub fn covers(&self, other: &Self) -> bool {
        let channels = self.channels.is_empty()
            || (!other.channels.is_empty() && other.channels.iter().all(|channel| self.channels.contains(channel)));
        channels && (self.when.is_none() || self.when == other.when)
    }
}

/// Tái sử dụng: a component that was handed in once may be used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reuse {
    /// Where it lies, in words: the citizen's own store, a database.
    pub source: String,
    /// For so many days; absent: without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_days: Option<u32>,
}

/// The shapes in which something was filed.
pub fn shapes_of(filed: &FiledComponent) -> Vec<Shape> {
    Shape::ALL
        .into_iter()
        .filter(|shape| match shape {
            Shape::Original => filed.originals > 0,
            Shape::Copy => filed.copies > 0,
            Shape::File => !filed.file_ids.is_empty(),
            Shape::EForm => filed.form_data.is_some(),
            Shape::Data => !filed.replaced_by_data.is_empty(),
        })
        .collect()
}

/// A component that was filed in none of the shapes that are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongShape {
    /// Place in what was filed.
    pub index: usize,
    /// The component.
    pub component_code: String,
    /// What is accepted.
    pub accepts: Vec<Shape>,
}

impl Component {
    /// How it is filed in such a case; none: in whatever shape.
    pub fn way(&self, channel: Channel, conditions: &[String]) -> Option<&Way> {
        self.ways.iter().find(|way| way.applies(channel, conditions))
    }
}

impl Procedure {
    /// What was filed in a shape that is not accepted. Several filings of one component count together.
    pub fn wrong_shapes(&self, channel: Channel, conditions: &[String], filed: &[FiledComponent]) -> Vec<WrongShape> {
        filed
            .iter()
            .enumerate()
            .filter_map(|(index, one)| {
                let way = self.component(&one.component_code)?.way(channel, conditions)?;
                let fits = filed
                    .iter()
                    .filter(|other| other.component_code == one.component_code)
                    .any(|other| shapes_of(other).iter().any(|shape| way.accepts.contains(shape)));
                (!fits).then(|| WrongShape {
                    index,
                    component_code: one.component_code.clone(),
                    accepts: way.accepts.clone(),
                })
            })
            .collect()
    }
}
