//! What a reader has to be told before a scaling law can be checked: questions with what the data answer.
//!
//! The questions are those that Li et al., 2025, *(Mis)Fitting: a survey of scaling laws*, arXiv:2502.18969, found papers to
//! leave open, in four sections. A document only: who fits answers. What the data do not tell is
//! [`Status::Unknown`] and says which column or field would tell; it is never left out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Form of `fit --checklist --json`.
pub const CHECKLIST_SCHEMA: &str = "forescale.checklist/1.0";
/// The question that a registration answers.
pub const REGISTERED: &str = "Was the forecast sealed before its target was trained?";

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// The law and why it is this one.
    Hypothesis,
    /// How the runs were trained and counted.
    Training,
    /// How points were taken from runs.
    Data,
    /// How the law was fitted and judged.
    Fit,
}

impl Section {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Hypothesis, Self::Training, Self::Data, Self::Fit];

    /// Its heading.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Hypothesis => "form of the law",
            Self::Training => "training setup",
            Self::Data => "data extraction",
            Self::Fit => "fit",
        }
    }
}

/// Whether a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The data answer it.
    Answered,
    /// They do not; the answer names what would.
    Unknown,
    /// They do, and the answer speaks against the fit.
    Problem,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// What it is about.
    pub section: Section,
    /// The question.
    pub question: String,
    /// What is known, or what is missing.
    pub answer: String,
    /// Whether it is answered.
    pub status: Status,
}

/// All questions, in the order of their sections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    /// [`CHECKLIST_SCHEMA`].
    pub schema: String,
    /// The questions.
    pub items: Vec<Item>,
}

impl Checklist {
    /// How many items have a status.
    #[must_use]
    pub fn count(&self, status: Status) -> usize {
        self.items.iter().filter(|item| item.status == status).count()
    }

    /// The same with the registration that its forecast was sealed in.
    #[must_use]
    pub fn registered(mut self, sha256: &str) -> Self {
        for item in self.items.iter_mut().filter(|item| item.question == REGISTERED) {
            item.answer = format!("yes, as `{sha256}`; `score` holds it against the target's log");
            item.status = Status::Answered;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_answers_its_question_alone() {
        let item = |question: &str| Item {
            section: Section::Fit,
            question: question.to_owned(),
            answer: "not known".to_owned(),
            status: Status::Unknown,
        };
        let items = vec![item(REGISTERED), item("another")];
        let list = Checklist { schema: CHECKLIST_SCHEMA.to_owned(), items }.registered("abc");
        assert_eq!((list.count(Status::Answered), list.count(Status::Unknown)), (1, 1));
        assert!(list.items[0].answer.contains("`abc`"));
        let text = serde_json::to_string(&list).expect("a JSON form");
        assert_eq!(serde_json::from_str::<Checklist>(&text).expect("reads"), list);
    }
}
