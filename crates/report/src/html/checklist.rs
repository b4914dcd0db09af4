//! The checklist as the page sets it: section by section, each question with its standing as a word.

use forescale_core::checklist::{Checklist, Item, Section, Status};

use super::Page;
use crate::tables::status_word;

/// One section's questions.
pub(super) struct Questions<'a> {
    pub(super) name: &'static str,
    pub(super) items: Vec<&'a Item>,
}

impl Page<'_> {
    /// Sections with at least one question.
    pub(super) fn sections<'b>(&self, list: &'b Checklist) -> Vec<Questions<'b>> {
        let of = |section: Section| list.items.iter().filter(move |item| item.section == section).collect();
        let sections = Section::ALL.into_iter().map(|section| Questions { name: section.label(), items: of(section) });
        sections.filter(|questions| !questions.items.is_empty()).collect()
    }

    /// Whether a question is answered, as a word.
    pub(super) fn status(&self, item: &Item) -> &'static str {
        status_word(item.status)
    }

    pub(super) fn status_class(&self, item: &Item) -> &'static str {
        match item.status {
            Status::Answered => "answered",
            Status::Unknown => "note",
            Status::Problem => "warning",
        }
    }

    /// How many are answered.
    pub(super) fn counted(&self, list: &Checklist) -> String {
        format!(
            "{} answered, {} unknown, {} against the fit",
            list.count(Status::Answered),
            list.count(Status::Unknown),
            list.count(Status::Problem)
        )
    }
}
