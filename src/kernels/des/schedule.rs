//! The order of keys and rounds of DES-EDE3.

/// Octets of a block.
pub(in crate::kernels) const BLOCK: usize = 8;
/// The most lanes that there are.
pub(in crate::kernels) const WIDEST: usize = 64;
pub(in crate::kernels) const ROUNDS: usize = 16;

/// Fewer blocks than this are faster one by one than in all lanes at once.
pub(in crate::kernels) const FEW: usize = 6;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) enum Direction {
    Encrypt,
    Decrypt,
}

/// The rounds of all three keys, in their order.
pub(in crate::kernels) const STEPS: usize = 3 * ROUNDS;

/// The key, and its round, of each step. Encryption uses the rounds of the second key backwards,
/// decryption those of the others, beginning with the last key.
pub(in crate::kernels) const fn step_of(direction: Direction, step: usize) -> (usize, usize) {
    let (stage, round) = (step / ROUNDS, step % ROUNDS);
    match direction {
        Direction::Encrypt => (stage, if stage == 1 { ROUNDS - 1 - round } else { round }),
        Direction::Decrypt => (2 - stage, if stage == 1 { round } else { ROUNDS - 1 - round }),
    }
}
