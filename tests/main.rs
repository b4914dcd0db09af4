//! Tests of the whole: commands as a user types them, files as a user keeps them, walls of the house.

mod binary;
mod bad_input;
mod chain;
mod commands;
mod layering;
mod published;
