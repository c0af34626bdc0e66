//! One connection: a stream, and what knows its bytes.

use std::io;

use comity::coordinator::NodeConnection;
use comity::redis::wire::{Address, Endpoint};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) struct Link {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) connection: NodeConnection,
}

impl Link {
    /// Writes all that is to be written, then waits until something is read. May be dropped at any point.
    pub(crate) async fn exchange(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let waiting = self.connection.transmit().len();
        // TLS may have taken more than it says; nothing of it counts as never sent.
        self.connection.committed(waiting);
        while !self.connection.transmit().is_empty() {
            let count = self.stream.write(self.connection.transmit()).await?;
            self.connection.transmitted(count);
        }
        self.stream.flush().await?;
        match self.stream.read(into).await? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the server")),
            count => Ok(count),
        }
    }
}

/// Connects. To be given up by its caller when it lasts too long.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    tls: &TlsConnector,
) -> io::Result<Box<dyn Stream>> {
    Ok(match &endpoint.address {
        Address::Tcp { host, port } => Box::new(tcp(host, *port).await?),
        Address::Tls { host, port } => {
            let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
            Box::new(tls.connect(name, tcp(host, *port).await?).await?)
        }
        Address::Unix { path } => {
            use std::os::unix::ffi::OsStrExt as _;
            Box::new(UnixStream::connect(std::ffi::OsStr::from_bytes(path)).await?)
        }
    })
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
