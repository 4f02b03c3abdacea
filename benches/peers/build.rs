//! Builds the calls of the two libraries.

fn main() {
    println!("cargo:rerun-if-changed=src/peers.c");
    println!("cargo:rustc-link-lib=crypto");
    println!("cargo:rustc-link-lib=IPSec_MB");
    cc::Build::new().file("src/peers.c").opt_level(2).flag("-Wno-deprecated-declarations").compile("peers");
}
