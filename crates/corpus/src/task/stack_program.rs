//! `stack_program`: write a program that does what the examples show. `1 4>5;2 3>5;7 1>8:+`
//!
//! Programs run on `forescale_core::stack_machine`. Several are right, so that answers are sampled and run.
//!
//! - Difficulty: the length of the shortest right program, 1 to `length`.
//! - Training: a program of uniform length and uniform operations that does something, on `examples` different inputs of
//!   one or two numbers below ten, in rising order. Chance: right programs of the shortest length over all of that
//!   length, counted. Ceiling: certain.
//! - Guard: no examples of a held-out problem are trained, with whatever program.

use forescale_core::problem::{Judge, StackTest};
use forescale_core::stack_machine::{OPERATIONS, passes, run};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use super::{Ask, END, Question, Setup, Task, check};
use crate::draw::{below, choose};
use crate::error::CorpusError;

/// Larger numbers make examples long and say nothing more.
const LARGEST: i64 = 999;

/// Most numbers that an example leaves.
const MOST_OUTPUTS: usize = 3;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StackProgram {
    /// Most operations of a program.
    length: u32,
    /// Examples of a problem.
    examples: u32,
}

impl Default for StackProgram {
    fn default() -> Self {
        Self { length: 3, examples: 3 }
    }
}

pub(super) fn new(setup: &Setup) -> Result<Box<dyn Task>, CorpusError> {
    let task: StackProgram = setup.parameters()?;
    // Every program of a length is run to count the right ones: 21^4 is 194481.
    check("length", task.length, 1..=4)?;
    check("examples", task.examples, 2..=5)?;
    Ok(Box::new(task))
}

impl Task for StackProgram {
    fn document(&mut self, rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
        let length = 1 + below(rng, self.length);
        let (tests, program) = loop {
            if let Some(drawn) = self.draw(rng, length) {
                break drawn;
            }
        };
        Some([prompt(&tests), program].concat())
    }

    fn questions(&self, ask: &mut Ask) -> Result<Vec<Question>, CorpusError> {
        let mut questions = Vec::new();
        for length in 1..=self.length {
            questions.extend(ask.distinct(ask.fair_count(self.different()), |rng| self.question(rng, length)));
        }
        Ok(questions)
    }
}

impl StackProgram {
    /// Examples and a program that meets them, where the drawn program does something.
    fn draw(&self, rng: &mut ChaCha8Rng, length: u32) -> Option<(Vec<StackTest>, Vec<u8>)> {
        let program: Vec<u8> = (0..length).map(|_| *choose(rng, OPERATIONS)).collect();
        let arity = 1 + below(rng, 2);
        let mut inputs: Vec<Vec<i64>> = Vec::new();
        while inputs.len() < self.examples as usize {
            let input: Vec<i64> = (0..arity).map(|_| i64::from(below(rng, 10))).collect();
            if !inputs.contains(&input) {
                inputs.push(input);
            }
        }
        inputs.sort();
        let test = |input: Vec<i64>| {
            let output = run(&program, &input).ok().filter(|output| is_short(output))?;
            Some(StackTest { input, output })
        };
        let tests: Vec<StackTest> = inputs.into_iter().map(test).collect::<Option<_>>()?;
        tests.iter().any(|test| test.input != test.output).then_some((tests, program))
    }

    /// A problem whose shortest right program has this length.
    fn question(&self, rng: &mut ChaCha8Rng, length: u32) -> Option<Question> {
        let (tests, program) = self.draw(rng, length)?;
        if (1..length).any(|shorter| right_programs(&tests, shorter) > 0) {
            return None;
        }
        let all = (0..length).fold(1.0, |product, _| product * OPERATIONS.len() as f64);
        let chance = right_programs(&tests, length) as f64 / all;
        let name = format!("{length} operation{}", if length == 1 { "" } else { "s" });
        let question = Question::recall(length, name, prompt(&tests), program).with_chance(chance);
        let forbidden = vec![question.prompt.clone()];
        let judge = Judge::StackProgram { tests, max_tokens: self.length + 1, end: u32::from(END) };
        Some(Question { forbidden, judge, ..question })
    }

    /// At least so many different prompts: each digit pushed on every set of inputs of one digit. Longer programs do more.
    fn different(&self) -> f64 {
        10.0 * (0..self.examples).fold(1.0, |sets, used| sets * f64::from(10 - used) / f64::from(used + 1))
    }
}

fn is_short(output: &[i64]) -> bool {
    (1..=MOST_OUTPUTS).contains(&output.len()) && output.iter().all(|number| number.abs() <= LARGEST)
}

/// `1 4>5;2 3>5:`
fn prompt(tests: &[StackTest]) -> Vec<u8> {
    let numbers = |stack: &[i64]| stack.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
    let examples: Vec<String> =
        tests.iter().map(|test| format!("{}>{}", numbers(&test.input), numbers(&test.output))).collect();
    format!("{}:", examples.join(";")).into_bytes()
}

/// How many programs of a length pass. The first example is followed operation by operation, the others only run on
/// programs that pass it.
fn right_programs(tests: &[StackTest], length: u32) -> u64 {
    let mut program = Vec::with_capacity(length as usize);
    count_from(tests, &tests[0].input, &mut program, length)
}

fn count_from(tests: &[StackTest], stack: &[i64], program: &mut Vec<u8>, left: u32) -> u64 {
    if left == 0 {
        return u64::from(*stack == *tests[0].output && passes(program, tests));
    }
    let mut count = 0;
    for operation in OPERATIONS {
        if let Ok(next) = run(&[*operation], stack) {
            program.push(*operation);
            count += count_from(tests, &next, program, left - 1);
            program.pop();
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{Example, refusal};
    use super::*;

    /// Examples and program, read back from the text.
    fn parse(text: &str) -> (Vec<StackTest>, &str) {
        let (examples, program) = text.split_once(':').expect("a colon");
        let numbers = |text: &str| text.split(' ').map(|number| number.parse().expect("a number")).collect();
        let test = |example: &str| {
            let (input, output) = example.split_once('>').expect("an arrow");
            StackTest { input: numbers(input), output: numbers(output) }
        };
        (examples.split(';').map(test).collect(), program)
    }

    #[test]
    fn programs_of_documents_and_answers_give_the_outputs_that_the_text_shows() {
        let example = Example::of("stack_program", "{}");
        for text in example.documents(500).iter().chain(&example.whole_questions()) {
            let (tests, program) = parse(text);
            assert!(passes(program.as_bytes(), &tests), "{text}");
        }
    }

    #[test]
    fn the_judge_has_the_examples_of_the_prompt() {
        for question in Example::of("stack_program", r#"{"length": 2}"#).questions() {
            let text = String::from_utf8(question.prompt.clone()).expect("text");
            let Judge::StackProgram { tests, max_tokens, end } = question.judge else { panic!("runs programs") };
            assert_eq!((tests, max_tokens, end), (parse(&text).0, 3, 0));
        }
    }

    #[test]
    fn no_shorter_program_is_right_and_chance_is_counted_over_all_of_the_length() {
        for question in Example::of("stack_program", r#"{"length": 2}"#).questions() {
            let Judge::StackProgram { tests, .. } = question.judge else { panic!("runs programs") };
            let of_one = OPERATIONS.iter().filter(|one| passes(&[**one], &tests)).count();
            let pairs = OPERATIONS.iter().flat_map(|one| OPERATIONS.iter().map(|two| [*one, *two]));
            let of_two = pairs.filter(|pair| passes(pair, &tests)).count();
            let (count, all) = if question.bucket == 1 { (of_one, 21.0) } else { (of_two, 441.0) };
            assert!(question.bucket == 1 || of_one == 0);
            assert!(count > 0 && (question.chance - count as f64 / all).abs() < 1e-12);
        }
    }

    #[test]
    fn no_examples_of_a_problem_are_trained_with_any_program() {
        let example = Example::of("stack_program", r#"{"length": 2, "examples": 2}"#);
        let held: BTreeSet<Vec<u8>> = example.questions().into_iter().map(|question| question.prompt).collect();
        assert!(held.len() > 50);
        for text in example.trained(3_000) {
            let end = text.find(':').expect("a colon") + 1;
            assert!(!held.contains(&text.as_bytes()[..end]), "{text}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        assert!(refusal("stack_program", r#"{"length": 5}"#).starts_with("`length` is 5; 1 to 4 is allowed"));
        assert!(refusal("stack_program", r#"{"examples": 1}"#).starts_with("`examples` is 1; 2 to 5 is allowed"));
    }
}
