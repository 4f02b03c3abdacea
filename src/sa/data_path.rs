//! The interface through which changes of SAs are carried out.

use core::time::Duration;

use super::id::SetId;
use super::set::{Ends, Overlap, SaSet, Side};

/// The place where changes of SAs are carried out: a [`Sad`](crate::Sad), a
/// [`Kernel`](crate::export::xfrm::Kernel), a [`Plan`](crate::Plan) that is carried out elsewhere,
/// a test double.
///
/// Every call of a [`Pcscf`](crate::Pcscf) or a [`Ue`](crate::Ue) that changes SAs takes one. Such
/// a call returns after the change is made, so whoever holds its result has the SAs in place.
///
/// Four SAs are one set, and a set is one unit: all of its SAs are installed or none.
///
/// ```
/// use ipsec_3gpp::DataPath;
/// use ipsec_3gpp::sa::{Ends, Overlap, SaSet, SetId, Side};
///
/// /// A test double: what is installed, and what is used to send.
/// #[derive(Default)]
/// struct Double {
///     installed: Vec<SetId>,
///     in_use: Option<SetId>,
/// }
///
/// impl DataPath for Double {
///     type Error = std::convert::Infallible;
///
///     fn install(
///         &mut self,
///         id: SetId,
///         _: Side,
///         _: &SaSet,
///         _: Overlap,
///     ) -> Result<(), Self::Error> {
///         self.installed.push(id);
///         Ok(())
///     }
///
///     fn take_into_use(&mut self, id: SetId, _: Side, _: &Ends) -> Result<(), Self::Error> {
///         self.in_use = Some(id);
///         Ok(())
///     }
///
///     fn remove(&mut self, id: SetId, _: Side, _: &Ends) {
///         self.installed.retain(|other| *other != id);
///     }
/// }
/// ```
pub trait DataPath {
    /// Why a change could not be made.
    type Error: core::error::Error;

    /// Installs the four SAs of a set as `side` has them: two that it receives over, and two that
    /// it sends over. They receive from now on. Where another set has the same outbound
    /// selectors, which `overlap` says, that one goes on sending until this one is taken into use;
    /// with [`Overlap::Spis`], a data path that names SAs by destination and SPI keeps the outbound
    /// SAs of this one back until then. Installing a set that is installed does nothing.
    ///
    /// # Errors
    /// The reason; then nothing of the set is installed.
    fn install(&mut self, id: SetId, side: Side, set: &SaSet, overlap: Overlap) -> Result<(), Self::Error>;

    /// From now on, traffic of the outbound selectors of a set goes over that set; an outbound SA
    /// of another set that has the same destination and SPI is replaced. Comes after `install`, and
    /// may be repeated.
    ///
    /// A [`Sad`](crate::Sad) does so by itself when the first packet over a set that waits has a
    /// right ICV: its sender has IK, and the answer to a TCP SYN must go over the same set. A data
    /// path that cannot do that gets this call at the latest when SM7 has been verified.
    ///
    /// # Errors
    /// The reason; then the set that was in use stays in use.
    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), Self::Error>;

    /// The SAs of a set are needed until this long after they were installed, as far as is known
    /// now: a registration was accepted. A data path that ends SAs by itself, as a safety net, must
    /// not end these earlier; others need not do anything.
    ///
    /// # Errors
    /// The reason.
    fn extend(&mut self, id: SetId, side: Side, ends: &Ends, lifetime: Duration) -> Result<(), Self::Error> {
        let _ = (id, side, ends, lifetime);
        Ok(())
    }

    /// Removes the four SAs of a set: those that are there, and no SA that another set has the use
    /// of. It cannot fail, and may be repeated.
    fn remove(&mut self, id: SetId, side: Side, ends: &Ends);
}

impl<D: DataPath + ?Sized> DataPath for &mut D {
    type Error = D::Error;

    fn install(&mut self, id: SetId, side: Side, set: &SaSet, overlap: Overlap) -> Result<(), Self::Error> {
        (**self).install(id, side, set, overlap)
    }

    fn take_into_use(&mut self, id: SetId, side: Side, ends: &Ends) -> Result<(), Self::Error> {
        (**self).take_into_use(id, side, ends)
    }

    fn extend(&mut self, id: SetId, side: Side, ends: &Ends, lifetime: Duration) -> Result<(), Self::Error> {
        (**self).extend(id, side, ends, lifetime)
    }

    fn remove(&mut self, id: SetId, side: Side, ends: &Ends) {
        (**self).remove(id, side, ends);
    }
}
