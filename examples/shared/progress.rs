//! A bar on a terminal that shows how far a capture has been read.

use crate::Result;
use crate::capture::Input;

/// The bar; nothing where standard error is no terminal, or without the feature `trace`.
#[derive(Default)]
pub struct Progress {
    #[cfg(feature = "trace")]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// Shows how far an input has been read. Call it for each packet: it draws few times a second.
    #[cfg(feature = "trace")]
    pub fn show(&mut self, input: &Input) {
        const PACKETS: u64 = 4096;
        if !input.frames().is_multiple_of(PACKETS) {
            return;
        }
        let (read, len) = input.progress();
        let bar = self.bar.get_or_insert_with(|| match len {
            Some(len) => indicatif::ProgressBar::new(len),
            None => indicatif::ProgressBar::new_spinner(),
        });
        bar.set_position(read);
    }

    /// Without the feature there is none.
    #[cfg(not(feature = "trace"))]
    pub const fn show(&mut self, _: &Input) {}

    /// Writes lines while the bar is out of the way.
    ///
    /// # Errors
    /// Those of writing.
    pub fn around(&self, write: impl FnOnce() -> Result<()>) -> Result<()> {
        #[cfg(feature = "trace")]
        if let Some(bar) = &self.bar {
            return bar.suspend(write);
        }
        write()
    }

    /// Takes the bar away.
    pub fn finish(self) {
        #[cfg(feature = "trace")]
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
