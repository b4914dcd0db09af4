use super::*;

/// A card that is simulated second by second: it has so many slots for runs by memory, and each of k runs goes at a speed
/// that is known.
struct Simulated<F> {
    packing: Packing,
    /// Speed of one of k runs of a width, over its speed alone.
    speed: F,
    slots: usize,
    /// Width and seconds left, at the speed of a run alone.
    running: Vec<(RunId, f64, f64)>,
    noise: u64,
    scatter: f64,
    clock: u64,
    done: usize,
}

fn kind(width: f64) -> Kind {
    Kind { name: format!("d{width}"), flops_per_token: width * width, flops_per_step: width * width * 1e6 }
}

impl<F: Fn(usize, f64) -> f64> Simulated<F> {
    fn new(slots: usize, speed: F) -> Self {
        Self { packing: Packing::new(), speed, slots, running: vec![], noise: 1, scatter: 0.0, clock: 0, done: 0 }
    }

    /// Between -1 and 1; the constants are Knuth's (MMIX).
    fn random(&mut self) -> f64 {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Works through runs of a width and seconds each; returns the seconds it took.
    fn work(&mut self, runs: &[(f64, f64)]) -> u64 {
        let began = self.clock;
        let mut waiting = runs.iter();
        let mut more = waiting.next();
        while more.is_some() || !self.running.is_empty() {
            while let Some((width, seconds)) = more
                && self.packing.has_room()
                && self.running.len() < self.slots
            {
                let id = RunId(format!("{}", self.done + self.running.len() + 1000 * self.clock as usize));
                self.packing.started(&id, kind(*width));
                self.running.push((id, *width, *seconds));
                more = waiting.next();
            }
            self.second();
        }
        self.clock - began
    }

    fn second(&mut self) {
        self.clock += 1;
        let runs = self.running.len();
        let now: Vec<(RunId, f64, f64)> = self.running.clone();
        for (id, width, _) in &now {
            let scatter = 1.0 + self.scatter * self.random();
            let share = (self.speed)(runs, *width);
            self.packing.heard(id, self.clock, 1e6 / width * share * scatter);
        }
        for (_, width, left) in &mut self.running {
            *left -= (self.speed)(runs, *width);
        }
        for (id, ..) in now.iter().zip(&self.running).filter(|(_, run)| run.2 <= 0.0).map(|(run, _)| run) {
            self.packing.ended(id);
            self.done += 1;
        }
        self.running.retain(|run| run.2 > 0.0);
    }
}

/// So many runs at full speed, and no more work than that however many there are.
fn saturating(most: f64) -> impl Fn(usize, f64) -> f64 {
    move |runs, _| (most / runs as f64).min(1.0)
}

#[test]
fn a_card_bound_by_launches_takes_runs_until_it_is_full() {
    let mut card = Simulated::new(64, saturating(12.0));
    card.work(&[(64.0, 60.0); 120]);
    assert!((12..=16).contains(&card.packing.limit), "{}", card.packing.limit);
}

#[test]
fn a_card_bound_by_arithmetic_takes_one_run_after_another() {
    let mut card = Simulated::new(64, saturating(1.0));
    card.work(&[(1024.0, 60.0); 6]);
    assert_eq!((card.packing.limit, card.packing.leap), (1, 0));
}

#[test]
fn a_number_between_is_found_within_a_step_of_the_best() {
    for best in [2.0, 3.0, 5.0, 6.0, 9.0] {
        let mut card = Simulated::new(64, saturating(best));
        card.work(&[(128.0, 60.0); 100]);
        let (limit, slack) = (card.packing.limit as f64, 1.0 + MARGIN);
        assert!(limit.min(best) * slack >= best && limit <= 2.0 * best, "{limit} of {best}");
    }
}

#[test]
fn runs_that_get_in_each_others_way_are_taken_back() {
    // Four at once do the most; from there each further one costs a tenth of all.
    let speed = |runs: usize, _| if runs <= 4 { 1.0 } else { 4.0 / runs as f64 * 0.9_f64.powi(runs as i32 - 4) };
    let mut card = Simulated::new(64, speed);
    card.work(&[(128.0, 40.0); 60]);
    assert_eq!((card.packing.limit, card.packing.leap), (4, 0));
}

#[test]
fn memory_that_ends_first_is_the_end() {
    let mut card = Simulated::new(3, saturating(12.0));
    let took = card.work(&[(64.0, 60.0); 30]);
    // Three slots, thirty runs of a minute: ten rounds, and a few seconds until the third slot was taken.
    assert!((600..=640).contains(&took), "{took}");
}

#[test]
fn readings_that_scatter_lead_near_the_best_number_all_the_same() {
    for noise in 1..20 {
        for best in [1.0, 4.0, 12.0] {
            let mut card = Simulated::new(64, saturating(best));
            (card.noise, card.scatter) = (noise, 0.1);
            // A card that one run fills is one of large runs.
            card.work(&[(if best > 1.0 { 64.0 } else { 1024.0 }, 60.0); 150]);
            let done = (card.packing.limit as f64).min(best) / best;
            assert!(done >= 0.65 && card.packing.limit as f64 <= 2.0 * best, "{} of {best}", card.packing.limit);
        }
    }
}

#[test]
fn a_family_on_a_card_bound_by_launches_is_done_several_times_faster_than_one_after_another() {
    let mut card = Simulated::new(64, saturating(12.0));
    let took = card.work(&[(64.0, 60.0); 16]);
    assert!(16.0 * 60.0 / took as f64 > 5.0, "{took} s");
}

#[test]
fn smaller_runs_make_the_card_ask_again() {
    // A large run fills the card; of the small ones eight do.
    let speed = |runs: usize, width: f64| if width > 500.0 { 1.0 / runs as f64 } else { (8.0 / runs as f64).min(1.0) };
    let mut card = Simulated::new(64, speed);
    card.work(&[(1024.0, 60.0); 4]);
    assert_eq!(card.packing.limit, 1);
    card.work(&[(64.0, 60.0); 80]);
    assert!((8..=12).contains(&card.packing.limit), "{}", card.packing.limit);
}

#[test]
fn runs_too_short_to_be_measured_are_taken_for_ones_whose_start_takes_the_time() {
    let mut card = Simulated::new(16, saturating(16.0));
    card.work(&[(16.0, 1.0); 200]);
    assert!(card.packing.limit >= 16, "{}", card.packing.limit);
}

#[test]
fn unlike_runs_are_compared_by_what_becomes_of_each_kind() {
    // A run of a tenth of the tokens per second joins: tokens per second grow by 10%, but all goes on at full speed.
    let before = Plateau { runs: 1, ..plateau(&[("d64", 1000.0)]) };
    let after = Plateau { runs: 2, ..plateau(&[("d64", 1000.0), ("d640", 100.0)]) };
    assert!((after.over(&before) - 2.0).abs() < 1e-12);
    // And where the first is slowed to half, nothing is won, whatever the newcomer adds.
    let slowed = Plateau { runs: 2, ..plateau(&[("d64", 500.0), ("d8", 9000.0)]) };
    assert!((slowed.over(&before) - 1.0).abs() < 1e-12);
}

fn plateau(speeds: &[(&str, f64)]) -> Plateau {
    let speeds = speeds.iter().map(|(kind, speed)| ((*kind).to_owned(), vec![*speed])).collect();
    Plateau { speeds, ..Plateau::default() }
}

#[test]
fn a_line_read_twice_is_one_reading() {
    let mut packing = Packing::new();
    let id = RunId("a".to_owned());
    packing.started(&id, kind(1024.0));
    assert!(packing.is_cold(&id) && !packing.has_room());
    for _ in 0..10 {
        packing.heard(&id, 5, 1e5);
    }
    assert!(!packing.is_cold(&id) && !packing.has_room(), "the first line spans the start");
    packing.heard(&id, 6, 1e5);
    packing.heard(&id, 6, 1e5);
    assert!(!packing.has_room());
    packing.heard(&id, 7, 1e5);
    assert!(packing.has_room(), "two readings of the one run");
}
