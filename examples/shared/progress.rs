//! A bar on a terminal that shows how far a capture has been read.

use crate::Result;
use crate::capture::{Input, Item, Output, Packet};

/// The bar; nothing where standard error is no terminal, or without the feature `trace`.
#[derive(Default)]
pub struct Progress {
    #[cfg(feature = "trace")]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    /// Shows how far an input has been read. Call it for each packet: it draws few times a second.
    #[cfg(feature = "trace")]
    fn show(&mut self, input: &Input) {
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
    const fn show(&mut self, _: &Input) {}

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
    fn finish(self) {
        #[cfg(feature = "trace")]
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Hands each packet of a capture on, with a bar, and passes everything else. Where the capture is
/// damaged, the inner result says so: what was read by then is to be written all the same.
///
/// # Errors
/// Those of writing.
pub fn follow(
    input: &mut Input,
    output: &mut Output,
    mut each: impl FnMut(&Packet, &mut Output, &Progress) -> Result<()>,
) -> Result<Result<()>> {
    let mut progress = Progress::default();
    let read = loop {
        match input.next() {
            Ok(Some(Item::Packet(packet))) => each(&packet, output, &progress)?,
            Ok(Some(Item::Block(block))) => output.pass(&block)?,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
        progress.show(input);
    };
    progress.finish();
    Ok(read)
}
