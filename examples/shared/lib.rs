//! What several of the programs need.
#![allow(clippy::wildcard_enum_match_arm, reason = "enums of other crates")]
#![allow(missing_debug_implementations, reason = "for the programs only")]

pub mod capture;
#[cfg(feature = "kernel")]
pub mod netlink;
pub mod progress;
pub mod sas;
pub mod sip;
pub mod summary;
pub mod table;
pub mod trace;

use std::io::Write;
use std::process::ExitCode;

/// Why a program stopped, in one line.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Prints the text of `--help`.
///
/// # Errors
/// Those of standard output.
pub fn help(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// The exit status of a program that stopped, after its reason on standard error. Whoever reads its
/// output and has read enough is no reason.
pub fn stopped(program: &str, error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let mut source = Some(error);
    while let Some(one) = source {
        let error = one.downcast_ref::<std::io::Error>();
        if error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) {
            return ExitCode::SUCCESS;
        }
        source = one.source();
    }
    let _ = writeln!(std::io::stderr(), "{program}: {error}");
    ExitCode::FAILURE
}
