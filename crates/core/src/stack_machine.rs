//! A small stack machine: what a model's answer is run on where several programs are right.
//!
//! A program is a line of printable bytes, one operation each. There is no jump and no memory beside the stack, so that
//! a program ends after as many steps as it has bytes, and a bad one can do nothing but fail.
//!
//! | byte | before → after (top last) | |
//! |---|---|---|
//! | `0` … `9` | → n | the digit |
//! | `+` `-` `*` | a b → a∘b | fails where the result does not fit 64 bits |
//! | `<` `>` | a b → min, max of the two | |
//! | `n` | a → −a | |
//! | `d` | a → a a | copies the top |
//! | `o` | a b → a b a | copies the one below |
//! | `s` | a b → b a | swaps |
//! | `r` | a b c → b c a | brings the third up |
//! | `p` | a → | drops the top |

use thiserror::Error;

use crate::problem::StackTest;

/// Most operations of a program, and so most steps of a run.
pub const MAX_STEPS: usize = 256;

/// Most numbers on the stack, before, during and after a run.
pub const MAX_STACK: usize = 64;

/// All operations, in the order of the module's table.
pub const OPERATIONS: &[u8] = b"0123456789+-*<>ndosrp";

/// Why a program has no result. Positions count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// More operations than [`MAX_STEPS`].
    #[error("the program has {operations} operations; {MAX_STEPS} are allowed")]
    TooLong {
        /// How many it has.
        operations: usize,
    },
    /// A byte that is no operation.
    #[error("byte {byte} at {at} is no operation")]
    UnknownOperation {
        /// Where.
        at: usize,
        /// Which.
        byte: u8,
    },
    /// An operation needs more numbers than there are.
    #[error("the stack is too small for the operation at {at}")]
    Underflow {
        /// Where.
        at: usize,
    },
    /// A result does not fit 64 bits.
    #[error("the result of the operation at {at} does not fit 64 bits")]
    Overflow {
        /// Where.
        at: usize,
    },
    /// More numbers than [`MAX_STACK`].
    #[error("the stack has more than {MAX_STACK} numbers after {steps} operations")]
    StackFull {
        /// Operations done.
        steps: usize,
    },
}

/// Runs a program on a stack (top last) and gives the stack that it leaves.
///
/// # Errors
///
/// Where the program is no program, or an operation fails.
pub fn run(program: &[u8], input: &[i64]) -> Result<Vec<i64>, Fault> {
    if program.len() > MAX_STEPS {
        return Err(Fault::TooLong { operations: program.len() });
    }
    let mut stack = input.to_vec();
    for steps in 0..=program.len() {
        if stack.len() > MAX_STACK {
            return Err(Fault::StackFull { steps });
        }
        if let Some(byte) = program.get(steps) {
            step(&mut stack, *byte, steps)?;
        }
    }
    Ok(stack)
}

/// Whether a program gives the output of every test; a program without tests is not right.
#[must_use]
pub fn passes(program: &[u8], tests: &[StackTest]) -> bool {
    let right = |test: &StackTest| run(program, &test.input).is_ok_and(|stack| stack == test.output);
    !tests.is_empty() && tests.iter().all(right)
}

fn step(stack: &mut Vec<i64>, byte: u8, at: usize) -> Result<(), Fault> {
    match byte {
        b'0'..=b'9' => stack.push(i64::from(byte - b'0')),
        b'+' => binary(stack, at, i64::checked_add)?,
        b'-' => binary(stack, at, i64::checked_sub)?,
        b'*' => binary(stack, at, i64::checked_mul)?,
        b'<' => binary(stack, at, |a, b| Some(a.min(b)))?,
        b'>' => binary(stack, at, |a, b| Some(a.max(b)))?,
        b'n' => {
            let [a] = take(stack, at)?;
            stack.push(a.checked_neg().ok_or(Fault::Overflow { at })?);
        }
        b'd' => take(stack, at).map(|[a]| stack.extend([a, a]))?,
        b'o' => take(stack, at).map(|[a, b]| stack.extend([a, b, a]))?,
        b's' => take(stack, at).map(|[a, b]| stack.extend([b, a]))?,
        b'r' => take(stack, at).map(|[a, b, c]| stack.extend([b, c, a]))?,
        b'p' => take(stack, at).map(|[_]| ())?,
        _ => return Err(Fault::UnknownOperation { at, byte }),
    }
    Ok(())
}

/// Takes the last numbers off the stack, the top last.
fn take<const N: usize>(stack: &mut Vec<i64>, at: usize) -> Result<[i64; N], Fault> {
    let taken = *stack.last_chunk::<N>().ok_or(Fault::Underflow { at })?;
    stack.truncate(stack.len() - N);
    Ok(taken)
}

fn binary(stack: &mut Vec<i64>, at: usize, operation: fn(i64, i64) -> Option<i64>) -> Result<(), Fault> {
    let [a, b] = take(stack, at)?;
    stack.push(operation(a, b).ok_or(Fault::Overflow { at })?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_does_what_the_table_says() {
        let cases: [(&[u8], &[i64], &[i64]); 13] = [
            (b"7", &[], &[7]),
            (b"+", &[9, 5, 3], &[9, 8]),
            (b"-", &[5, 3], &[2]),
            (b"*", &[5, -3], &[-15]),
            (b"<", &[5, 3], &[3]),
            (b">", &[5, 3], &[5]),
            (b"n", &[5], &[-5]),
            (b"d", &[5], &[5, 5]),
            (b"o", &[5, 3], &[5, 3, 5]),
            (b"s", &[5, 3], &[3, 5]),
            (b"r", &[1, 2, 3], &[2, 3, 1]),
            (b"p", &[5, 3], &[5]),
            (b"", &[1, 2], &[1, 2]),
        ];
        for (program, input, output) in cases {
            assert_eq!(run(program, input), Ok(output.to_vec()), "{}", program.escape_ascii());
        }
    }

    #[test]
    fn the_table_and_the_list_of_operations_are_the_same() {
        let known = |byte: &u8| !matches!(run(&[*byte], &[1, 2, 3]), Err(Fault::UnknownOperation { .. }));
        let mut found: Vec<u8> = (0..=u8::MAX).filter(known).collect();
        let mut listed = OPERATIONS.to_vec();
        found.sort_unstable();
        listed.sort_unstable();
        assert_eq!(found, listed);
    }

    #[test]
    fn the_square_of_a_sum_is_a_program() {
        // (2 + 3)² = 25; the square of the sum of a and b.
        assert_eq!(run(b"+d*", &[2, 3]), Ok(vec![25]));
    }

    #[test]
    fn what_does_not_fit_64_bits_fails_and_does_not_wrap() {
        assert_eq!(run(b"1+", &[i64::MAX]), Err(Fault::Overflow { at: 1 }));
        assert_eq!(run(b"1-", &[i64::MIN]), Err(Fault::Overflow { at: 1 }));
        assert_eq!(run(b"n", &[i64::MIN]), Err(Fault::Overflow { at: 0 }));
        assert_eq!(run(b"d*", &[1 << 32]), Err(Fault::Overflow { at: 1 }));
        assert_eq!(run(b"n", &[i64::MAX]), Ok(vec![-i64::MAX]));
    }

    #[test]
    fn too_few_numbers_are_a_fault_at_the_operation() {
        for (program, input) in [(&b"3p+"[..], &[1][..]), (b"d", &[]), (b"2+-", &[1]), (b"4r", &[1])] {
            let at = program.len() - 1;
            assert_eq!(run(program, input), Err(Fault::Underflow { at }), "{}", program.escape_ascii());
        }
    }

    #[test]
    fn a_byte_of_text_is_no_operation() {
        assert_eq!(run(b"1 ", &[]), Err(Fault::UnknownOperation { at: 1, byte: b' ' }));
        assert_eq!(run(&[0], &[]), Err(Fault::UnknownOperation { at: 0, byte: 0 }));
    }

    #[test]
    fn steps_and_stack_are_bounded() {
        let longest = [b"1p".as_slice(); MAX_STEPS / 2].concat();
        assert_eq!(run(&longest, &[]), Ok(vec![]));
        assert_eq!(run(&[longest, b"1".to_vec()].concat(), &[]), Err(Fault::TooLong { operations: MAX_STEPS + 1 }));
        assert_eq!(run(&[b'1'; MAX_STACK], &[]).map(|stack| stack.len()), Ok(MAX_STACK));
        assert_eq!(run(&[b'1'; MAX_STACK + 1], &[]), Err(Fault::StackFull { steps: MAX_STACK + 1 }));
        assert_eq!(run(b"", &[0; MAX_STACK + 1]), Err(Fault::StackFull { steps: 0 }));
    }

    #[test]
    fn a_program_is_right_when_it_passes_every_test_and_there_is_one() {
        let test = |input: &[i64], output: &[i64]| StackTest { input: input.into(), output: output.into() };
        let square = [test(&[3], &[9]), test(&[-4], &[16])];
        assert!(passes(b"d*", &square));
        assert!(passes(b"ndn*n", &square), "another right program");
        assert!(!passes(b"3*", &square), "right for one of two tests");
        assert!(!passes(b"d**", &square), "a fault is not right");
        assert!(!passes(b"d*", &[]));
    }
}
