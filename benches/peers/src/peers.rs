//! The calls of `peers.c`.

use std::ffi::{CStr, c_char, c_int};
use std::marker::PhantomData;

use ipsec_3gpp::algorithm::{Encryption, Integrity};
use ipsec_3gpp::key::SaKeys;

#[repr(C)]
struct RawSa {
    _opaque: [u8; 0],
}

/// A packet from its SPI to the end of its ICV, and where its payload goes when it is opened.
#[repr(C)]
pub struct Packet<'a> {
    sa: *mut RawSa,
    esp: *mut u8,
    len: usize,
    out: *mut u8,
    borrows: PhantomData<&'a mut [u8]>,
}

unsafe extern "C" {
    fn peers_init() -> *const c_char;
    fn peers_openssl_version() -> *const c_char;
    fn peers_imb_version() -> *const c_char;
    fn peers_sa(
        cipher: c_int,
        mac: c_int,
        seal: c_int,
        key: *const u8,
        mac_key: *const u8,
        mac_key_len: usize,
    ) -> *mut RawSa;
    fn peers_openssl(packets: *mut Packet<'_>, count: usize) -> usize;
    fn peers_imb(packets: *mut Packet<'_>, count: usize) -> usize;
    fn peers_imb_burst(packets: *mut Packet<'_>, count: usize) -> usize;
    fn peers_imb_gcm(packets: *mut Packet<'_>, count: usize) -> usize;
}

/// The versions of both, the second with what it runs on. Called first.
pub fn versions() -> Result<(String, String), &'static str> {
    // SAFETY: the functions return strings that live as long as the process, or null.
    unsafe {
        let architecture = peers_init();
        if architecture.is_null() {
            return Err("intel-ipsec-mb could not be started");
        }
        let text = |pointer| CStr::from_ptr(pointer).to_string_lossy().into_owned();
        let imb = format!("{} ({})", text(peers_imb_version()), text(architecture));
        Ok((text(peers_openssl_version()), imb))
    }
}

/// One SA in one direction, as both have it. Never freed: a benchmark ends soon.
pub struct Sa(*mut RawSa);

impl Sa {
    pub fn new(keys: &SaKeys, seal: bool) -> Self {
        let cipher = match keys.suite().encryption() {
            Encryption::Null => 0,
            Encryption::DesEde3Cbc => 1,
            Encryption::AesGcm => 3,
            _ => 2,
        };
        let mac = match keys.suite().integrity() {
            Integrity::HmacMd5_96 => 0,
            Integrity::HmacSha1_96 => 1,
            Integrity::AesGmac => 2,
            _ => 3,
        };
        let mac_key = keys.expose_integrity();
        // SAFETY: the keys are as long as the algorithms need, and copied.
        Self(unsafe {
            peers_sa(
                cipher,
                mac,
                seal.into(),
                keys.expose_encryption().as_ptr(),
                mac_key.as_ptr(),
                mac_key.len(),
            )
        })
    }
}

impl<'a> Packet<'a> {
    /// The buffer for the payload is at least as long as the packet.
    pub fn new(sa: &'a mut Sa, esp: &'a mut [u8], out: &'a mut [u8]) -> Self {
        assert!(out.len() >= esp.len());
        Self { sa: sa.0, esp: esp.as_mut_ptr(), len: esp.len(), out: out.as_mut_ptr(), borrows: PhantomData }
    }
}

/// Returns how many packets were right; so do the others.
pub fn openssl(packets: &mut [Packet<'_>]) -> usize {
    // SAFETY: the packets borrow what they point to.
    unsafe { peers_openssl(packets.as_mut_ptr(), packets.len()) }
}

pub fn imb(packets: &mut [Packet<'_>]) -> usize {
    // SAFETY: as above.
    unsafe { peers_imb(packets.as_mut_ptr(), packets.len()) }
}

pub fn imb_burst(packets: &mut [Packet<'_>]) -> usize {
    // SAFETY: as above.
    unsafe { peers_imb_burst(packets.as_mut_ptr(), packets.len()) }
}

/// The calls for AES-GCM and AES-GMAC, which others have not.
pub fn imb_gcm(packets: &mut [Packet<'_>]) -> usize {
    // SAFETY: as above.
    unsafe { peers_imb_gcm(packets.as_mut_ptr(), packets.len()) }
}
