//! Where runs are trained, as meant: the processor, or the cards that a process of this machine may use.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use forescale_core::run::RunConfig;
use forescale_sweep::cards::{ORDER, VISIBLE, Watch, are_numbered_by_bus, visible};
use forescale_sweep::{Card, CardsError, Fleet, NvmlCards, Way};
use forescale_train::{DeviceChoice, Precision};

use crate::args::DeviceArgs;
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
    limit: Option<u64>,
    /// The cards to pack runs onto, where they could be told apart.
    pub(crate) fleet: Option<Fleet>,
    /// Runs at once where nobody says how many.
    pub(crate) jobs: Option<usize>,
}

impl Place {
    /// What was typed, held against what there is; `cuda` is every card, `cuda:N` the one of that number.
    pub(crate) fn of(args: &DeviceArgs) -> anyhow::Result<Self> {
        let choice: DeviceChoice = args.device.parse()?;
        let precision = choice.precision(asked(args)?)?;
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
                let cards = chosen(cards, one)?;
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
        words.extend(self.limit.iter().flat_map(|limit| ["--memory-limit".to_owned(), limit.to_string()]));
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

/// The precision as typed.
pub(crate) fn asked(args: &DeviceArgs) -> anyhow::Result<Option<Precision>> {
    Ok(args.precision.as_deref().map(str::parse).transpose()?)
}

/// The driver, and the cards that this process may use.
pub(crate) fn own_cards() -> Result<(NvmlCards, Vec<Card>), CardsError> {
    let driver = NvmlCards::open()?;
    let told = |name| std::env::var(name).ok();
    let cards = visible(&forescale_sweep::Cards::list(&driver)?, told(VISIBLE).as_deref(), told(ORDER).as_deref())?;
    Ok((driver, cards))
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
    // Cards that nobody has put in order are numbered by CUDA for the one who trains, and by bus for the one who watches.
    let told = |name| std::env::var(name).ok();
    if told(VISIBLE).is_none() && !are_numbered_by_bus(&cards, told(ORDER).as_deref()) {
        return None;
    }
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
        assert_eq!(cpu(Some(4096)).arguments(), ["--device", "cpu", "--memory-limit", "4096"]);
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
        let card = |index| Card { index, uuid: format!("GPU-{index}"), name: String::new(), memory_bytes: 1 };
        let cards = || vec![card(4), card(7)];
        assert_eq!(chosen(cards(), Some(1)).expect("the second")[0].index, 7);
        assert_eq!(chosen(cards(), None).expect("both").len(), 2);
        let error = chosen(cards(), Some(2)).expect_err("refused").to_string();
        assert!(error.starts_with("there is no card 2: this process may use 2") && error.contains("hint: "), "{error}");
        assert!(chosen(Vec::new(), None).is_err_and(|error| error.to_string().contains("none of the cards")));
    }
}
