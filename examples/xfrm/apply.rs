//! Changes in this kernel.

use ipsec_3gpp::export::xfrm::{Acknowledge, Changes, Failure, Netlink, Reply, Subject, replies};
use ipsec_3gpp_tools::Result;
use ipsec_3gpp_tools::netlink::XfrmSocket;

/// Makes changes; if one fails, what the others made is taken back. A port that is blocked already
/// is what is wanted.
pub(crate) fn apply(changes: &Changes<'_>) -> Result<()> {
    let mut socket = XfrmSocket::new()?;
    let is_port = |subject: &Subject| matches!(subject, Subject::Policy(id) if id.is_of_one_port());
    let failed = send(&mut socket, changes)?;
    let mut fatal = failed.iter().filter(|one| !(one.errno == Failure::EXISTS && is_port(&one.subject)));
    let Some(first) = fatal.next() else { return Ok(()) };
    let made =
        changes.list().iter().filter(|change| !failed.iter().any(|one| one.subject == change.subject()));
    let made = changes.owner().these(made.copied());
    send(&mut socket, &made.undo())?;
    Err(format!("{}: {}; nothing was changed", first.subject, first.text).into())
}

/// Removes what is there.
pub(crate) fn remove(changes: &Changes<'_>) -> Result<()> {
    let gone = [Failure::NO_STATE, Failure::NO_POLICY];
    let failed = send(&mut XfrmSocket::new()?, changes)?;
    match failed.iter().find(|one| !gone.contains(&one.errno)) {
        Some(one) => Err(format!("{}: {}", one.subject, one.text).into()),
        None => Ok(()),
    }
}

struct Failed {
    subject: Subject,
    errno: i32,
    text: String,
}

fn send(socket: &mut XfrmSocket, changes: &Changes<'_>) -> Result<Vec<Failed>> {
    let mut failed = Vec::new();
    let mut answered = 0;
    if changes.list().is_empty() {
        return Ok(failed);
    }
    let messages = changes.to_messages(1, Acknowledge::Each);
    socket.send(messages.expose())?;
    let mut buffer = vec![0; 32_768];
    while answered < changes.list().len() {
        let len = socket.receive(&mut buffer)?;
        for reply in replies(buffer.get(..len).unwrap_or_default()) {
            let (sequence, reply) = reply?;
            let Some(subject) = messages.subject(sequence) else { continue };
            answered += 1;
            if let Reply::Failed(failure) = reply {
                let text = failure.to_string();
                failed.push(Failed { subject: *subject, errno: failure.errno, text });
            }
        }
    }
    Ok(failed)
}
