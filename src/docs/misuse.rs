//! Steps that cannot be forgotten: each example that must not compile is followed by the one that
//! does, so that it fails for the reason given.

/// SM6 cannot be had without a data path that has its SAs.
///
/// ```compile_fail
/// # use ipsec_3gpp::{Ck, Ik, Moment, Pcscf, registration::RequestId};
/// # fn f(pcscf: &mut Pcscf, now: Moment, request: RequestId, ck: Ck, ik: Ik) {
/// let sm6 = pcscf.challenge(now, request, "nonce", &ck, &ik).unwrap();
/// # }
/// ```
/// ```
/// # use ipsec_3gpp::{Ck, Ik, Moment, Pcscf, Sad, registration::RequestId};
/// # fn f(pcscf: &mut Pcscf, sad: &mut Sad, now: Moment, request: RequestId, ck: Ck, ik: Ik) {
/// let sm6 = pcscf.challenge(now, request, "nonce", &ck, &ik, sad).unwrap();
/// # }
/// ```
mod data_path {}

/// SM7 at the UE neither.
///
/// ```compile_fail
/// # use ipsec_3gpp::{Ck, Ik, Moment, Ue, registration::Over};
/// # fn f(ue: &mut Ue, now: Moment, ck: Ck, ik: Ik) {
/// let sm7 = ue.challenged(now, Over::Clear, &["row"], &ck, &ik).unwrap();
/// # }
/// ```
/// ```
/// # use ipsec_3gpp::{Ck, Ik, Moment, Sad, Ue, registration::Over};
/// # fn f(ue: &mut Ue, sad: &mut Sad, now: Moment, ck: Ck, ik: Ik) {
/// let sm7 = ue.challenged(now, Over::Clear, &["row"], &ck, &ik, sad).unwrap();
/// # }
/// ```
mod data_path_of_the_ue {}

/// A recorded change cannot be had without its plan, and a plan is not dropped
/// unseen.
///
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// # use ipsec_3gpp::{Moment, Pcscf, Plan};
/// # fn f(pcscf: &mut Pcscf, now: Moment) {
/// Plan::record(|plan| pcscf.handle_timeout(now, plan));
/// # }
/// ```
/// ```compile_fail
/// # #![deny(unused_variables)]
/// # use ipsec_3gpp::{Moment, Pcscf, Plan};
/// # fn f(pcscf: &mut Pcscf, now: Moment) {
/// let (plan, ()) = Plan::record(|plan| pcscf.handle_timeout(now, plan)).into_parts();
/// # }
/// ```
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// # use ipsec_3gpp::{Moment, Pcscf, Plan, Sad};
/// # fn f(pcscf: &mut Pcscf, sad: &mut Sad, now: Moment) {
/// let (plan, ()) = Plan::record(|plan| pcscf.handle_timeout(now, plan)).into_parts();
/// plan.carry_out(sad);
/// # }
/// ```
/// ```
/// # #![deny(unused_must_use, unused_variables)]
/// # use ipsec_3gpp::{Moment, Pcscf, Plan, Sad};
/// # fn f(pcscf: &mut Pcscf, sad: &mut Sad, now: Moment) {
/// let (plan, ()) = Plan::record(|plan| pcscf.handle_timeout(now, plan)).into_parts();
/// for (set, _) in plan.carry_out(sad) {
///     let _ = pcscf.data_path_failed(set, sad);
/// }
/// # }
/// ```
mod plan {}

/// Polls and answers are not dropped unseen.
///
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// # fn f(pcscf: &mut ipsec_3gpp::Pcscf) {
/// pcscf.poll_event();
/// # }
/// ```
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// # fn f(pcscf: &ipsec_3gpp::Pcscf) {
/// pcscf.poll_timeout();
/// # }
/// ```
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// # use ipsec_3gpp::{Moment, Ue, Sad, registration::Begin};
/// # fn f(ue: &mut Ue, sad: &mut Sad, now: Moment, begin: Begin) {
/// ue.begin(now, &begin, sad).unwrap();
/// # }
/// ```
/// ```compile_fail
/// # #![deny(unused_must_use)]
/// # use ipsec_3gpp::{Moment, Pcscf, Sad, registration::Register};
/// # fn f(pcscf: &mut Pcscf, sad: &mut Sad, now: Moment, register: Register) {
/// pcscf.register(now, &register, sad).unwrap();
/// # }
/// ```
/// ```
/// # #![deny(unused_must_use)]
/// # use ipsec_3gpp::{Moment, Pcscf, Sad, Ue, registration::{Begin, Register}};
/// # type Ends<'a> = (&'a mut Pcscf, &'a mut Ue, &'a mut Sad);
/// # fn f((pcscf, ue, sad): Ends<'_>, now: Moment, begin: Begin, register: Register) {
/// while let Some(event) = pcscf.poll_event() {}
/// let deadline = pcscf.poll_timeout();
/// let request = ue.begin(now, &begin, sad).unwrap();
/// let forward = pcscf.register(now, &register, sad).unwrap();
/// # }
/// ```
mod polls {}

/// A step of a negotiation is taken once, and in order; keys are not copied.
///
/// ```compile_fail
/// # use ipsec_3gpp::negotiation::pcscf::{Challenge, Sm7};
/// # fn f(challenge: Challenge, sm7: Sm7) {
/// let response = challenge.receive_sm7(&sm7).unwrap();
/// let again = challenge.receive_sm7(&sm7).unwrap();
/// # }
/// ```
/// ```compile_fail
/// # fn f(ck: &ipsec_3gpp::Ck) -> ipsec_3gpp::Ck {
/// ck.clone()
/// # }
/// ```
/// ```
/// # use ipsec_3gpp::negotiation::pcscf::{Challenge, Sm7};
/// # fn f(challenge: Challenge, sm7: Sm7) {
/// let response = challenge.receive_sm7(&sm7).unwrap();
/// # }
/// ```
mod negotiation {}
