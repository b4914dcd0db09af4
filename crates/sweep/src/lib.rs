//! Runs as a collection: what a sweep asks for, what that comes to, where it is kept, and what a fit may see of it.
//!
//! # What it owns
//!
//! - [`SweepSpec`]: `sweep.toml` as written, checked once into a type that cannot be wrong;
//! - [`plan()`]: the runs a spec comes to, worked out without touching a disk;
//! - [`Store`]: the folder `runs/<run id>/` of each run and `out/`, with atomic writes and locks;
//! - [`LocalLauncher`]: runs as child processes over the cores of this machine, or packed onto its cards, branches of a
//!   trunk in turn; [`SlurmLauncher`]: runs as jobs of a cluster; [`cards`]: which cards there are, and how busy;
//! - [`collect`], [`read_records`], [`read_items`]: all records of a sweep, and its results per problem, in a Parquet file each;
//! - [`seed_noise()`], [`spiked()`], [`mixed_precision`], [`target_precision`]: what the records say of their own noise, and what can be doubted;
//! - [`observe()`] and [`read_table`]: records and foreign tables as observations, with a reason for each row left out.
//!
//! # What it leaves alone
//!
//! It trains nothing, fits no law and never judges a loss: a number is kept, moved and counted here, not believed.

pub mod cards;
mod extend;
pub mod hardware;
pub mod import;
mod items;
pub mod launch;
mod nearest;
pub mod observe;
pub mod plan;
mod precision;
mod records;
mod seed_noise;
pub mod spec;
mod spiked;
pub mod store;
pub mod template;

pub use cards::{Card, Cards, CardsError, NvmlCards};
pub use extend::{Addition, extended};
pub use hardware::{DEFAULT_HARDWARE, HARDWARE_FILE, default_hardware, parse_hardware, read_hardware};
pub use import::{
    Chosen, CurveTable, EvalFormat, EvalScore, Evaluations, HeldOut, Length, LogOptions, Model, Models, ScoreRow,
    ScoreTable, Table, TableError, TableOptions, Underway, choose, curve_of, is_score_table, loss_beside_scores,
    read_curves, read_evaluations, read_ladder_curves, read_models, read_progress, read_scores, read_table, score_rows,
    underway, write_scores,
};
pub use items::{read_items, write_items};
pub use launch::{Fleet, LaunchError, LaunchEvent, LaunchSummary, Launcher, LocalLauncher, SlurmLauncher, Task, Way};
pub use observe::observe;
pub use plan::{FamilyRun, Plan, PlanError, RECIPE, RateProbe, family, plan, plan_with, probe_rates};
pub use precision::{mixed_precision, target_precision};
pub use records::{collect, read_records, write_records};
pub use seed_noise::{RungNoise, SeedNoise, seed_noise};
pub use spec::{SpecError, SweepSpec};
pub use spiked::{SpikedRun, spiked};
pub use store::{Failure, RunFolder, RunState, Store, StoreError, read_log, write_atomically};
pub use template::template;
