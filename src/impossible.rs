//! Branches that no input reaches.
//!
//! The library does not panic, so such a branch must give some answer. Each says so by calling
//! [`impossible`] or [`part`]: that fails a debug build, so that the tests find a branch which is
//! reached after all.

use core::slice::SliceIndex;

/// The answer of a branch that no input reaches: an error `Internal`, or nothing.
#[inline(always)]
pub(crate) fn impossible<T>(answer: T) -> T {
    debug_assert!(false, "a branch that no input reaches");
    answer
}

/// A part of a slice or text that is there by construction.
#[inline(always)]
pub(crate) fn part<S: ?Sized + Sliced, I: SliceIndex<S, Output = S>>(all: &S, range: I) -> &S {
    match S::part(all, range) {
        Some(part) => part,
        None => impossible(S::empty()),
    }
}

/// A part of a mutable slice that is there by construction.
#[inline(always)]
pub(crate) fn part_mut<T, I: SliceIndex<[T], Output = [T]>>(all: &mut [T], range: I) -> &mut [T] {
    match all.get_mut(range) {
        Some(part) => part,
        None => impossible(&mut []),
    }
}

/// Slices and texts.
pub(crate) trait Sliced {
    fn part<I: SliceIndex<Self, Output = Self>>(&self, range: I) -> Option<&Self>;
    fn empty<'a>() -> &'a Self;
}

impl<T> Sliced for [T] {
    #[inline(always)]
    fn part<I: SliceIndex<Self, Output = Self>>(&self, range: I) -> Option<&Self> {
        self.get(range)
    }

    #[inline(always)]
    fn empty<'a>() -> &'a Self {
        &[]
    }
}

impl Sliced for str {
    #[inline(always)]
    fn part<I: SliceIndex<Self, Output = Self>>(&self, range: I) -> Option<&Self> {
        self.get(range)
    }

    #[inline(always)]
    fn empty<'a>() -> &'a Self {
        ""
    }
}
