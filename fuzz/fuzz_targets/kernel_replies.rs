//! What a kernel may answer: read, and states made again from it.
#![no_main]

use std::num::NonZeroU32;

use ipsec_3gpp::export::xfrm::{Owner, Reply, Running, replies};
use libfuzzer_sys::fuzz_target;

fn state(state: &Running<'_>, owner: &Owner) {
    let numbers = state.numbers();
    if let Ok(Some(numbers)) = &numbers {
        // Whatever the octets: nothing above the highest is refused, nothing below the window is
        // accepted.
        assert!(
            numbers.is_refused(0)
                || numbers.highest == 0 && numbers.window == 0
                || numbers.highest < numbers.window
        );
        assert!(numbers.highest == u32::MAX || !numbers.is_refused(numbers.highest + 1));
        if let Some(old) = numbers.highest.checked_sub(numbers.window) {
            assert!(numbers.is_refused(old));
        }
    }
    let _ = (state.is_of(owner), state.ip_numbers(100_000));
    if let Ok(octets) = state.restore(7, 1) {
        let again: Vec<_> = replies(&octets).collect();
        let [Ok((7, Reply::State(again)))] = again.as_slice() else { panic!("{again:?}") };
        assert_eq!((again.id, again.selector, again.number), (state.id, state.selector, state.number));
        let (before, after) =
            (numbers.expect("read").expect("there"), again.numbers().expect("read").expect("there"));
        assert_eq!(
            (after.highest, after.window, after.sent),
            (before.highest, before.window, before.sent.saturating_add(1))
        );
    }
}

fuzz_target!(|octets: &[u8]| {
    let owner = Owner::new(NonZeroU32::MIN);
    for reply in replies(octets) {
        match reply {
            Ok((_, Reply::State(running))) => state(&running, &owner),
            Ok((_, Reply::Expired(expired))) => state(&expired.state, &owner),
            Ok((_, Reply::Numbers(aevent))) => drop(aevent.numbers()),
            Ok((_, Reply::Failed(failure))) => drop(failure.to_string()),
            Ok((_, reply)) => drop(format!("{reply:?}")),
            Err(error) => drop(error.to_string()),
        }
    }
});
