//! The numbers of `linux/netlink.h` and `linux/xfrm.h`, and the octets of their structures.

pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;

pub(super) const REQUEST: u16 = 0x001;
pub(super) const ACK: u16 = 0x004;
/// The root of a table and all that matches: a dump.
pub(super) const DUMP: u16 = 0x300;
/// In a reply: the request is not repeated but for its header.
pub(super) const CAPPED: u16 = 0x100;
/// In a reply: attributes follow.
pub(super) const ACK_TLVS: u16 = 0x200;
/// The attribute of an error that has its text.
pub(super) const NLMSGERR_ATTR_MSG: u16 = 1;

pub(super) const NEWSA: u16 = 0x10;
pub(super) const DELSA: u16 = 0x11;
pub(super) const GETSA: u16 = 0x12;
pub(super) const NEWPOLICY: u16 = 0x13;
pub(super) const DELPOLICY: u16 = 0x14;
pub(super) const GETPOLICY: u16 = 0x15;
pub(super) const EXPIRE: u16 = 0x18;
pub(super) const UPDPOLICY: u16 = 0x19;
pub(super) const UPDSA: u16 = 0x1a;
pub(super) const NEWAE: u16 = 0x1e;
pub(super) const MAPPING: u16 = 0x26;

pub(super) const ALG_CRYPT: u16 = 2;
pub(super) const TMPL: u16 = 5;
pub(super) const LTIME_VAL: u16 = 9;
pub(super) const REPLAY_VAL: u16 = 10;
pub(super) const LASTUSED: u16 = 15;
pub(super) const ALG_AEAD: u16 = 18;
pub(super) const ALG_AUTH_TRUNC: u16 = 20;
pub(super) const MARK: u16 = 21;
pub(super) const REPLAY_ESN_VAL: u16 = 23;
pub(super) const PAD: u16 = 27;
pub(super) const IF_ID: u16 = 31;

pub(super) const AF_INET: u16 = 2;
pub(super) const AF_INET6: u16 = 10;

pub(super) const MODE_TRANSPORT: u8 = 0;
pub(super) const ACTION_ALLOW: u8 = 0;
pub(super) const ACTION_BLOCK: u8 = 1;
/// No limit. Zero would be one that is reached at once.
pub(super) const INFINITE: u64 = u64::MAX;

/// `struct nlmsghdr`
pub(super) const HEADER_LEN: usize = 16;
/// `struct xfrm_usersa_info`, with the octets that fill it up.
pub(super) const USERSA_INFO_LEN: usize = 224;
/// `struct xfrm_userpolicy_info`, with the octets that fill it up.
pub(super) const USERPOLICY_INFO_LEN: usize = 168;
/// Where the current lifetime is in `struct xfrm_usersa_info`.
pub(super) const CURRENT_LIFETIME: core::ops::Range<usize> = 160..192;

/// Where the next item is: items begin at multiples of four.
pub(super) const fn aligned(len: usize) -> usize {
    len.next_multiple_of(4)
}
