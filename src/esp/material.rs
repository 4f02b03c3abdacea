//! What the four SAs of a set are made from.

#[cfg(all(feature = "aes-gcm", feature = "kernels", target_has_atomic = "ptr"))]
use core::cell::OnceCell;

use super::backend::Backend;
use crate::key::SaKeys;
#[cfg(all(feature = "aes-gcm", feature = "kernels"))]
use crate::wipe::wiped_gcm;

/// What SAs share that are made from one key: with AES-GCM and AES-GMAC, both directions have the
/// same expanded key. The four SAs of a set have it once.
#[cfg(all(feature = "aes-gcm", feature = "kernels", target_has_atomic = "ptr"))]
pub(super) type Shared<T> = alloc::sync::Arc<T>;
/// Where nothing can be counted atomically, each SA has its own.
#[cfg(all(feature = "aes-gcm", feature = "kernels", not(target_has_atomic = "ptr")))]
pub(super) type Shared<T> = alloc::boxed::Box<T>;

/// Keys on their way to SAs.
pub(crate) struct Material<'a> {
    pub(super) keys: &'a SaKeys,
    #[cfg_attr(not(feature = "kernels"), allow(dead_code, reason = "there is one backend"))]
    pub(super) backend: Backend,
    #[cfg(all(feature = "aes-gcm", feature = "kernels", target_has_atomic = "ptr"))]
    gcm: OnceCell<Shared<super::packets::Gcm>>,
}

impl<'a> Material<'a> {
    pub(crate) const fn new(keys: &'a SaKeys, backend: Backend) -> Self {
        Self {
            keys,
            backend,
            #[cfg(all(feature = "aes-gcm", feature = "kernels", target_has_atomic = "ptr"))]
            gcm: OnceCell::new(),
        }
    }

    /// The key of AES-GCM or AES-GMAC, expanded once.
    #[cfg_attr(not(target_has_atomic = "ptr"), allow(clippy::unused_self, reason = "nothing is shared"))]
    #[cfg(all(feature = "aes-gcm", feature = "kernels"))]
    pub(super) fn gcm(&self, make: impl Fn() -> super::packets::Gcm) -> Shared<super::packets::Gcm> {
        #[cfg(target_has_atomic = "ptr")]
        return self.gcm.get_or_init(|| wiped_gcm(|| Shared::new(make()))).clone();
        #[cfg(not(target_has_atomic = "ptr"))]
        wiped_gcm(|| Shared::new(make()))
    }
}
