//! IP fragments: [reassembled](Reassembly) before a packet is opened, and [made](Fragments) of what
//! was sealed. ESP in transport mode takes whole datagrams (RFC 4303 3.4.1, RFC 4301 7);
//! [`docs::fragments`](crate::docs::fragments) has the recipe.
//!
//! Both are bounded and without I/O. The first REGISTER of a phone is a fragmented datagram at an
//! MTU of 1500 octets: whoever runs ESP in user space needs both.

mod header;
mod make;
mod reassembly;

pub use make::{FragmentError, Fragments};
pub use reassembly::{Reassembly, ReassemblyCounters, ReassemblyError, ReassemblyLimits, Received};
