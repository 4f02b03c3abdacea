//! Branches that few packets take.

/// Says so: the compiler puts such a branch apart, so that what nearly all packets run through is
/// one piece of code. A jump takes a processor as long as eight instructions.
#[cold]
pub(crate) const fn rare() {}
