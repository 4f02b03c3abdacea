//! The keys of AES-GCM and AES-GMAC, and which kernel uses them.

use super::super::aes::ni;
use super::super::detect::{Kind, Vectors};
use super::kernel;
use super::material::{BLOCK, Expanded, LAST_POWER, Packet, Trailer, Width};
use super::powers;

cpufeatures::new!(has_narrow, "avx2", "aes", "pclmulqdq");
cpufeatures::new!(has_vbmi2, "avx512vbmi2", "bmi2");

/// What the kernel of the width of a key does.
macro_rules! of_width {
    ($key:ident, $kernel:ident => $work:expr) => {
        match $key.expanded.width {
            Width::One => {
                use kernel::one as $kernel;
                $work
            }
            Width::Two => {
                use kernel::two as $kernel;
                $work
            }
            Width::Four => {
                use kernel::four as $kernel;
                $work
            }
            Width::FourKaratsuba => {
                use kernel::four_karatsuba as $kernel;
                $work
            }
        }
    };
}

/// A key for AES-GCM or AES-GMAC, for all packets of the SAs that share it. It wipes itself.
pub(crate) struct Key {
    expanded: Expanded,
}

#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl Key {
    /// The widest kernel of these vectors, or the narrowest without any. `None` if the machine has
    /// no instructions for AES, or multiplies no polynomials.
    pub(crate) fn new(vectors: Option<Vectors>, key: &[u8; BLOCK], salt: &[u8; 4]) -> Option<Self> {
        if !has_narrow::get() {
            return None;
        }
        let width = match vectors {
            Some(vectors) if vectors.has_vaes_and_vpclmulqdq() => match vectors.kind() {
                Kind::Avx512 { whole: true } if has_vbmi2::get() => Width::Four,
                Kind::Avx512 { whole: false } if has_vbmi2::get() => Width::FourKaratsuba,
                Kind::Avx512 { .. } | Kind::Avx2 => Width::Two,
            },
            Some(_) | None => Width::One,
        };
        Some(Self::of(width, key, salt))
    }

    fn of(width: Width, key: &[u8; BLOCK], salt: &[u8; 4]) -> Self {
        let (round_keys, powers) = ([[0; BLOCK]; 11], [[0; BLOCK]; LAST_POWER]);
        let (nonce, end) = ([0; BLOCK], [0; BLOCK - 1]);
        let mut new = Self { expanded: Expanded { round_keys, powers, nonce, width, end } };
        let expanded = &mut new.expanded;
        // SAFETY: it has been asked whether the machine has AES-NI and PCLMULQDQ.
        unsafe {
            ni::encrypting(key, &mut expanded.round_keys);
            powers::write(expanded);
        }
        expanded.nonce = expanded.round_keys[0];
        expanded.nonce.iter_mut().zip(salt).for_each(|(to, salt)| *to ^= salt);
        new
    }

    /// `None`, and nothing is sealed, if the lengths do not fit. Encrypts a text, if it is one that
    /// is encrypted, and writes, after it, the ICV of it and of the octets in front of it: the
    /// place given is for both. The payload is in its place already, or it is given; the trailer is
    /// not there yet.
    #[inline(always)]
    pub(crate) fn seal(
        &self,
        packet: Packet,
        payload: Option<&[u8]>,
        place: &mut [u8],
        trailer: Trailer,
    ) -> Option<()> {
        let len = place.len().checked_sub(BLOCK)?;
        // Kernels add trailers that are within their last vector.
        let is_at_end = of_width!(self, kernel => kernel::has_trailer_at_end(len, trailer));
        if is_at_end {
            return self.seal_at_once(packet, payload, place, trailer);
        }
        // As numbers: a packet would be written to the stack for this alone, whether it comes to it
        // or not.
        let Packet { iv, front: [first, second], front_octets, encrypts } = packet;
        self.seal_framed(iv, first, second, front_octets, encrypts, payload, place, trailer)
    }

    /// [`Key::seal`] in two steps: the packet is framed, and sealed then.
    #[cold]
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "see seal")]
    fn seal_framed(
        &self,
        iv: u64,
        first: u64,
        second: u64,
        front_octets: u32,
        encrypts: bool,
        payload: Option<&[u8]>,
        place: &mut [u8],
        trailer: Trailer,
    ) -> Option<()> {
        let packet = Packet { iv, front: [first, second], front_octets, encrypts };
        let len = text_len(place)?;
        let payload_len = len.checked_sub(trailer.len())?;
        if payload.is_some_and(|payload| payload.len() != payload_len) {
            return None;
        }
        let (text, end) = place.get_mut(..len)?.split_at_mut_checked(payload_len)?;
        if let Some(payload) = payload {
            text.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
        }
        end.iter_mut().zip(trailer.octets().to_le_bytes()).for_each(|(to, from)| *to = from);
        self.seal_at_once(packet, None, place, Trailer::NONE)
    }

    /// The text has octets, and the trailer is within its last vector.
    #[inline(always)]
    fn seal_at_once(
        &self,
        packet: Packet,
        payload: Option<&[u8]>,
        place: &mut [u8],
        trailer: Trailer,
    ) -> Option<()> {
        let Packet { iv, front: [first, second], front_octets, encrypts } = packet;
        let (key, len, to) = (&self.expanded, place.len().checked_sub(BLOCK)?, place.as_mut_ptr());
        let from = match payload {
            Some(payload) if payload.len() + trailer.len() == len => payload.as_ptr(),
            Some(_) => return None,
            None => to.cast_const(),
        };
        // SAFETY: a width is chosen only where the machine has what it needs, here and below. The
        // lengths have been compared; the caller has checked that the trailer is within the last
        // vector.
        of_width!(self, kernel => unsafe {
            let is_long = len > kernel::GROUP;
            match (encrypts, is_long) {
                (true, false) => kernel::seal(key, first, second, iv, front_octets, from, to, len, trailer),
                (true, true) => {
                    kernel::seal_long(key, first, second, iv, front_octets, from, to, len, trailer);
                    kernel::wipe_stack::<384>();
                }
                (false, _) => {
                    kernel::seal_clear(key, first, second, iv, front_octets, from, to, len, trailer);
                    if is_long || kernel::SPILLS {
                        kernel::wipe_stack::<192>();
                    }
                }
            }
        });
        Some(())
    }

    /// Whether the ICV after a text is that of it and of the octets in front of it, in constant
    /// time.
    #[inline]
    pub(crate) fn verify(&self, packet: &Packet, sealed: &[u8]) -> bool {
        let Some(len) = text_len(sealed) else { return false };
        let from = sealed.as_ptr();
        // SAFETY: it is as long as that. Where both places are the same, nothing is written.
        unsafe { self.verify_into(packet, from, from.cast_mut(), len) }
    }

    /// [`Key::verify`], and where the text is copied to.
    #[inline(always)]
    unsafe fn verify_into(&self, packet: &Packet, from: *const u8, to: *mut u8, len: usize) -> bool {
        let Packet { iv, front: [first, second], .. } = *packet;
        let lengths = packet.lengths(len);
        // SAFETY: as above, and as the caller says.
        of_width!(self, kernel => unsafe {
            let is_right = kernel::verify(&self.expanded, first, second, iv, lengths, from, to, len);
            if len > kernel::GROUP || kernel::SPILLS {
                kernel::wipe_stack::<192>();
            }
            is_right
        })
    }

    /// Decrypts a text, which its ICV is after, into a buffer that is as long as the text. `None`,
    /// and nothing is written, if the ICV is not that of the text and of the octets in front of it.
    /// The text is as long as words are; returns the last one.
    #[inline(always)]
    pub(crate) fn open(&self, packet: Packet, sealed: &[u8], to: &mut [u8]) -> Option<[u8; 4]> {
        let len = text_len(sealed).filter(|len| *len == to.len())?;
        let (from, to) = (sealed.as_ptr(), to.as_mut_ptr());
        // SAFETY: both are as long as that.
        unsafe {
            if packet.encrypts {
                return self.decrypt(packet, from, to, len);
            }
            // What has just been written is not read.
            self.verify_into(&packet, from, to, len).then(|| last_word(sealed, len))?
        }
    }

    /// [`Key::open`] in place.
    #[inline(always)]
    pub(crate) fn open_in_place(&self, packet: Packet, sealed: &mut [u8]) -> Option<[u8; 4]> {
        if !packet.encrypts {
            return self.verify(&packet, sealed).then(|| last_word(sealed, text_len(sealed)?))?;
        }
        let (len, to) = (text_len(sealed)?, sealed.as_mut_ptr());
        // SAFETY: it is as long as that.
        unsafe { self.decrypt(packet, to.cast_const(), to, len) }
    }

    #[inline(always)]
    unsafe fn decrypt(&self, packet: Packet, from: *const u8, to: *mut u8, len: usize) -> Option<[u8; 4]> {
        let Packet { iv, front: [first, second], front_octets, .. } = packet;
        let key = &self.expanded;
        // SAFETY: as above, and as the caller says.
        let word = of_width!(self, kernel => unsafe {
            if len > kernel::GROUP {
                kernel::open_long(key, first, second, iv, front_octets, from, to, len)
            } else {
                let word = kernel::open(key, first, second, iv, front_octets, from, to, len);
                if kernel::SPILLS {
                    kernel::wipe_stack::<320>();
                }
                word
            }
        });
        word.map(u32::to_le_bytes)
    }
}

/// Octets of a text that has its ICV after it. `None` if it has none: no text of ESP is without.
#[inline(always)]
fn text_len(with_icv: &[u8]) -> Option<usize> {
    with_icv.len().checked_sub(BLOCK).filter(|len| *len > 0)
}

/// The last word of a text of this length.
#[inline(always)]
fn last_word(text: &[u8], len: usize) -> Option<[u8; 4]> {
    text.get(..len)?.last_chunk().copied()
}

#[cfg(test)]
mod tests {
    use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit, StreamCipher};
    use ghash::universal_hash::UniversalHash;

    use super::*;

    /// What the crates make of it: text encrypted, and the ICV.
    fn judge(key: &[u8; BLOCK], counter: [u8; BLOCK], front: &[u8], text: &[u8]) -> [Vec<u8>; 2] {
        let cipher = aes::Aes128Enc::new(key.into());
        let mut h = [0; BLOCK];
        cipher.encrypt_block((&mut h).into());
        let mut text = text.to_vec();
        let mut second = counter;
        second[15] += 1;
        let core = ctr::CtrCore::<_, ctr::flavors::Ctr32BE>::inner_iv_init(&cipher, (&second).into());
        ctr::cipher::StreamCipherCoreWrapper::from_core(core).apply_keystream(&mut text);
        let mut ghash = ghash::GHash::new((&h).into());
        ghash.update_padded(front);
        ghash.update_padded(&text);
        let bits = [8 * front.len() as u64, 8 * text.len() as u64].map(u64::to_be_bytes);
        ghash.update(&[<[u8; BLOCK]>::try_from(bits.as_flattened()).unwrap().into()]);
        let mut icv = counter;
        cipher.encrypt_block((&mut icv).into());
        icv.iter_mut().zip(ghash.finalize()).for_each(|(to, from)| *to ^= from);
        [text, icv.to_vec()]
    }

    /// All that this machine has: the last one is the narrowest.
    fn widths() -> impl Iterator<Item = Width> {
        let vectors = Vectors::available().map(Some).chain([None]);
        vectors.filter_map(|vectors| Some(Key::new(vectors, &[0; BLOCK], &[0; 4])?.expanded.width))
    }

    /// With at most a block in front of the text.
    fn packet(nonce: &[u8], front: &[u8], encrypts: bool) -> Packet {
        let mut block = [0; BLOCK];
        block.iter_mut().zip(front).for_each(|(to, from)| *to = *from);
        let block = u128::from_be_bytes(block);
        Packet {
            iv: u64::from_le_bytes(*nonce[4..].first_chunk().unwrap()),
            front: [(block >> 64) as u64, block as u64],
            front_octets: front.len() as u32,
            encrypts,
        }
    }

    /// Seals a text, with its last octets as the trailer, in place and from another buffer; opens
    /// it again, in place and into another buffer; and does nothing with it if any of it is
    /// changed.
    fn checked(key: &Key, packet: &Packet, text: &[u8], sealed: &[u8]) {
        let name = format!("{:?}, {} octets", key.expanded.width, text.len());
        for len in 0..=text.len().min(5) {
            let (payload, trailer) = text.split_at(text.len() - len);
            let octets = trailer.iter().rev().fold(0, |octets, octet| octets << 8 | u64::from(*octet));
            let trailer = Trailer::new(octets, len);
            let mut apart = vec![0xee; sealed.len()];
            key.seal(*packet, Some(payload), &mut apart, trailer).unwrap();
            assert_eq!(apart, sealed, "{name}");
            let mut in_place = payload.to_vec();
            in_place.resize(sealed.len(), 0xee);
            key.seal(*packet, None, &mut in_place, trailer).unwrap();
            assert_eq!(in_place, sealed, "{name}");
        }
        assert!(key.verify(packet, sealed), "{name}");
        let last = text.last_chunk().copied();
        let mut to = vec![0xee; text.len()];
        let end = key.open(*packet, sealed, &mut to);
        if text.len() >= 4 && text.len().is_multiple_of(4) {
            assert_eq!(end, last, "{name}");
        }
        let mut in_place = sealed.to_vec();
        let _ = key.open_in_place(*packet, &mut in_place);
        let icv = &sealed[text.len()..];
        assert_eq!((to.as_slice(), in_place.as_slice()), (text, [text, icv].concat().as_slice()), "{name}");
        // One bit of the text in every vector, of its last octet, and of the ICV.
        let bits = (0..8 * text.len()).step_by(509).chain([8 * text.len() - 1]);
        for bit in bits.chain([8 * text.len() + text.len() % 128]) {
            let mut other = sealed.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            refused(key, packet, &other);
        }
    }

    fn refused(key: &Key, packet: &Packet, sealed: &[u8]) {
        assert!(!key.verify(packet, sealed));
        let mut to = vec![0xee; sealed.len() - BLOCK];
        assert_eq!(key.open(*packet, sealed, &mut to), None);
        assert!(to.iter().all(|octet| *octet == 0xee), "nothing is decrypted");
        let mut in_place = sealed.to_vec();
        assert_eq!(key.open_in_place(*packet, &mut in_place), None);
        assert_eq!(in_place, sealed, "nothing is decrypted");
    }

    /// Those of Wycheproof that have a key of 128 bits, a nonce of 96, at most a block in front,
    /// and a text, as every packet of ESP has one; and the packets of draft-mcgrew-gcm-test with
    /// such a key, extended sequence numbers included.
    #[test]
    fn the_answers_are_those_of_wycheproof_and_of_the_draft() {
        let mut cases = Vec::new();
        for case in crate::vectors::vectors(include_str!("../../../../tests/data/wycheproof-aes-gcm.txt")) {
            let part = |name: &str| case.hex(name);
            let sealed = [part("ctext"), part("tag")].concat();
            let is_valid = case.text("valid") == "true";
            cases.push(([part("key"), part("nonce"), part("aad"), part("plaintext"), sealed], is_valid));
        }
        for case in crate::vectors::vectors(include_str!("../../../../tests/data/gcm-esp.txt")) {
            let part = |name: &str| case.hex(name);
            let parts = [part("key"), part("nonce"), part("aad"), part("plaintext"), part("ctext_tag")];
            cases.push((parts, true));
        }
        let (mut texts, mut macs) = (0, 0);
        // No text of ESP is without octets: of these, the judge of all lengths is judged.
        for ([secret, nonce, aad, plain, tag], is_valid) in &cases {
            if plain.is_empty() {
                let j0 = [nonce.as_slice(), &[0, 0, 0, 1]].concat();
                let [_, icv] = judge(secret.first_chunk().unwrap(), *j0.first_chunk().unwrap(), aad, &[]);
                assert_eq!(icv == *tag, *is_valid);
                macs += 1;
            }
        }
        for width in widths() {
            for ([secret, nonce, aad, plain, sealed], is_valid) in &cases {
                let key = Key::of(width, secret.first_chunk().unwrap(), nonce.first_chunk().unwrap());
                if aad.len() <= BLOCK && !plain.is_empty() {
                    let packet = packet(nonce, aad, true);
                    assert_eq!(key.verify(&packet, sealed), *is_valid, "{width:?}");
                    if *is_valid {
                        checked(&key, &packet, plain, sealed);
                        texts += 1;
                    } else {
                        refused(&key, &packet, sealed);
                    }
                }
            }
        }
        assert!(texts >= 30 * widths().count() && macs >= 1, "{texts} {macs}");
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused_and_nothing_is_written() {
        for width in widths() {
            let key = Key::of(width, &[1; BLOCK], &[2; 4]);
            let (nonce, payload, longer) = ([3; 12], [4; 98], [4; 120]);
            for encrypts in [true, false] {
                let packet = packet(&nonce, &[5; BLOCK], encrypts);
                let trailer = Trailer::new(0x1101, 2);
                let mut sealed = [0xee; 100 + BLOCK];
                for len in [0, 96, 97, 99, 120] {
                    assert!(key.seal(packet, Some(&longer[..len]), &mut sealed, trailer).is_none());
                }
                assert!(key.seal(packet, None, &mut sealed[..BLOCK], Trailer::NONE).is_none());
                for len in 0..=BLOCK + 1 {
                    assert!(key.seal(packet, Some(&payload), &mut sealed[..len], trailer).is_none());
                }
                assert!(sealed.iter().all(|octet| *octet == 0xee));
                key.seal(packet, Some(&payload), &mut sealed, trailer).unwrap();
                for len in [0, 99, 101] {
                    let mut to = vec![0xee; len];
                    assert!(key.open(packet, &sealed, &mut to).is_none());
                    assert!(to.iter().all(|octet| *octet == 0xee));
                }
                for len in 0..=BLOCK {
                    let mut short = sealed[..len].to_vec();
                    assert!(!key.verify(&packet, &short));
                    assert!(key.open(packet, &sealed[..len], &mut []).is_none());
                    assert!(key.open_in_place(packet, &mut short).is_none());
                }
                assert!(key.open(packet, &sealed, &mut [0; 100]).is_some());
            }
        }
    }

    /// The standard library asks the processor in its own way.
    #[test]
    fn the_width_is_the_widest_that_the_processor_has() {
        let has_vaes = is_x86_feature_detected!("vaes") && is_x86_feature_detected!("vpclmulqdq");
        for vectors in Vectors::available() {
            let has_vbmi2 = is_x86_feature_detected!("avx512vbmi2");
            let wanted = match (has_vaes, vectors.name()) {
                (true, "avx512-whole") if has_vbmi2 => Width::Four,
                (true, "avx512") if has_vbmi2 => Width::FourKaratsuba,
                (true, _) => Width::Two,
                (false, _) => Width::One,
            };
            let key = Key::new(Some(vectors), &[0; BLOCK], &[0; 4]).unwrap();
            assert_eq!(key.expanded.width, wanted, "{vectors:?}");
        }
    }

    #[test]
    fn every_width_and_length_gives_what_the_crates_give() {
        for width in widths() {
            for len in (1..1200).chain([1535, 1536, 1537, 2049, 2560, 4064, 4080, 4096, 20_000, 65_000]) {
                let octet = |n: usize| (n * 7 + len * 13) as u8;
                let secret: [u8; BLOCK] = core::array::from_fn(|n| octet(n + 100));
                let mut j0: [u8; BLOCK] = core::array::from_fn(|n| octet(n + 200));
                j0[12..].copy_from_slice(&1_u32.to_be_bytes());
                let front: [u8; BLOCK] = core::array::from_fn(octet);
                let text: Vec<u8> = (0..len).map(octet).collect();
                let key = Key::of(width, &secret, j0.first_chunk().unwrap());
                let sealed = judge(&secret, j0, &front[..8], &text).concat();
                checked(&key, &packet(&j0, &front[..8], true), &text, &sealed);
                let [_, icv] = judge(&secret, j0, &[front.as_slice(), &text].concat(), &[]);
                checked(&key, &packet(&j0, &front, false), &text, &[text.as_slice(), &icv].concat());
            }
        }
    }
}
