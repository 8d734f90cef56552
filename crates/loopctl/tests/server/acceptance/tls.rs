//! TLS before a server, with a certificate that nobody else has signed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What passes on one request per connection. It lives as long as the process.
pub(super) struct Tls {
    /// `https://localhost:<port>`
    pub(super) address: String,
    /// The certificate that is shown, as PEM.
    pub(super) certificate: String,
}

impl Tls {
    /// Before a server at this address (`http://…`).
    pub(super) fn before(server: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate.der().to_vec())],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            );
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("localhost:0").unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let server = server.trim_start_matches("http://").to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let line = ServerConnection::new(Arc::clone(&config)).unwrap();
                // Who does not trust us leaves.
                let _ = pass_on(StreamOwned::new(line, client), &server);
            }
        });
        Self { address, certificate: certificate.pem() }
    }
}

/// A request without a body, and its answer.
fn pass_on(mut client: StreamOwned<ServerConnection, TcpStream>, server: &str) -> std::io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    head.truncate(head.len() - 2);
    head.extend_from_slice(b"connection: close\r\n\r\n");
    let mut server = TcpStream::connect(server)?;
    server.write_all(&head)?;
    std::io::copy(&mut server, &mut client)?;
    client.conn.send_close_notify();
    client.flush()
}
