//! Where runs are trained, as meant: the processor, or the cards that a process of this machine may use.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use forescale_core::run::RunConfig;
use forescale_sweep::cards::{ORDER, VISIBLE, Watch, named, visible};
use forescale_sweep::{Card, Cards as _, CardsError, Fleet, NvmlCards, Way};
use forescale_train::{DeviceChoice, NumberedCard, Precision, TrainError};

use crate::args::DeviceArgs;
use crate::memory::Allowance;
use crate::output;

/// Memory that the driver and the library of matrix products keep of a card for each process, beside what the estimate of a
/// run counts. Chosen here, not measured: some hundreds of MiB are usual, and too much costs a place, too little a retry.
const CONTEXT_BYTES: u64 = 600 << 20;

/// Where runs are trained.
pub(crate) struct Place {
    /// The device as a child is told it.
    device: String,
    precision: Precision,
    /// Memory that one run may need.
    pub(crate) limit: Option<u64>,
    /// The cards to pack runs onto, where they could be told apart.
    pub(crate) fleet: Option<Fleet>,
    /// Runs at once where nobody says how many.
    pub(crate) jobs: Option<usize>,
}

impl Place {
    /// What was typed, held against what there is; `cuda` is every card, `cuda:N` the one of that number.
    pub(crate) fn of(args: &DeviceArgs) -> anyhow::Result<Self> {
        let choice: DeviceChoice = args.device.parse()?;
        let precision = choice.precision(asked(args)?).map_err(|error| as_typed(&error, &args.device))?;
        let place = |device: &str| Self {
            device: device.to_owned(),
            precision,
            limit: args.memory_limit,
            fleet: None,
            jobs: None,
        };
        let resolved = choice.resolve()?;
        if resolved == "cpu" {
            return Ok(place("cpu"));
        }
        let one = args.device.strip_prefix("cuda:").and_then(|number| number.parse::<usize>().ok());
        match (own_cards(), one) {
            // Its process is told one card, which is then its first.
            (Ok((driver, cards)), one) => {
                // One that was asked for by its number has been looked at.
                let cards = if one.is_some() { cards } else { without_old(&cards) };
                let cards = shared(chosen(cards, one)?, has_service());
                Ok(Self { fleet: Some(Fleet { cards, driver: Arc::new(driver) }), ..place("cuda:0") })
            }
            // Without NVML nothing tells what is free; runs then go one after another.
            (Err(error), Some(_)) => {
                output::say(&format!("note: {}; runs go one after another", error.problem));
                Ok(Self { jobs: Some(1), ..place(&resolved) })
            }
            (Err(error), None) => Err(error).context("the cards cannot be told apart"),
        }
    }

    /// What was typed, for runs that a scheduler starts on machines that this one knows nothing of: `auto` is the processor
    /// there, for a job sees a card only where one was asked for.
    pub(crate) fn of_jobs(args: &DeviceArgs) -> anyhow::Result<Self> {
        let choice: DeviceChoice = args.device.parse()?;
        let (choice, device) = match choice {
            DeviceChoice::Auto | DeviceChoice::Cpu => (DeviceChoice::Cpu, "cpu"),
            DeviceChoice::Cuda(0) => (choice, "cuda:0"),
            DeviceChoice::Cuda(_) => bail!(
                "`--device {}` names a card of this machine, and which card a job has is Slurm's to say\n\n\
                 hint: --device cuda",
                args.device
            ),
        };
        let asked = asked(args)?;
        // A build without CUDA is refused here, and no job for it; where there is one, the node's own driver tells.
        let precision = match choice {
            DeviceChoice::Cuda(_) if cfg!(feature = "cuda") => asked.unwrap_or(Precision::Bf16),
            _ => choice.precision(asked)?,
        };
        Ok(Self { device: device.to_owned(), precision, limit: args.memory_limit, fleet: None, jobs: None })
    }

    /// Whether runs are trained on cards.
    pub(crate) fn is_card(&self) -> bool {
        self.device != "cpu"
    }

    /// The arguments by which a child is told its device.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut words = vec!["--device".to_owned(), self.device.clone()];
        if self.is_card() {
            words.extend(["--precision".to_owned(), self.precision.to_string()]);
        }
        words.extend(self.limit.iter().flat_map(|limit| ["--memory-limit".to_owned(), format!("{limit}B")]));
        words
    }

    /// How a run's batches may be dealt: whole, and where that is allowed into ever more equal parts, at least twice as many
    /// each time.
    pub(crate) fn ways(&self, config: &RunConfig, may_accumulate: bool) -> Vec<Way> {
        let kept = if self.is_card() { CONTEXT_BYTES } else { 0 };
        // A run that no card can take has the largest number already.
        let bytes = |parts| forescale_train::device_memory_bytes(config, self.precision, parts).saturating_add(kept);
        let next = |parts: &u32| (2 * parts..=config.sequences).find(|more| config.sequences.is_multiple_of(*more));
        let all = std::iter::successors(Some(1), next).map(|accumulate| Way { accumulate, bytes: bytes(accumulate) });
        all.take(if may_accumulate { usize::MAX } else { 1 }).collect()
    }
}

impl Place {
    /// What a run may take here.
    pub(crate) fn allowance(&self, may_accumulate: bool) -> Allowance {
        let (limit, precision, on_card) = (self.limit, self.precision, self.device != "cpu");
        Allowance { limit, precision, on_card, may_accumulate }
    }

    /// Where runs are trained, for the person who asked for a device: `training on 2 cards in bf16`.
    pub(crate) fn words(&self, asked: &str) -> String {
        let on = match self.fleet.as_ref().map(|fleet| fleet.cards.as_slice()) {
            Some([card]) => format!("card {} ({})", card.index, card.name),
            Some(cards) => format!("{} cards", cards.len()),
            None => self.device.clone(),
        };
        let why = forescale_train::why_no_card().filter(|_| self.device == "cpu" && asked == "auto");
        let why = why.map(|why| format!(" (no card: {why})")).unwrap_or_default();
        format!("training on {on} in {}{why}", self.precision)
    }
}

/// Why a device cannot be had, by the word that somebody typed for it: `cuda` is the first card for one process.
pub(crate) fn as_typed(error: &TrainError, typed: &str) -> anyhow::Error {
    let text = error.to_string();
    if typed == "cuda" {
        anyhow!(text.replace("`cuda:0` was asked for", "`cuda` was asked for"))
    } else {
        anyhow!(text)
    }
}

/// The precision as typed.
pub(crate) fn asked(args: &DeviceArgs) -> anyhow::Result<Option<Precision>> {
    Ok(args.precision.as_deref().map(str::parse).transpose()?)
}

/// The driver, and the cards that this process may use: those that CUDA tells by their unique names, or where this build
/// cannot ask it, those that its variable names.
pub(crate) fn own_cards() -> Result<(NvmlCards, Vec<Card>), CardsError> {
    let driver = NvmlCards::open()?;
    let listed = driver.list()?;
    let cards = match forescale_train::numbered_cards() {
        Some(numbered) => named(&listed, &numbered.into_iter().map(|card| card.uuid).collect::<Vec<_>>()),
        None => {
            let told = |name| std::env::var(name).ok();
            visible(&listed, told(VISIBLE).as_deref(), told(ORDER).as_deref())
        }
    };
    Ok((driver, cards?))
}

/// NVIDIA's MPS has a card's one process and takes runs as its clients; without it they go one after another.
fn shared(mut cards: Vec<Card>, has_service: bool) -> Vec<Card> {
    for card in cards.iter_mut().filter(|card| card.takes_one) {
        card.takes_one = !has_service;
        if card.takes_one {
            output::say(&format!(
                "note: card {} takes one process at a time (compute mode `Exclusive_Process`), and runs on it go one after \
                 another; `nvidia-cuda-mps-control -d` has them share it",
                card.index
            ));
        }
    }
    cards
}

/// Whether NVIDIA's MPS is there, by the place where its clients look for it.
fn has_service() -> bool {
    let place = std::env::var_os("CUDA_MPS_PIPE_DIRECTORY").map_or("/tmp/nvidia-mps".into(), PathBuf::from);
    place.join("control").exists()
}

/// The cards of kinds that can train; says which are left out.
fn without_old(cards: &[Card]) -> Vec<Card> {
    let able = able(cards.to_vec(), &forescale_train::numbered_cards().unwrap_or_default());
    for card in cards.iter().filter(|card| !able.contains(card)) {
        output::say(&format!("note: card {} ({}) is too old to train on, and is left out", card.index, card.name));
    }
    able
}

/// Those of some cards that runs can be trained on.
fn able(mut cards: Vec<Card>, numbered: &[NumberedCard]) -> Vec<Card> {
    cards.retain(|card| !numbered.iter().any(|one| one.uuid == card.uuid && !one.trains));
    cards
}

fn chosen(mut cards: Vec<Card>, one: Option<usize>) -> anyhow::Result<Vec<Card>> {
    let count = cards.len();
    match one {
        Some(number) if number < count => Ok(vec![cards.swap_remove(number)]),
        Some(number) => bail!("there is no card {number}: this process may use {count}\n\nhint: forescale doctor"),
        None if cards.is_empty() => {
            bail!(
                "this process may use none of the cards\n\nhint: see whether `{VISIBLE}` leaves one out, or --device cpu"
            )
        }
        None => Ok(cards),
    }
}

/// Watches the card of this process while a run trains on it; nothing where the driver does not tell.
pub(crate) fn watch(device: DeviceChoice) -> Option<Watch> {
    let resolved = device.resolve().ok()?;
    let number: usize = resolved.strip_prefix("cuda:")?.parse().ok()?;
    let (driver, cards) = own_cards().ok()?;
    Some(Watch::start(Box::new(driver), cards.get(number)?.clone()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use forescale_core::count::ModelShape;
    use forescale_sweep::{SweepSpec, plan, template};

    use super::*;

    fn cpu(limit: Option<u64>) -> Place {
        let args = DeviceArgs { device: "cpu".to_owned(), precision: None, memory_limit: limit };
        Place::of(&args).expect("there is a processor")
    }

    fn smallest() -> RunConfig {
        let text = template("smoke", Path::new("smoke")).expect("a template");
        let spec = SweepSpec::parse(Path::new("smoke/sweep.toml"), &text).expect("a good spec");
        plan(&spec, None).expect("a good plan").runs.remove(0).config
    }

    fn parts(sequences: u32, may_accumulate: bool) -> Vec<u32> {
        let ways = cpu(None).ways(&RunConfig { sequences, ..smallest() }, may_accumulate);
        assert!(ways.is_sorted_by(|one, next| one.bytes > next.bytes), "{ways:?}");
        ways.iter().map(|way| way.accumulate).collect()
    }

    #[test]
    fn a_batch_is_dealt_into_twice_as_many_equal_parts_or_the_next_more() {
        assert_eq!(parts(8, true), [1, 2, 4, 8]);
        assert_eq!(parts(12, true), [1, 2, 4, 12]);
        assert_eq!(parts(9, true), [1, 3, 9]);
        assert_eq!(parts(1, true), [1]);
        assert_eq!(parts(12, false), [1]);
    }

    #[test]
    fn a_run_that_no_card_can_take_asks_for_the_largest_number_of_bytes() {
        let on_a_card = Place { device: "cuda:0".to_owned(), ..cpu(None) };
        let bytes = |place: &Place, config: &RunConfig| place.ways(config, false)[0].bytes;
        let small = smallest();
        assert_eq!(bytes(&on_a_card, &small), bytes(&cpu(None), &small) + CONTEXT_BYTES);
        // Kernels are compiled for heads of up to 128 channels.
        let shape = ModelShape { width: 256, heads: 1, head_size: 256, ..small.shape };
        assert_eq!(bytes(&on_a_card, &RunConfig { shape, ..small }), u64::MAX);
    }

    #[test]
    fn a_child_is_told_its_device_and_the_limit() {
        assert_eq!(cpu(None).arguments(), ["--device", "cpu"]);
        assert_eq!(cpu(Some(4096)).arguments(), ["--device", "cpu", "--memory-limit", "4096B"]);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_is_refused_by_the_word_that_was_typed() {
        let said = |device: &str| {
            let args = DeviceArgs { device: device.to_owned(), precision: None, memory_limit: None };
            Place::of(&args).err().expect("refused").to_string()
        };
        assert!(said("cuda").starts_with("`cuda` was asked for, but this binary is built without CUDA"));
        assert!(said("cuda:0").starts_with("`cuda:0` was asked for"));
    }

    #[test]
    fn where_runs_are_trained_is_said_with_the_reason_where_it_was_not_chosen() {
        assert_eq!(cpu(None).words("cpu"), "training on cpu in f32");
        if !cfg!(feature = "cuda") {
            assert_eq!(cpu(None).words("auto"), "training on cpu in f32 (no card: this build has no CUDA)");
        }
        let one = Place { device: "cuda:1".to_owned(), precision: Precision::Bf16, ..cpu(None) };
        assert_eq!(one.words("cuda:1"), "training on cuda:1 in bf16");
    }

    fn card(index: u32) -> Card {
        Card {
            index,
            uuid: format!("GPU-{index}"),
            name: String::new(),
            memory_bytes: 1,
            is_sliced: false,
            takes_one: false,
        }
    }

    #[test]
    fn a_card_that_takes_one_process_is_shared_where_the_service_has_that_one() {
        let exclusive = || vec![Card { takes_one: true, ..card(4) }, card(7)];
        let takes_one =
            |has_service| shared(exclusive(), has_service).iter().map(|card| card.takes_one).collect::<Vec<_>>();
        assert_eq!([takes_one(true), takes_one(false)], [[false, false], [true, false]]);
    }

    #[test]
    fn a_card_that_is_too_old_is_not_among_all() {
        let numbered = |index: u32, trains| NumberedCard { uuid: format!("GPU-{index}"), trains };
        let kept = able(vec![card(4), card(7)], &[numbered(7, true), numbered(4, false)]);
        assert_eq!(kept.iter().map(|card| card.index).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn a_job_has_the_card_that_slurm_gives_it_and_the_processor_where_none_is_asked_for() {
        let of = |device: &str, precision: Option<&str>| {
            let precision = precision.map(str::to_owned);
            Place::of_jobs(&DeviceArgs { device: device.to_owned(), precision, memory_limit: None })
        };
        let refusal = |device, precision| of(device, precision).err().expect("refused").to_string();
        assert_eq!(of("auto", None).expect("the processor").arguments(), ["--device", "cpu"]);
        assert!(refusal("cuda:1", None).contains("hint: --device cuda"));
        assert!(refusal("cpu", Some("bf16")).contains("f32"));
        if cfg!(feature = "cuda") {
            let words = of("cuda", None).expect("no driver is asked for here").arguments();
            assert_eq!(words, ["--device", "cuda:0", "--precision", "bf16"]);
        } else {
            assert!(refusal("cuda", None).contains("without CUDA"));
        }
    }

    #[test]
    fn a_card_that_this_process_may_not_use_is_refused() {
        let cards = || vec![card(4), card(7)];
        assert_eq!(chosen(cards(), Some(1)).expect("the second")[0].index, 7);
        assert_eq!(chosen(cards(), None).expect("both").len(), 2);
        let error = chosen(cards(), Some(2)).expect_err("refused").to_string();
        assert!(error.starts_with("there is no card 2: this process may use 2") && error.contains("hint: "), "{error}");
        assert!(chosen(Vec::new(), None).is_err_and(|error| error.to_string().contains("none of the cards")));
    }
}
