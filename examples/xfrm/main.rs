//! SAs in the words of `ip xfrm`, Wireshark and SAS.json, and in the kernel: see `HELP`.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program that talks to a person")]
#![allow(clippy::wildcard_enum_match_arm, reason = "options that are not known")]

#[cfg(feature = "kernel")]
mod apply;
mod input;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use input::{Headers, Source};
use ipsec_3gpp::export::xfrm::{Action, Change, Changes, Direction, KernelWindow, Mark, Owner};
use ipsec_3gpp::sa::{Ports, SaSet, Side, WindowSize};
use ipsec_3gpp_tools::sas::{self, Sa, number};
use ipsec_3gpp_tools::trace::Keys;
use ipsec_3gpp_tools::{Result, help, stopped};
use zeroize::Zeroizing;

const USAGE: &str = "usage: xfrm [--ip|--wireshark|--json] [--ck HEX --ik HEX] IN (--help says more)";

const HELP: &str = r#"Writes SAs as lines of `ip xfrm`, rows of Wireshark or SAS.json, and installs them.

usage: xfrm [OPTIONS] IN
       xfrm [OPTIONS] --security-client VALUE --security-server VALUE --ue ADDRESS --pcscf ADDRESS
  IN                a capture with registrations, a log with SIP messages, SAS.json, lines of
                    `ip xfrm state`, or rows of Wireshark's table esp_sa; - is standard input
  --security-client, --security-server VALUE, --ue, --pcscf ADDRESS
                    instead of IN: the two header values, and between whom
                    (the addresses alone: for a log whose Via headers do not have them)
  --ck HEX --ik HEX CK and IK of AKA, for header values, captures and logs
  --keys FILE       a line for each run of AKA: IMPI CK IK
  --ip              lines for `ip -batch -`: states, policies, and blocked ports (default)
  --undo            with --ip: the lines that take those back
  --wireshark       rows for Wireshark's table of ESP SAs
  --json            SAS.json, as esp_pcap reads it
  --side ue|pcscf   whose kernel it is (default: pcscf)
  --local ADDRESS   of single SAs: the address of this host, so that they get policies too
  --reqid N         the reqid of states and templates (default: 33203)
  --window N        packets of the replay window, 32 to 4096 (default: 64)
  --mark V/M, --if-id N, --lifetime SECONDS
                    of states and policies, in numbers or hexadecimal digits after 0x
  --apply, --remove install them in this kernel, or remove them (feature `kernel`, root)
  -h, --help        this text

What is written holds the keys. Of a capture or log, the sets are those of every registration in it, one
after the other.

example:
  xfrm --ue 10.1.0.16 --pcscf 10.0.0.1 \
    --security-client 'ipsec-3gpp;alg=hmac-sha-1-96;spi-c=1111;spi-s=2222;port-c=6101;port-s=6100' \
    --security-server 'ipsec-3gpp;alg=hmac-sha-1-96;spi-c=3333;spi-s=4444;port-c=7101;port-s=7060' \
    --ck b40ba9a3c58b2a05bbf0d987b21bf8cb --ik f769bcd751044604127672711c6d3441
"#;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Ip,
    Undo,
    Wireshark,
    Json,
    #[cfg(feature = "kernel")]
    Apply,
    #[cfg(feature = "kernel")]
    Remove,
}

struct Options {
    source: Source,
    keys: Keys,
    form: Form,
    side: Side,
    local: Option<IpAddr>,
    owner: Owner,
}

/// SAs that belong together.
enum Group {
    Set(String, SaSet),
    Single(Sa),
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => stopped("xfrm", error.as_ref()),
    }
}

/// `None` if help was asked for, and printed.
fn options() -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let (mut headers, mut keys) = (Headers::default(), Keys::default());
    let (mut cks, mut iks, mut form, mut undo) = (Vec::new(), Vec::new(), Form::Ip, false);
    let (mut side, mut local, mut inputs) = (Side::Pcscf, None, Vec::new());
    let mut reqid = NonZeroU32::new(33203).ok_or("no reqid")?;
    let (mut window, mut mark, mut if_id) = (KernelWindow::default(), None, None);
    let mut lifetime = Some(Owner::HARD_LIFETIME);
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("security-client") => headers.client = Some(arguments.value()?.string()?),
            Long("security-server") => headers.server = Some(arguments.value()?.string()?),
            Long("ue") => headers.ue = Some(arguments.value()?.parse()?),
            Long("pcscf") => headers.pcscf = Some(arguments.value()?.parse()?),
            Long("ck") => cks.push(arguments.value()?.string()?),
            Long("ik") => iks.push(arguments.value()?.string()?),
            Long("keys") => keys.read_file(&PathBuf::from(arguments.value()?))?,
            Long("ip") => form = Form::Ip,
            Long("undo") => undo = true,
            Long("wireshark") => form = Form::Wireshark,
            Long("json") => form = Form::Json,
            #[cfg(feature = "kernel")]
            Long("apply") => form = Form::Apply,
            #[cfg(feature = "kernel")]
            Long("remove") => form = Form::Remove,
            #[cfg(not(feature = "kernel"))]
            Long("apply" | "remove") => {
                return Err("--apply and --remove: this program was built without the feature `kernel`; pipe --ip, or --undo, into `ip -batch -`".into());
            }
            Long("side") => {
                side = match arguments.value()?.string()?.as_str() {
                    "ue" => Side::Ue,
                    "pcscf" => Side::Pcscf,
                    other => return Err(format!("--side {other}: neither ue nor pcscf").into()),
                }
            }
            Long("local") => local = Some(arguments.value()?.parse()?),
            Long("reqid") => {
                reqid = NonZeroU32::new(number(&arguments.value()?.string()?)?)
                    .ok_or("--reqid 0: not a number of one's own")?
            }
            Long("window") => {
                let packets: u32 = arguments.value()?.parse()?;
                let held = WindowSize::new(packets).ok().and_then(|size| KernelWindow::holding(size).ok());
                window = held
                    .ok_or_else(|| format!("--window {packets}: a kernel has 32 to {}", KernelWindow::MAX))?;
            }
            Long("mark") => {
                let text = arguments.value()?.string()?;
                let (value, mask) = text.split_once('/').unwrap_or((&text, "0xffffffff"));
                mark = Some(Mark { value: number(value)?, mask: number(mask)? });
            }
            Long("if-id") => {
                let text = arguments.value()?.string()?;
                if_id = Some(NonZeroU32::new(number(&text)?).ok_or("--if-id 0: not an interface")?);
            }
            Long("lifetime") => {
                let seconds = number(&arguments.value()?.string()?)?;
                lifetime = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
            }
            Short('h') | Long("help") => {
                help(HELP)?;
                return Ok(None);
            }
            Value(word) => inputs.push(PathBuf::from(word)),
            _ => return Err(argument.unexpected().into()),
        }
    }
    keys.give_typed(&cks, &iks)?;
    if undo {
        form = if form == Form::Ip { Form::Undo } else { return Err("--undo goes with --ip".into()) };
    }
    let source = match inputs.as_slice() {
        [] if headers.client.is_some() || headers.server.is_some() => Source::Headers(headers),
        [path] if headers.client.is_none() && headers.server.is_none() => Source::File(path.clone(), headers),
        _ => return Err(USAGE.into()),
    };
    // `ip` cannot set a marker, and must be able to remove what is made here.
    let owner = Owner::new(reqid).without_marker().with_window(window).with_mark(mark).with_if_id(if_id);
    let owner = owner.with_hard_lifetime(lifetime);
    Ok(Some(Options { source, keys, form, side, local, owner }))
}

fn run(options: Options) -> Result<()> {
    let Options { source, keys, form, side, local, owner } = options;
    let groups = input::groups(source, keys)?;
    if groups.is_empty() {
        return Err("no set of SAs: no REGISTER with its 401 and keys".into());
    }
    let mut text = Zeroizing::new(String::new());
    match form {
        Form::Wireshark => *text = sas::to_rows(&singles(&groups)),
        Form::Json => *text = sas::to_json(&singles(&groups)),
        Form::Ip => {
            for (group, changes) in groups.iter().zip(merged(&groups, &owner, side, local)) {
                if let Group::Set(name, set) = group {
                    *text += &format!("# {name}: {}\n", set.suite());
                }
                *text += &changes.ip_lines_with_keys();
            }
        }
        Form::Undo => {
            for changes in merged(&groups, &owner, side, local).iter().rev() {
                *text += &changes.undo().ip_lines_with_keys();
            }
        }
        #[cfg(feature = "kernel")]
        Form::Apply => {
            for changes in merged(&groups, &owner, side, local) {
                apply::apply(&changes)?;
            }
            writeln!(std::io::stderr(), "{} installed", groups.len())?;
        }
        #[cfg(feature = "kernel")]
        Form::Remove => {
            for changes in merged(&groups, &owner, side, local).iter().rev() {
                apply::remove(&changes.undo())?;
            }
            writeln!(std::io::stderr(), "{} removed", groups.len())?;
        }
    }
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// The changes of all groups, one after the other. What an earlier one has made is there: a port, a
/// state, a policy; an outbound policy names the state of the later one.
fn merged<'a>(groups: &'a [Group], owner: &Owner, side: Side, local: Option<IpAddr>) -> Vec<Changes<'a>> {
    let mut made = BTreeSet::new();
    let of_group = |group: &'a Group| {
        let changes = group.changes(owner, side, local);
        let once = changes.list().iter().filter_map(|change| match change {
            _ if made.insert(change.subject()) => Some(*change),
            Change::AddPolicy(id, action @ Action::Protect { spi: Some(_), .. }) => {
                Some(Change::SetPolicy(*id, *action))
            }
            _ => None,
        });
        owner.these(once.collect::<Vec<_>>())
    };
    groups.iter().map(of_group).collect()
}

/// The SAs of all groups, one by one.
fn singles(groups: &[Group]) -> Vec<Sa> {
    let of_group = |group: &Group| match group {
        Group::Single(sa) => sa.duplicate().into_iter().collect::<Vec<_>>(),
        Group::Set(_, set) => set.sas().iter().filter_map(|(_, spec)| Sa::of(spec)).collect(),
    };
    groups.iter().flat_map(of_group).collect()
}

impl Group {
    /// What installs it: blocked ports, states, policies.
    fn changes(&self, owner: &Owner, side: Side, local: Option<IpAddr>) -> Changes<'_> {
        match self {
            Group::Set(_, set) => {
                let end = if side == Side::Ue { set.ends().ue } else { set.ends().pcscf };
                let ports = end.setup.ports;
                let mut all = owner.these([]);
                for port in [ports.client, ports.server] {
                    all.append(owner.protect((end.address, port.get()).into()));
                }
                all.append(owner.install(side, set));
                all
            }
            Group::Single(sa) => {
                let spec = sa.spec();
                let outbound = local == Some(sa.selector.source);
                let mut list: Vec<Change<'_>> = vec![owner.add_state(&spec, outbound)];
                if local.is_some() && sa.selector.ports != Ports::Any {
                    let direction = if outbound { Direction::Out } else { Direction::In };
                    list.push(Owner::add_policy(direction, &spec));
                }
                owner.these(list)
            }
        }
    }
}
