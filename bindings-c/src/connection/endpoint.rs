//! Where a server is, and how to be let in there, in one line.
#![allow(non_camel_case_types, reason = "the names are the C names")]

use std::ffi::{CString, c_char, c_void};
use std::ptr;

use comity::error::{Error, ErrorCode, Result};
use comity::redis::wire::{Address, Endpoint, Login};

use crate::handle::{Kind, give, with};
use crate::pointer::{bytes, place};
use crate::status::guard;

/// TCP: host and port.
pub const COMITY_ADDRESS_TCP: u32 = 1;
/// TLS over TCP: host, which the certificate is for, and port.
pub const COMITY_ADDRESS_TLS: u32 = 2;
/// A socket of this machine: path.
pub const COMITY_ADDRESS_UNIX: u32 = 3;

/// What to connect to. The texts end with a zero byte.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct comity_address {
    /// A COMITY_ADDRESS_ constant.
    pub kind: u32,
    /// The port, 1 to 65535; 0 for a socket of this machine.
    pub port: u32,
    /// A name or an address, one of IPv6 without its brackets; NULL for a socket of this machine.
    pub host: *const c_char,
    /// The socket's file; NULL for TCP and TLS.
    pub path: *const c_char,
    /// What a ring calls the server where it has no other id: "host:port", or the path.
    pub id: *const c_char,
}

/// What a URL says of a server: its address, which can be read, and the login, which stays inside. Any
/// number of connections are made from it; after that it may be freed.
#[derive(Debug)]
pub struct comity_endpoint {
    endpoint: Endpoint,
    /// The host or the path.
    place: CString,
    id: CString,
}

impl comity_endpoint {
    pub(super) const fn login(&self) -> &Login {
        &self.endpoint.login
    }

    fn address(&self) -> comity_address {
        let (kind, port) = match self.endpoint.address {
            Address::Tcp { port, .. } => (COMITY_ADDRESS_TCP, port),
            Address::Tls { port, .. } => (COMITY_ADDRESS_TLS, port),
            Address::Unix { .. } => (COMITY_ADDRESS_UNIX, 0),
        };
        let (host, path) = match kind {
            COMITY_ADDRESS_UNIX => (ptr::null(), self.place.as_ptr()),
            _ => (self.place.as_ptr(), ptr::null()),
        };
        comity_address { kind, port: port.into(), host, path, id: self.id.as_ptr() }
    }
}

impl Kind for comity_endpoint {
    const NAME: &'static str = "comity_endpoint";
    const MAGIC: u64 = u64::from_le_bytes(*b"cmtyENDP");
}

/// Reads a URL of url_len bytes: redis://user:password@host:port/database, or rediss:// for the same over
/// TLS, or unix://user:password@/path for a socket of this machine. All behind the // may be left out: the
/// user, or both it and the password, which may be empty (user:@), the host (localhost), the port (6379) and
/// the database (0). Behind a ? may come db, client_name and protocol (2 or 3), with & between. valkey:// and
/// valkeys:// are redis:// and rediss://. Any byte may be written as % and two hexadecimal digits; in users
/// and passwords / ? # @ : and % have to. An address of IPv6 may have a zone: [fe80::1%25eth0].
///
/// Returns COMITY_OK and writes *out, to be freed with comity_endpoint_free; or
/// COMITY_ERROR_INVALID_ARGUMENT for NULL or a URL that is none. The message says which part is wrong and
/// has nothing of the URL in it, for there may be a password anywhere.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_endpoint_parse(
    url: *const c_void,
    url_len: usize,
    out: *mut *mut comity_endpoint,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    guard(|| unsafe {
        let out = place(out, "out")?;
        out.write(give(read(bytes(url, url_len, "url")?)?));
        Ok(())
    })
}

fn read(url: &[u8]) -> Result<comity_endpoint> {
    let wrong = |why: &str| Error::new(ErrorCode::InvalidArgument, format!("url: {why}"));
    let url = std::str::from_utf8(url).map_err(|_| wrong("it is not UTF-8"))?;
    let endpoint = Endpoint::parse(url).map_err(|error| wrong(&error.to_string()))?;
    let (place, id) = match &endpoint.address {
        Address::Tcp { host, port } | Address::Tls { host, port } => {
            (host.clone().into_bytes(), format!("{host}:{port}").into_bytes())
        }
        Address::Unix { path } => (path.clone(), path.clone()),
    };
    // No function of the system takes a path with such a byte; hosts have none.
    let text = |bytes| CString::new(bytes).map_err(|_| wrong("the path has a zero byte (%00)"));
    Ok(comity_endpoint { place: text(place)?, id: text(id)?, endpoint })
}

/// Frees an endpoint and what it has lent. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_endpoint_free(endpoint: *mut comity_endpoint) {
    // SAFETY: the caller keeps the rules of the header.
    unsafe { crate::handle::free(endpoint) }
}

/// Writes what to connect to to *out; what it points to is valid until the endpoint is freed. Many threads
/// may read an endpoint at once.
///
/// Returns COMITY_OK, or COMITY_ERROR_INVALID_ARGUMENT for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn comity_endpoint_address(
    endpoint: *const comity_endpoint,
    out: *mut comity_address,
) -> u32 {
    // SAFETY: the caller keeps the rules of the header.
    unsafe {
        with(endpoint, |endpoint| {
            let out = place(out, "out")?;
            out.write(endpoint.address());
            Ok(())
        })
    }
}
