//! Names the shared library inside itself. Before 1.0 any version may change the interface, so the
//! whole version is part of the name: a program runs with the very version it was linked with.

#![allow(clippy::print_stdout, reason = "this is how a build script tells cargo something")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let version = env!("CARGO_PKG_VERSION");
    let argument = match std::env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => format!("-Wl,-install_name,@rpath/libcomity.{version}.dylib"),
        Ok("linux" | "freebsd" | "netbsd" | "openbsd") => {
            format!("-Wl,-soname,libcomity.so.{version}")
        }
        _ => return,
    };
    println!("cargo:rustc-cdylib-link-arg={argument}");
}
