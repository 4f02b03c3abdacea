//! One registration of a UE over time. `registering` has the procedure from SM1 to SM12, `in_force`
//! what happens to the sets afterwards.

mod event;
mod in_force;
mod registering;
mod state;

pub use event::UeEvent;
pub use registering::{
    BadChallenge, Begin, BeginError, ChallengeFailure, ConfirmError, NoProcedure, Request,
};
pub use state::{Ue, UeConfig, UeState};
