//! The keys of AES-GCM and AES-GMAC, and which kernel uses them.

use super::super::aes::ni;
use super::super::detect::{Kind, Vectors};
use super::kernel;
use super::material::{BLOCK, Calls, Expanded, LAST_POWER, Trailer};
use super::powers;
use crate::impossible::impossible;
use crate::rare::rare;

cpufeatures::new!(has_narrow, "avx2", "aes", "pclmulqdq");
cpufeatures::new!(has_vbmi2, "avx512vbmi2", "bmi2");

/// Octets of SPI and sequence number: what AES-GCM authenticates in front of a text.
const IDS: usize = 8;
/// Octets of a header: SPI, sequence number and IV.
const HEADER: usize = BLOCK;

/// How many blocks the vectors of a kernel have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    One,
    Two,
    Four,
    /// The same, where a product takes longer than a few sums.
    FourKaratsuba,
}

impl Width {
    /// The widest that these vectors have, or the narrowest without any. `None` if the machine has
    /// no instructions for AES, or multiplies no polynomials.
    fn of(vectors: Option<Vectors>) -> Option<Self> {
        if !has_narrow::get() {
            return None;
        }
        Some(match vectors {
            Some(vectors) if vectors.has_vaes_and_vpclmulqdq() => match vectors.kind() {
                Kind::Avx512 { whole: true } if has_vbmi2::get() => Width::Four,
                Kind::Avx512 { whole: false } if has_vbmi2::get() => Width::FourKaratsuba,
                Kind::Avx512 { .. } | Kind::Avx2 => Width::Two,
            },
            Some(_) | None => Width::One,
        })
    }

    /// What encrypts texts with this many octets in front that are authenticated.
    fn encrypting<const FRONT: usize>(self) -> &'static Calls {
        match self {
            Width::One => const { &kernel::one::encrypting::<FRONT>() },
            Width::Two => const { &kernel::two::encrypting::<FRONT>() },
            Width::Four => const { &kernel::four::encrypting::<FRONT>() },
            Width::FourKaratsuba => const { &kernel::four_karatsuba::encrypting::<FRONT>() },
        }
    }

    fn authenticating(self) -> &'static Calls {
        match self {
            Width::One => const { &kernel::one::authenticating() },
            Width::Two => const { &kernel::two::authenticating() },
            Width::Four => const { &kernel::four::authenticating() },
            Width::FourKaratsuba => const { &kernel::four_karatsuba::authenticating() },
        }
    }
}

/// A key for AES-GCM or AES-GMAC, for all packets of the SAs that share it. It wipes itself.
pub(crate) struct Key {
    expanded: Expanded,
}

#[allow(unsafe_code, reason = "functions that need instructions which not every processor has")]
impl Key {
    /// A key for the widest kernel of these vectors. `None` if the machine has no kernel.
    pub(crate) fn new(
        vectors: Option<Vectors>,
        key: &[u8; BLOCK],
        salt: &[u8; 4],
        encrypts: bool,
    ) -> Option<Self> {
        let width = Width::of(vectors)?;
        let calls = if encrypts { width.encrypting::<IDS>() } else { width.authenticating() };
        Some(Self::with(calls, key, salt))
    }

    /// The calls are those of a width that the machine has.
    fn with(calls: &'static Calls, key: &[u8; BLOCK], salt: &[u8; 4]) -> Self {
        let (round_keys, powers) = ([[0; BLOCK]; 11], [[0; BLOCK]; LAST_POWER]);
        let (nonce, end) = ([0; BLOCK], Default::default());
        let mut new = Self { expanded: Expanded { round_keys, powers, nonce, calls, end } };
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

    /// Makes a packet in a place that is as long: writes header, trailer and ICV, and encrypts, if
    /// that is what the key is for. The payload is in its place already, or it is given. `None`,
    /// and nothing is written, if the lengths do not fit.
    #[inline(always)]
    pub(crate) fn seal(
        &self,
        (ids, iv): (u64, u64),
        payload: Option<&[u8]>,
        packet: &mut [u8],
        trailer: Trailer,
    ) -> Option<()> {
        // Of a packet that is shorter than what is around a text, no length of one is left.
        let len = packet.len().wrapping_sub(HEADER + BLOCK);
        let text = trailer.of(len)?;
        let to = packet.as_mut_ptr().wrapping_add(HEADER);
        let from = match payload {
            Some(payload) if payload.len() + trailer.len() == len => payload.as_ptr(),
            Some(_) => return None,
            None => to.cast_const(),
        };
        let calls = self.expanded.calls;
        // SAFETY: the calls are chosen only where the machine has what they need, here and below.
        // The lengths have been compared.
        let is_sealed = unsafe { (calls.seal.function)(&self.expanded, ids, iv, from, to, text) };
        self.wipe_after(len, calls.seal.clean);
        if is_sealed { Some(()) } else { self.seal_framed((ids, iv), payload, packet, trailer) }
    }

    /// [`Key::seal`] in two steps: the packet is framed, and sealed then.
    #[cold]
    #[inline(never)]
    fn seal_framed(
        &self,
        numbers: (u64, u64),
        payload: Option<&[u8]>,
        packet: &mut [u8],
        trailer: Trailer,
    ) -> Option<()> {
        if trailer.len() == 0 {
            return impossible(None);
        }
        let len = text_len(packet)?;
        let (text, end) =
            packet.get_mut(HEADER..HEADER + len)?.split_at_mut_checked(len.checked_sub(trailer.len())?)?;
        if let Some(payload) = payload {
            text.iter_mut().zip(payload).for_each(|(to, from)| *to = *from);
        }
        end.iter_mut().zip(trailer.octets().to_le_bytes()).for_each(|(to, from)| *to = from);
        self.seal(numbers, None, packet, Trailer::NONE)
    }

    /// Whether the ICV of a packet is right, in constant time.
    #[inline]
    pub(crate) fn verify(&self, packet: &[u8]) -> bool {
        let Some((text, len)) = text(packet) else { return false };
        let verify = &self.expanded.calls.verify;
        // SAFETY: it is as long as that. Where both places are the same, nothing is written.
        let word = unsafe { (verify.function)(&self.expanded, text, text.cast_mut(), len) };
        self.wipe_after(len, verify.clean);
        word.is_some()
    }

    /// Opens a packet into a buffer that is as long as its text. `None`, and nothing is written, if
    /// the ICV is not right. The text is as long as words are; returns the last one.
    #[inline(always)]
    pub(crate) fn open(&self, packet: &[u8], to: &mut [u8]) -> Option<[u8; 4]> {
        let (text, len) = text(packet).filter(|(_, len)| *len == to.len())?;
        // SAFETY: both are as long as that.
        unsafe { self.open_from(text, to.as_mut_ptr(), len) }
    }

    /// [`Key::open`] in place.
    #[inline(always)]
    pub(crate) fn open_in_place(&self, packet: &mut [u8]) -> Option<[u8; 4]> {
        let len = text_len(packet)?;
        let to = packet.as_mut_ptr().wrapping_add(HEADER);
        // SAFETY: it is as long as that.
        unsafe { self.open_from(to.cast_const(), to, len) }
    }

    #[inline(always)]
    unsafe fn open_from(&self, from: *const u8, to: *mut u8, len: usize) -> Option<[u8; 4]> {
        let open = &self.expanded.calls.open;
        // SAFETY: as the caller says.
        let word = unsafe { (open.function)(&self.expanded, from, to, len) };
        self.wipe_after(len, open.clean);
        word.map(u32::to_le_bytes)
    }

    /// Wipes the stack after a text that was longer than those that leave nothing there. With the
    /// widest vectors these are few.
    #[inline(always)]
    fn wipe_after(&self, len: usize, clean: usize) {
        if len > clean {
            rare();
            // SAFETY: as above.
            unsafe { (self.expanded.calls.wipe)() };
        }
    }
}

/// Octets of the text of a packet. `None` if it has none: no text of ESP is without.
#[inline(always)]
fn text_len(packet: &[u8]) -> Option<usize> {
    packet.len().checked_sub(HEADER + BLOCK).filter(|len| *len > 0)
}

/// Where the text of a packet is, and its octets.
#[inline(always)]
fn text(packet: &[u8]) -> Option<(*const u8, usize)> {
    let len = text_len(packet)?;
    Some((packet.as_ptr().wrapping_add(HEADER), len))
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
        Vectors::available().map(Some).chain([None]).filter_map(Width::of)
    }

    /// SPI, sequence number and IV.
    fn numbers(header: &[u8]) -> (u64, u64) {
        let (ids, iv) = header.split_first_chunk().unwrap();
        (u64::from_be_bytes(*ids), u64::from_be_bytes(iv.try_into().unwrap()))
    }

    /// Seals a text, with its last octets as the trailer, in place and from another buffer; opens
    /// it again, in place and into another buffer; and does nothing with it if any of it is
    /// changed. `sealed` is its packet: header, what the text becomes, and ICV.
    fn checked(name: &str, key: &Key, text: &[u8], sealed: &[u8]) {
        let name = format!("{name}, {} octets", text.len());
        let numbers = numbers(&sealed[..HEADER]);
        for len in 0..=text.len().min(5) {
            let (payload, trailer) = text.split_at(text.len() - len);
            let octets = trailer.iter().rev().fold(0, |octets, octet| octets << 8 | u64::from(*octet));
            let trailer = Trailer::new(octets, len);
            // Of its own: what is read outside of it is another's.
            let payload = payload.to_vec();
            let mut apart = vec![0xee; sealed.len()];
            key.seal(numbers, Some(&payload), &mut apart, trailer).unwrap();
            assert_eq!(apart, sealed, "{name}");
            let mut in_place = [&[0xee; HEADER], payload.as_slice()].concat();
            in_place.resize(sealed.len(), 0xee);
            key.seal(numbers, None, &mut in_place, trailer).unwrap();
            assert_eq!(in_place, sealed, "{name}");
        }
        assert!(key.verify(sealed), "{name}");
        let last = text.last_chunk().copied();
        let mut to = vec![0xee; text.len()];
        let end = key.open(sealed, &mut to);
        let mut in_place = sealed.to_vec();
        let end_in_place = key.open_in_place(&mut in_place);
        if text.len() >= 4 && text.len().is_multiple_of(4) {
            assert_eq!((end, end_in_place), (last, last), "{name}");
        }
        let (header, icv) = (&sealed[..HEADER], &sealed[HEADER + text.len()..]);
        assert_eq!((to.as_slice(), in_place), (text, [header, text, icv].concat()), "{name}");
        // One bit of the text in every vector, of its last octet, and of the ICV.
        let bits = (0..8 * text.len()).step_by(509).chain([8 * text.len() - 1]);
        for bit in bits.chain([8 * text.len() + text.len() % 128]) {
            let mut other = sealed.to_vec();
            other[HEADER + bit / 8] ^= 1 << (bit % 8);
            refused(key, &other);
        }
    }

    fn refused(key: &Key, sealed: &[u8]) {
        assert!(!key.verify(sealed));
        let mut to = vec![0xee; sealed.len() - HEADER - BLOCK];
        assert_eq!(key.open(sealed, &mut to), None);
        assert!(to.iter().all(|octet| *octet == 0xee), "nothing is decrypted");
        let mut in_place = sealed.to_vec();
        assert_eq!(key.open_in_place(&mut in_place), None);
        assert_eq!(in_place, sealed, "nothing is decrypted");
    }

    /// Those of Wycheproof that have a key of 128 bits, a nonce of 96, nothing or eight octets in
    /// front, and a text, as every packet of ESP has one; and the packets of draft-mcgrew-gcm-test
    /// with such a key.
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
        let (mut texts, mut forged, mut macs) = (0, 0, 0);
        // No text of ESP is without octets, and nothing else is in front of it: of the others, the
        // judge of all lengths is judged.
        for ([secret, nonce, aad, plain, sealed], is_valid) in &cases {
            let j0 = [nonce.as_slice(), &[0, 0, 0, 1]].concat();
            let made = judge(secret.first_chunk().unwrap(), *j0.first_chunk().unwrap(), aad, plain).concat();
            assert_eq!(made == *sealed, *is_valid);
            macs += 1;
        }
        for width in widths() {
            for ([secret, nonce, aad, plain, sealed], is_valid) in &cases {
                let calls = match aad.len() {
                    _ if plain.is_empty() => continue,
                    0 => width.encrypting::<0>(),
                    IDS => width.encrypting::<IDS>(),
                    _ => continue,
                };
                let key = Key::with(calls, secret.first_chunk().unwrap(), nonce.first_chunk().unwrap());
                let mut ids = aad.clone();
                ids.resize(IDS, 0xee);
                let packet = [&ids, &nonce[4..], sealed].concat();
                if *is_valid {
                    checked(&format!("{width:?}"), &key, plain, &packet);
                    texts += 1;
                } else {
                    refused(&key, &packet);
                    forged += 1;
                }
            }
        }
        let count = widths().count();
        assert!(texts >= 26 * count && forged >= 27 * count && macs >= 50, "{texts} {forged} {macs}");
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused_and_nothing_is_written() {
        for calls in widths().flat_map(|width| [width.encrypting::<IDS>(), width.authenticating()]) {
            let key = Key::with(calls, &[1; BLOCK], &[2; 4]);
            let (payload, longer) = ([4; 98], [4; 120]);
            let trailer = Trailer::new(0x1101, 2);
            let mut sealed = [0xee; HEADER + 100 + BLOCK];
            for len in [0, 96, 97, 99, 120] {
                assert!(key.seal((1, 2), Some(&longer[..len]), &mut sealed, trailer).is_none());
            }
            for len in 0..=HEADER + BLOCK {
                assert!(key.seal((1, 2), None, &mut sealed[..len], Trailer::NONE).is_none());
            }
            for len in 0..=HEADER + BLOCK + 1 {
                assert!(key.seal((1, 2), None, &mut sealed[..len], trailer).is_none(), "{len}");
                assert!(key.seal((1, 2), Some(&payload), &mut sealed[..len], trailer).is_none());
            }
            assert!(sealed.iter().all(|octet| *octet == 0xee));
            key.seal((1, 2), Some(&payload), &mut sealed, trailer).unwrap();
            for len in [0, 99, 101] {
                let mut to = vec![0xee; len];
                assert!(key.open(&sealed, &mut to).is_none());
                assert!(to.iter().all(|octet| *octet == 0xee));
            }
            for len in 0..=HEADER + BLOCK {
                let mut short = sealed[..len].to_vec();
                assert!(!key.verify(&short));
                assert!(key.open(&sealed[..len], &mut []).is_none());
                assert!(key.open_in_place(&mut short).is_none());
            }
            assert!(key.open(&sealed, &mut [0; 100]).is_some());
            let mut longest = vec![0xee; HEADER + 65_536 + BLOCK];
            assert!(key.seal((1, 2), None, &mut longest, trailer).is_none());
            assert!(longest.iter().all(|octet| *octet == 0xee));
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
            assert_eq!(Width::of(Some(vectors)), Some(wanted), "{vectors:?}");
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
                let mut header: [u8; HEADER] = core::array::from_fn(octet);
                header[IDS..].copy_from_slice(&j0[4..12]);
                let text: Vec<u8> = (0..len).map(octet).collect();
                for (calls, name) in [(width.encrypting::<IDS>(), "GCM"), (width.authenticating(), "GMAC")] {
                    let key = Key::with(calls, &secret, j0.first_chunk().unwrap());
                    let [sealed, icv] = if name == "GCM" {
                        judge(&secret, j0, &header[..IDS], &text)
                    } else {
                        let all = [header.as_slice(), &text].concat();
                        [text.clone(), judge(&secret, j0, &all, &[])[1].clone()]
                    };
                    let sealed = [header.as_slice(), &sealed, &icv].concat();
                    checked(&format!("{name}, {width:?}"), &key, &text, &sealed);
                }
            }
        }
    }
}
