//! Tests of the whole: commands as a user types them, files as a user keeps them, walls of the house.

mod answers;
mod bad_input;
mod binary;
mod capability;
mod chain;
mod commands;
mod compute_alone;
mod curves;
mod evidence;
mod export;
mod formats;
mod import;
mod launchers;
mod layering;
mod ledger;
mod memory;
mod plans;
mod probe;
mod problems;
mod published;
mod report;
mod tasks;
mod track;
