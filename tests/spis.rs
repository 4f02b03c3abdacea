//! SPIs: never one that is in use, reserved or excluded; slices; exhaustion; quarantine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

use std::collections::{HashMap, HashSet};

use ipsec_3gpp::SpiAllocator;
use ipsec_3gpp::spi::{ReservedSpi, Spi, SpiSlice, SpiSpaceError, SpisExhausted};
use proptest::prelude::*;

#[test]
fn reserved_values_are_no_spis_of_ones_own() {
    for value in 0..256 {
        assert_eq!(Spi::new(value), Err(ReservedSpi(value)));
    }
    assert_eq!(Spi::new(256).unwrap().value(), 256);
    assert_eq!(Spi::from_peer(0), Err(ReservedSpi(0)));
    assert!(Spi::from_peer(1).unwrap().is_reserved());
    assert_eq!(Spi::new(u32::MAX).unwrap().to_string(), "4294967295");
}

#[test]
fn slices_part_the_space_and_tell_whose_an_spi_is() {
    for bits in [0, 1, 3, 8, 16] {
        let count = 1_u32 << bits;
        for index in [0, 1, count / 2, count - 1] {
            if index >= count {
                continue;
            }
            let slice = SpiSlice::new(index, bits).unwrap();
            let mut spis = SpiAllocator::new(slice, 64, [index as u8; 16]).unwrap();
            for _ in 0..64 {
                let spi = spis.allocate(&[]).unwrap();
                assert_eq!(SpiSlice::index_of(spi, bits), index);
                assert!(slice.contains(spi) && !spi.is_reserved());
            }
        }
        assert_eq!(SpiSlice::new(count, bits), Err(SpiSpaceError::NoSuchSlice { index: count, bits }));
    }
    assert!(SpiSlice::new(0, 17).is_err());
}

#[test]
fn capacity_is_kept_and_its_end_is_an_error_that_changes_nothing() {
    let mut spis = SpiAllocator::new(SpiSlice::WHOLE, 5, [1; 16]).unwrap();
    let pair = spis.allocate_pair(&[]).unwrap();
    spis.allocate_pair(&[]).unwrap();
    // One is left, and a pair is two: none is taken.
    assert_eq!(spis.allocate_pair(&[]), Err(SpisExhausted { capacity: 5 }));
    assert_eq!(spis.in_use(), 4);
    spis.allocate(&[]).unwrap();
    assert_eq!(spis.allocate(&[]), Err(SpisExhausted { capacity: 5 }));
    assert!(spis.release(pair.client));
    assert!(!spis.release(pair.client));
    assert!(spis.allocate(&[]).is_ok());
    for capacity in [0, (1 << 28) + 1] {
        assert!(matches!(
            SpiAllocator::new(SpiSlice::WHOLE, capacity, [0; 16]),
            Err(SpiSpaceError::Capacity { .. })
        ));
    }
}

#[test]
fn a_released_spi_does_not_come_back_before_its_slot_was_used_fifteen_more_times() {
    // The tightest allocator there can be: a slice of 2^16, a sixteenth of it in use, no reserved
    // values in it.
    let mut spis = SpiAllocator::new(SpiSlice::new(1, 16).unwrap(), 4096, [3; 16]).unwrap();
    let mut held: Vec<_> = (0..4096).map(|_| spis.allocate(&[]).unwrap()).collect();
    let mut last_seen: HashMap<Spi, usize> = HashMap::new();
    for round in 0..4096 * 20 {
        let spi = held[round % 4096];
        assert!(spis.release(spi));
        let new = spis.allocate(&[]).unwrap();
        held[round % 4096] = new;
        last_seen.insert(spi, round);
        if let Some(released) = last_seen.get(&new) {
            assert!(round - released >= 15 * 4096, "{new} came back after {} uses", round - released);
        }
    }
}

#[test]
fn spis_look_random() {
    let spis_of = |seed| {
        let mut spis = SpiAllocator::new(SpiSlice::WHOLE, 1 << 16, [seed; 16]).unwrap();
        (0..1 << 16).map(|_| spis.allocate(&[]).unwrap().value()).collect::<Vec<_>>()
    };
    let spis = spis_of(1);
    // Every bit is set in about half of them, and neighbours differ in about half of their bits.
    for bit in 0..32 {
        let set = spis.iter().filter(|spi| *spi >> bit & 1 == 1).count();
        assert!((32_000..33_600).contains(&set), "bit {bit} is set in {set} of 65536");
    }
    let changes: u32 = spis.windows(2).map(|pair| (pair[0] ^ pair[1]).count_ones()).sum();
    assert!((15.9..16.1).contains(&(f64::from(changes) / 65_535.0)));
    assert_ne!(spis, spis_of(2), "the seed decides");
}

#[derive(Clone, Debug)]
enum Operation {
    Allocate,
    AllocatePair,
    Release(usize),
    ReleaseUnknown(u32),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        3 => Just(Operation::Allocate),
        1 => Just(Operation::AllocatePair),
        3 => any::<usize>().prop_map(Operation::Release),
        1 => any::<u32>().prop_map(Operation::ReleaseUnknown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn allocation_agrees_with_a_set(
        operations in proptest::collection::vec(operation(), 0..400),
        seed: [u8; 16],
        (bits, index) in (0..=16_u32).prop_flat_map(|bits| (Just(bits), 0..1_u32 << bits)),
        capacity in 1..100_u32,
    ) {
        let slice = SpiSlice::new(index, bits).unwrap();
        let mut spis = SpiAllocator::new(slice, capacity, seed).unwrap();
        let mut excluded = Vec::new();
        let mut model: Vec<Spi> = Vec::new();
        for operation in operations {
            match operation {
                Operation::Allocate => match spis.allocate(&excluded) {
                    Ok(spi) => {
                        prop_assert!(!model.contains(&spi) && !excluded.contains(&spi) && slice.contains(spi));
                        model.push(spi);
                    }
                    Err(_) => prop_assert_eq!(model.len(), capacity as usize),
                },
                Operation::AllocatePair => match spis.allocate_pair(&excluded) {
                    Ok(pair) => {
                        prop_assert!(pair.client != pair.server);
                        prop_assert!(!model.contains(&pair.client) && !model.contains(&pair.server));
                        model.extend([pair.client, pair.server]);
                    }
                    Err(_) => prop_assert!(model.len() + 2 > capacity as usize),
                },
                Operation::Release(which) if !model.is_empty() => {
                    let spi = model.swap_remove(which % model.len());
                    prop_assert!(spis.release(spi));
                    // The next one would be likely to meet it, did it not know better.
                    excluded = vec![spi];
                }
                Operation::Release(_) => {}
                Operation::ReleaseUnknown(value) => {
                    let Ok(spi) = Spi::new(value) else { continue };
                    prop_assert_eq!(spis.release(spi), model.contains(&spi));
                    model.retain(|known| *known != spi);
                }
            }
            prop_assert_eq!(spis.in_use() as usize, model.len());
            let slots: HashSet<_> = model.iter().map(|spi| spis.slot(*spi).unwrap()).collect();
            prop_assert_eq!(slots.len(), model.len());
            prop_assert!(slots.iter().all(|slot| *slot < capacity));
        }
    }
}
