//! How a receiver knows that a delivery is ours: the HMAC of just the bytes that are sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::InvalidLength;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

/// Signs with the secret of one webhook. The key is the secret's own characters, not what they would decode to.
#[derive(Clone)]
pub struct Signer(Hmac<Sha256>);

impl Signer {
    /// One for this secret.
    ///
    /// # Errors
    /// When no key can be made of it.
    pub fn new(secret: &[u8]) -> Result<Self, InvalidLength> {
        Hmac::new_from_slice(secret).map(Self)
    }

    /// `sha256=` and 64 lower-case digits, of the body alone.
    pub fn of_body(&self, body: &[u8]) -> String {
        let mac = self.0.clone().chain_update(body);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    }

    /// As Standard Webhooks want it: `v1,` and the base64 of the HMAC over id, time and body.
    pub fn of_message(&self, id: Uuid, timestamp: i64, body: &[u8]) -> String {
        let mac = self.0.clone().chain_update(format!("{id}.{timestamp}.")).chain_update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        let signer = Signer::new(b"secret").unwrap();
        assert_eq!(
            signer.of_body(b"{}"),
            "sha256=77325902caca812dc259733aacd046b73817372c777b8d95b402647474516e13"
        );
        // printf '%s' '<id>.1614265330.{}' | openssl dgst -sha256 -hmac secret -binary | base64
        let id = Uuid::from_u128(0x0190_163d_8694_739b_aea5_966c_26f8_ad91);
        assert_eq!(
            signer.of_message(id, 1_614_265_330, b"{}"),
            "v1,fzn4nTJh7wW6Dk8RqrQ1gWawlMFrAarmNZt2uHQWvZs="
        );
    }
}
