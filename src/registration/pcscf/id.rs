//! Names of contacts and requests.

use crate::id::id;

id! {
    /// A contact in the table. No other contact ever has the same, not even after this one has
    /// ended.
    ContactId
}
id! {
    /// A REGISTER that was sent on to the core: its answer belongs to it and to no other request.
    /// No other request ever has the same.
    RequestId
}
