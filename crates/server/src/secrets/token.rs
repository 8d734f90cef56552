//! Tokens for whoever was given one: they say until when they are good, and for what, and nobody else can make them. They are
//! sealed as secrets are, so there is no further key, and a change of keys leaves those that are out good.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use super::{SealError, Vault};

impl Vault {
    /// A token that is good in this context alone, until then.
    ///
    /// # Errors
    /// Without a key.
    pub fn issue_token(&self, context: &[&[u8]], until: DateTime<Utc>) -> Result<String, SealError> {
        let sealed = self.seal(context, &until.timestamp_millis().to_be_bytes())?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Whether a token was issued for this context and is still good.
    pub fn accepts_token(&self, context: &[&[u8]], token: &str, now: DateTime<Utc>) -> bool {
        let until = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|sealed| {
            let opened = self.open(context, &sealed).ok()?;
            Some(i64::from_be_bytes(opened.as_slice().try_into().ok()?))
        });
        until.is_some_and(|until| now.timestamp_millis() < until)
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::*;
    use crate::secrets::{Keys, onboarding_context};

    fn vault(current: u8, retired: &[u8]) -> Vault {
        let key = |byte: &u8| BASE64_STANDARD.encode([*byte; 32]);
        let retired: Vec<_> = retired.iter().map(key).collect();
        Vault::with(Keys::parse(Some(&key(&current)), Some(&retired.join(","))).unwrap())
    }

    #[test]
    fn a_token_is_good_for_its_tenant_until_its_time_is_over() {
        let (tenant, other) = (Uuid::now_v7(), Uuid::now_v7());
        let now = Utc::now();
        let until = now + TimeDelta::seconds(900);
        let token = vault(1, &[]).issue_token(&onboarding_context(&tenant), until).unwrap();
        let accepts = |vault: Vault, tenant: &Uuid, token: &str, at| {
            vault.accepts_token(&onboarding_context(tenant), token, at)
        };
        assert!(accepts(vault(1, &[]), &tenant, &token, now));
        assert!(accepts(vault(2, &[1]), &tenant, &token, until - TimeDelta::milliseconds(1)));
        assert!(!accepts(vault(1, &[]), &tenant, &token, until));
        assert!(!accepts(vault(1, &[]), &other, &token, now));
        assert!(!accepts(vault(2, &[]), &tenant, &token, now));
        for bogus in ["", "x", &token[1..], &format!("{token}A"), &token.replace(&token[40..42], "zz")] {
            assert!(!accepts(vault(1, &[]), &tenant, bogus, now), "{bogus}");
        }
        // A secret is no token, whatever it is.
        let sealed = vault(1, &[]).seal(&[b"webhook"], &until.timestamp_millis().to_be_bytes()).unwrap();
        assert!(!accepts(vault(1, &[]), &tenant, &BASE64_URL_SAFE_NO_PAD.encode(sealed), now));
    }
}
