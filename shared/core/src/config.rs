//! What a function needs to know from its environment, read from a list of variables.
//!
//! Not here: where the list comes from. Every variable that is missing is named at once, so that an
//! operator mends a deployment in one go.

use std::borrow::Cow;
use std::fmt;

use crate::json::Document;
use crate::signature::{PartnerKeys, ShopifyKeys};

/// The environment of a function: names and values. A list, since each instance reads it once.
pub type Vars = Vec<(String, String)>;

/// The variables that are missing, by name; never with a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missing(Vec<&'static str>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missing or empty: {}", self.0.join(", "))
    }
}

/// Reads settings and remembers what was missing.
#[derive(Debug)]
pub struct Reader<'a> {
    vars: &'a Vars,
    missing: Missing,
}

/// Where the database answers and how to say who we are.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    /// The project's URL, without a slash at its end.
    pub url: String,
    /// A legacy JWT, or an `sb_secret_…` or `sb_publishable_…` key.
    key: String,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({}, key redacted)", self.url)
    }
}

impl Database {
    /// The headers that identify us. A legacy key is a JWT and goes into `Authorization` too; a new key
    /// is none, and there it would be refused.
    pub fn credentials(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("apikey", self.key.clone())];
        if !self.key.starts_with("sb_") {
            headers.push(("authorization", format!("Bearer {}", self.key)));
        }
        headers
    }
}

/// Where the worker answers, and how to sign for it.
#[derive(Debug, Clone)]
pub struct Worker {
    /// Its URL.
    pub url: String,
    /// Signs.
    pub keys: PartnerKeys,
}

/// Shopify's Admin API, and our right to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Shopify {
    /// The version that is asked for.
    pub version: String,
    /// The URL of a shop, in which `{shop}` stands for its domain.
    url: String,
    /// The tokens, each with the code of its store.
    tokens: Vec<(String, String)>,
}

impl fmt::Debug for Shopify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shopify({}, tokens redacted)", self.url)
    }
}

impl Shopify {
    /// The codes of the stores that there is a token for.
    pub fn stores(&self) -> Vec<&str> {
        self.tokens.iter().map(|(store, _)| store.as_str()).collect()
    }

    /// The URL of a shop's GraphQL and the token for it; none where there is no token.
    pub fn shop(&self, store: &str, domain: &str) -> Option<(String, &str)> {
        let (_, token) = self.tokens.iter().find(|(known, _)| known == store)?;
        let url = self.url.replace("{shop}", domain);
        Some((format!("{}/admin/api/{}/graphql.json", url.trim_end_matches('/'), self.version), token))
    }
}

impl<'a> Reader<'a> {
    /// Reads from `vars`.
    pub fn new(vars: &'a Vars) -> Reader<'a> {
        Reader { vars, missing: Missing::default() }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.vars.iter().find(|(known, _)| known == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// The database as the service: `SUPABASE_URL`, and `SUPABASE_SERVICE_ROLE_KEY` or else the default of
    /// `SUPABASE_SECRET_KEYS`.
    pub fn database(&mut self) -> Database {
        self.with_key(
            ["SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_SECRET_KEYS"],
            "SUPABASE_SERVICE_ROLE_KEY (or SUPABASE_SECRET_KEYS with a default)",
        )
    }

    /// The database as browsers come to it, where a login says who it is: `SUPABASE_URL`, and `SUPABASE_ANON_KEY` or else
    /// the default of `SUPABASE_PUBLISHABLE_KEYS`.
    pub fn browser(&mut self) -> Database {
        self.with_key(
            ["SUPABASE_ANON_KEY", "SUPABASE_PUBLISHABLE_KEYS"],
            "SUPABASE_ANON_KEY (or SUPABASE_PUBLISHABLE_KEYS with a default)",
        )
    }

    fn with_key(&mut self, [legacy, list]: [&str; 2], missing: &'static str) -> Database {
        let url = self.get("SUPABASE_URL").unwrap_or_else(|| self.lacks("SUPABASE_URL"));
        let listed = || {
            let keys = Document::parse(self.get(list)?).ok()?;
            let [default] = keys.root().fields(["default"])?;
            default?.string().map(Cow::into_owned).filter(|key| !key.is_empty())
        };
        // A host that refuses one as a header shows it in the error, which goes into the log.
        let fits = |key: &String| key.bytes().all(|byte| byte.is_ascii_graphic());
        let key = self.get(legacy).map(str::to_owned).or_else(listed).filter(fits);
        let key = key.unwrap_or_else(|| self.lacks(missing).to_owned());
        Database { url: url.trim_end_matches('/').to_owned(), key }
    }

    /// `SHOPIFY_WEBHOOK_SECRET` and every `SHOPIFY_<CODE>_WEBHOOK_SECRET`; at least one must be there.
    pub fn shopify_keys(&mut self) -> ShopifyKeys {
        let mut keys = ShopifyKeys::default();
        keys.add(None, self.get("SHOPIFY_WEBHOOK_SECRET").unwrap_or_default());
        for (store, list) in self.of_stores("_WEBHOOK_SECRET") {
            keys.add(Some(&store), list);
        }
        if keys.is_empty() {
            self.lacks("SHOPIFY_WEBHOOK_SECRET");
        }
        keys
    }

    /// `ORDAK_ORDERS_SECRET`, with which partners sign.
    pub fn orders_keys(&mut self) -> PartnerKeys {
        self.partner_keys("ORDAK_ORDERS_SECRET")
    }

    /// `ORDAK_SIGNING_SECRET`, with which our own servers sign.
    pub fn signing_keys(&mut self) -> PartnerKeys {
        self.partner_keys("ORDAK_SIGNING_SECRET")
    }

    fn partner_keys(&mut self, name: &'static str) -> PartnerKeys {
        let mut keys = PartnerKeys::default();
        keys.add(self.get(name).unwrap_or_default());
        if keys.is_empty() {
            self.lacks(name);
        }
        keys
    }

    /// The worker: `ORDAK_SYNC_WORKER_URL`, or else the function beside the database; signed with
    /// `ORDAK_SIGNING_SECRET`. None where there is no secret: then nobody is told, and the schedule comes.
    pub fn worker(&mut self) -> Option<Worker> {
        let beside =
            || Some([self.get("SUPABASE_URL")?.trim_end_matches('/'), "/functions/v1/sync-worker"].concat());
        let url = self.get("ORDAK_SYNC_WORKER_URL").map(str::to_owned).or_else(beside)?;
        let mut keys = PartnerKeys::default();
        keys.add(self.get("ORDAK_SIGNING_SECRET").unwrap_or_default());
        (!keys.is_empty()).then_some(Worker { url, keys })
    }

    /// Shopify's Admin API: every `SHOPIFY_<CODE>_TOKEN`, of which at least one must be there, `SHOPIFY_API_VERSION` and
    /// `SHOPIFY_API_URL`.
    pub fn shopify(&mut self) -> Shopify {
        let tokens: Vec<_> =
            self.of_stores("_TOKEN").map(|(store, token)| (store, token.trim().to_owned())).collect();
        if tokens.is_empty() {
            self.lacks("SHOPIFY_<CODE>_TOKEN");
        }
        let or = |name, default: &str| self.get(name).unwrap_or(default).to_owned();
        Shopify {
            version: or("SHOPIFY_API_VERSION", "2026-07"),
            url: or("SHOPIFY_API_URL", "https://{shop}"),
            tokens,
        }
    }

    /// The incoming webhook that people are told of alerts by: `SLACK_WEBHOOK_URL`. None where nobody is.
    pub fn slack(&self) -> Option<String> {
        self.get("SLACK_WEBHOOK_URL").map(str::to_owned)
    }

    /// The variables `SHOPIFY_<CODE><end>` that are filled in, by the code in lower case.
    fn of_stores(&self, end: &'static str) -> impl Iterator<Item = (String, &'a str)> + use<'a> {
        self.vars.iter().filter_map(move |(name, value)| {
            let code = name.strip_prefix("SHOPIFY_")?.strip_suffix(end)?;
            (!code.is_empty() && !value.trim().is_empty())
                .then(|| (code.to_ascii_lowercase(), value.as_str()))
        })
    }

    fn lacks(&mut self, name: &'static str) -> &'static str {
        self.missing.0.push(name);
        ""
    }

    /// What was read, or everything that was missing.
    ///
    /// # Errors
    /// [`Missing`] with the name of every variable that was asked for and not there.
    pub fn finish<T>(self, settings: T) -> Result<T, Missing> {
        if self.missing.0.is_empty() { Ok(settings) } else { Err(self.missing) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::sign_shopify;

    fn vars(pairs: &[(&str, &str)]) -> Vars {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn database(pairs: &[(&str, &str)]) -> Result<Database, Missing> {
        let vars = vars(pairs);
        let mut reader = Reader::new(&vars);
        let database = reader.database();
        reader.finish(database)
    }

    #[test]
    fn every_missing_variable_is_named_at_once() {
        // What cannot be decoded is no secret either.
        let vars = vars(&[("SUPABASE_URL", " "), ("ORDAK_ORDERS_SECRET", "whsec_*")]);
        let mut reader = Reader::new(&vars);
        let databases = (reader.database(), reader.browser());
        let settings = (databases, reader.shopify_keys(), reader.orders_keys(), reader.signing_keys());
        let text = reader.finish(settings).unwrap_err().to_string();
        let names = [
            "SUPABASE_URL",
            "SUPABASE_SERVICE_ROLE_KEY",
            "SUPABASE_ANON_KEY",
            "SHOPIFY_WEBHOOK_SECRET",
            "ORDAK_ORDERS_SECRET",
            "ORDAK_SIGNING_SECRET",
        ];
        for name in names {
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn a_legacy_key_goes_into_both_headers_and_a_new_one_into_apikey_alone() {
        let legacy =
            database(&[("SUPABASE_URL", "http://x/"), ("SUPABASE_SERVICE_ROLE_KEY", "ey.a.b")]).unwrap();
        assert_eq!(legacy.url, "http://x");
        assert_eq!(
            legacy.credentials(),
            [("apikey", "ey.a.b".to_owned()), ("authorization", "Bearer ey.a.b".to_owned())]
        );
        let new = database(&[
            ("SUPABASE_URL", "http://x"),
            ("SUPABASE_SECRET_KEYS", r#"{"default":"sb_secret_1"}"#),
        ]);
        assert_eq!(new.unwrap().credentials(), [("apikey", "sb_secret_1".to_owned())]);
    }

    #[test]
    fn a_key_that_can_be_no_header_is_none() {
        for broken in ["hush\nhush", "hush hush", "hush\u{e9}"] {
            let found = database(&[("SUPABASE_URL", "http://x"), ("SUPABASE_SERVICE_ROLE_KEY", broken)]);
            assert!(!found.unwrap_err().to_string().contains("hush"), "{broken}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let database = database(&[("SUPABASE_URL", "http://x"), ("SUPABASE_SERVICE_ROLE_KEY", "hush")]);
        assert!(!format!("{database:?}").contains("hush"));
    }

    #[test]
    fn the_worker_is_beside_the_database_or_where_it_is_said_to_be() {
        let worker = |pairs: &[(&str, &str)]| {
            let vars = vars(pairs);
            let mut reader = Reader::new(&vars);
            let worker = reader.worker();
            // Without it, everything else works.
            reader.finish(worker.map(|worker| worker.url)).unwrap()
        };
        let (url, secret) = (("SUPABASE_URL", "https://x/"), ("ORDAK_SIGNING_SECRET", "plain"));
        let elsewhere = ("ORDAK_SYNC_WORKER_URL", "https://y/worker");
        assert_eq!(worker(&[url, secret]).as_deref(), Some("https://x/functions/v1/sync-worker"));
        assert_eq!(worker(&[url, secret, elsewhere]).as_deref(), Some("https://y/worker"));
        assert_eq!(worker(&[secret, elsewhere]).as_deref(), Some("https://y/worker"));
        for none in [&[url][..], &[url, elsewhere], &[secret], &[url, ("ORDAK_SIGNING_SECRET", "whsec_*")]] {
            assert_eq!(worker(none), None, "{none:?}");
        }
    }

    #[test]
    fn a_shop_needs_only_a_token() {
        let shopify = |pairs: &[(&str, &str)]| {
            let vars = vars(pairs);
            let mut reader = Reader::new(&vars);
            let shopify = reader.shopify();
            reader.finish(shopify).map_err(|missing| missing.to_string())
        };
        let missing = "missing or empty: SHOPIFY_<CODE>_TOKEN";
        for none in [&[][..], &[("SHOPIFY_TOKEN", "t")], &[("SHOPIFY_BANNOS_TOKEN", " ")]] {
            assert_eq!(shopify(none).unwrap_err(), missing, "{none:?}");
        }
        let token = ("SHOPIFY_BANNOS_TOKEN", " shpat_1 ");
        let found = shopify(&[token, ("SHOPIFY_FLOUR_LANE_TOKEN", "shpat_2")]).unwrap();
        assert_eq!(found.stores(), ["bannos", "flour_lane"]);
        let url = "https://b.myshopify.com/admin/api/2026-07/graphql.json".to_owned();
        assert_eq!(found.shop("bannos", "b.myshopify.com"), Some((url, "shpat_1")));
        assert_eq!(found.shop("xylo", "x.myshopify.com"), None);
        assert!(!format!("{found:?}").contains("shpat"));
        let found =
            shopify(&[token, ("SHOPIFY_API_VERSION", "2026-10"), ("SHOPIFY_API_URL", "http://s/{shop}/")]);
        let url = "http://s/b/admin/api/2026-10/graphql.json".to_owned();
        assert_eq!(found.unwrap().shop("bannos", "b"), Some((url, "shpat_1")));
    }

    #[test]
    fn a_store_needs_only_a_variable() {
        let vars = vars(&[("SHOPIFY_BANNOS_WEBHOOK_SECRET", "cake"), ("SHOPIFY__WEBHOOK_SECRET", "no")]);
        let keys = Reader::new(&vars).shopify_keys();
        let signed = sign_shopify("cake", b"x");
        assert_eq!(keys.verify(b"x", signed.as_deref()).unwrap().store, Some("bannos"));
        assert!(keys.verify(b"x", sign_shopify("no", b"x").as_deref()).is_err());
    }
}
