//! The stable code of each error: a short name for logs, counters and other languages.

/// Gives an error its `code()`. Each arm has a code of its own, or names the error inside, whose
/// code it is. The list of an error's own codes is kept for the test that compares it with the
/// documentation.
macro_rules! codes {
    (@ [$($generics:tt)*] $error:ty { $($pattern:pat => $code:literal,)* $(; $($outer:pat => $inner:expr,)*)? }) => {
        impl $($generics)* $error {
            /// The stable code of the error, as the page
            /// [`docs::error_codes`](crate::docs::error_codes) lists it.
            pub const fn code(&self) -> &'static str {
                match self {
                    $($pattern => $code,)*
                    $($($outer => $inner.code(),)*)?
                }
            }

            #[cfg(test)]
            #[allow(dead_code, reason = "read by the test of all codes")]
            pub(crate) const CODES: &'static [&'static str] = &[$($code),*];
        }
    };
    (<$generic:ident> $error:ty { $($own:tt)* }) => {
        $crate::code::codes!(@ [<$generic>] $error { $($own)* });
    };
    ($error:ty { $($own:tt)* }) => {
        $crate::code::codes!(@ [] $error { $($own)* });
    };
}
pub(crate) use codes;
