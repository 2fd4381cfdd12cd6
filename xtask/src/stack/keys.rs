//! The local stack's secrets: made at random when its data is first created, kept beside it.

use std::fmt;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::files::write_private;

/// Every secret of one local stack.
#[derive(Clone, Serialize, Deserialize)]
pub struct Keys {
    /// Signs the tokens that PostgREST and Auth accept.
    pub jwt_secret: String,
    /// The legacy key of browsers: a token of role `anon`.
    pub anon: String,
    /// The legacy key of functions: a token of role `service_role`.
    pub service_role: String,
    /// The new-style key of browsers.
    pub publishable: String,
    /// The new-style key of functions.
    pub secret: String,
    /// The password of every local database role.
    pub password: String,
    /// Shopify's app secret.
    pub webhook_secret: String,
    /// Partners' secret, for the orders API.
    pub orders_secret: String,
    /// Our own, for cron, CLI and calls between functions.
    pub signing_secret: String,
    /// What the Shopify stand-in takes for Bannos' Admin API.
    #[serde(default = "admin_token")]
    pub shopify_bannos_token: String,
    /// The same for Flourlane's.
    #[serde(default = "admin_token")]
    pub shopify_flourlane_token: String,
}

impl fmt::Debug for Keys {
    /// Without the secrets: what is printed ends up in logs.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// The secrets at `path`; made and written there when it is missing.
    ///
    /// # Errors
    /// Where the file cannot be read, understood or written.
    pub fn load(path: &Path) -> Result<Keys> {
        if let Ok(text) = std::fs::read_to_string(path) {
            return serde_json::from_str(&text)
                .with_context(|| format!("cannot understand {}", path.display()));
        }
        let keys = Keys::random()?;
        write_private(path, serde_json::to_vec_pretty(&keys)?)?;
        Ok(keys)
    }

    fn random() -> Result<Keys> {
        let jwt_secret = random::<33>()?;
        let standard_webhooks =
            || Ok::<_, anyhow::Error>(format!("whsec_{}", STANDARD.encode(random_bytes::<24>()?)));
        Ok(Keys {
            anon: token(&jwt_secret, "anon")?,
            service_role: token(&jwt_secret, "service_role")?,
            publishable: format!("sb_publishable_{}", random::<16>()?),
            secret: format!("sb_secret_{}", random::<16>()?),
            password: random::<16>()?,
            webhook_secret: random::<24>()?,
            orders_secret: standard_webhooks()?,
            signing_secret: standard_webhooks()?,
            shopify_bannos_token: admin_token(),
            shopify_flourlane_token: admin_token(),
            jwt_secret,
        })
    }
}

/// A token of a role, valid for ten years: what Supabase calls a legacy API key.
fn token(secret: &str, role: &str) -> Result<String> {
    let now = jiff::Timestamp::now().as_second();
    let claims =
        serde_json::json!({"iss": "ordak-local", "role": role, "iat": now, "exp": now + 315_360_000});
    jwt(secret, &claims)
}

/// A token with these claims, as Auth signs one.
///
/// # Errors
/// Never: a secret of any length will do.
pub fn jwt(secret: &str, claims: &serde_json::Value) -> Result<String> {
    let text = [r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string()]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?.chain_update(&text).finalize().into_bytes();
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac)))
}

/// A token of the form that Shopify's Admin API gives. Nothing keeps it but one stack's parts while they run.
fn admin_token() -> String {
    // This does not fail on Linux.
    let bytes = random_bytes::<16>().unwrap_or_default();
    bytes.iter().fold("shpat_".to_owned(), |token, byte| token + &format!("{byte:02x}"))
}

fn random<const LENGTH: usize>() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random_bytes::<LENGTH>()?))
}

/// Bytes that nobody can guess.
pub(super) fn random_bytes<const LENGTH: usize>() -> std::io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
