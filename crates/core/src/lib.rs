//! The vocabulary of Forescale: quantities, runs, records, observations, laws, and what a forecast says.
//!
//! Every room speaks these words; none of them is taught here how to train, fit, store or draw. The crate reads no
//! file, clock, thread, environment or random number, so that the same input gives the same bytes on every machine.

pub mod answer;
pub mod approach;
pub mod capability;
pub mod checklist;
pub mod comparison;
pub mod corpus;
pub mod cost;
pub mod count;
pub mod design;
pub mod digest;
pub mod estimate;
pub mod items;
pub mod law;
pub mod ledger;
pub mod math;
pub mod memory;
pub mod observation;
pub mod outcome;
pub mod panel;
pub mod pass_rate;
pub mod predictive;
pub mod probe;
pub mod problem;
pub mod quantity;
pub mod record;
pub mod reduction;
pub mod run;
pub mod schedule;
pub mod stack_machine;
pub mod track;
