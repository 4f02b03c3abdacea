//! A set of SAs in the words of other programs. What is written here holds the keys: that is its
//! purpose, and each function says so in its name.

mod wireshark;
pub mod xfrm;

pub use wireshark::wireshark_row_with_keys;
