//! What is printed.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use ipsec_3gpp_tools::Result;
use ipsec_3gpp_tools::table::Entry;
use ipsec_3gpp_tools::trace::Trace;

/// Prints a date where it changes, and times.
#[derive(Default)]
pub(crate) struct Clock {
    date: String,
}

impl Clock {
    /// A line, with its time (UTC) and its frame.
    pub(crate) fn line(&mut self, out: &mut dyn Write, time: Duration, frame: u64, text: &str) -> Result<()> {
        let (date, time) = stamp(time);
        if self.date != date {
            writeln!(out, "{date} (UTC)")?;
            self.date = date;
        }
        writeln!(out, "{time} {frame:>7}  {text}")?;
        Ok(())
    }
}

/// The date and the time of day, in UTC.
fn stamp(time: Duration) -> (String, String) {
    let text = humantime::format_rfc3339_millis(UNIX_EPOCH + time).to_string();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    (date.into(), time.trim_end_matches('Z').into())
}

/// The sets, and the SAs that were found without one.
pub(crate) fn sets(out: &mut dyn Write, trace: &Trace) -> Result<()> {
    let entries = trace.table.entries();
    for (number, set) in trace.sets.iter().enumerate() {
        let of_set = || set.entries.iter().filter_map(|(_, index)| entries.get(*index));
        let opened: u64 = of_set().map(|entry| entry.opened).sum();
        let used = of_set().find(|entry| entry.opened > 0).map_or(set.suite, |entry| entry.sa.keys.suite());
        write!(
            out,
            "set {} of {} from {}: {used}, {opened} packets",
            number + 1,
            set.impi,
            stamp(set.time).1
        )?;
        if used != set.suite {
            write!(out, " (the headers choose {})", set.suite)?;
        }
        writeln!(out)?;
        for entry in of_set().filter(|entry| entry.opened > 0) {
            sa(out, entry)?;
        }
    }
    let of_sets: std::collections::HashSet<usize> =
        trace.sets.iter().flat_map(|set| set.entries.iter().map(|(_, index)| *index)).collect();
    let lone: Vec<&Entry> =
        (0..).zip(entries).filter(|(index, _)| !of_sets.contains(index)).map(|(_, entry)| entry).collect();
    if !lone.is_empty() {
        writeln!(out, "SAs that were found by their integrity checks: {}", lone.len())?;
        lone.into_iter().try_for_each(|entry| sa(out, entry))?;
    }
    Ok(())
}

fn sa(out: &mut dyn Write, entry: &Entry) -> Result<()> {
    writeln!(out, "  {}: {} packets", entry.sa, entry.opened)?;
    Ok(())
}
