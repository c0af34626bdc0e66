//! A host over tokio, with TLS: one server, and as many tasks as want its locks.
//!
//! [`Locks::connect`] starts one task, which owns the coordinator and its connections. It sends what the
//! coordinator has ready, hands in what arrives, and tells the time; verbs come to it by a channel. Waiters
//! hear of a grant by a second connection, for messages.

mod driver;
mod link;

use std::error::Error;
use std::sync::Arc;

use comity::coordinator::{Config, Coordinator};
use comity::redis::wire::Endpoint;
use comity::ring::NodeSpec;
use comity::time::Time;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use driver::{Ask, Driver};

/// The locks of one server.
#[derive(Clone)]
pub struct Locks {
    asks: mpsc::UnboundedSender<Ask>,
}

/// A lock that is held. Renewed until it is released or dropped, or its server is away for too long.
pub struct Held {
    lock: comity::lock::LockId,
    /// Rises with every grant of the lock: for what it protects.
    pub fence: u64,
    asks: mpsc::UnboundedSender<Ask>,
}

impl Locks {
    /// Locks of the server that `url` names. `authorities` are certificates in PEM that are trusted, for
    /// `rediss://`.
    ///
    /// # Errors
    /// For a URL that is malformed, or certificates that are none. Nothing is sent yet.
    pub fn connect(url: &str, authorities: &[u8]) -> Result<Self, Box<dyn Error>> {
        let endpoint = Endpoint::parse(url)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities) {
            roots.add(certificate?)?;
        }
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy)?;
        // One server alone needs no id that others know.
        let config = Config::new(vec![NodeSpec::new("0", 1)]);
        let core = Coordinator::new(config, entropy, Time::from_micros(0))?;
        let (asks, asked) = mpsc::unbounded_channel();
        let tls = TlsConnector::from(Arc::new(tls));
        tokio::spawn(Driver::new(core, endpoint, tls, asked).run());
        Ok(Self { asks })
    }

    /// Waits for a lock, for as long as it takes.
    ///
    /// # Errors
    /// In the coordinator's words.
    pub async fn acquire(&self, name: &str) -> Result<Held, String> {
        let (tell, told) = oneshot::channel();
        let _ = self.asks.send(Ask::Acquire { name: name.into(), tell });
        let (lock, fence) = told.await.map_err(|_| "the driver has ended".to_owned())??;
        Ok(Held { lock, fence, asks: self.asks.clone() })
    }
}

impl Held {
    /// Gives it back. Dropping does the same and waits for nothing.
    ///
    /// # Errors
    /// Where it was lost before.
    pub async fn release(self) -> Result<(), String> {
        let (tell, told) = oneshot::channel();
        let _ = self.asks.send(Ask::Release { lock: self.lock, tell: Some(tell) });
        told.await.map_err(|_| "the driver has ended".to_owned())?
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.asks.send(Ask::Release { lock: self.lock, tell: None });
    }
}
