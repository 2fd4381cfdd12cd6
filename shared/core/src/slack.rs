//! Alerts as one message to Slack: grouped by store and kind, the worst first, what is over last.
//!
//! Not here: what raises an alert (`migrations/`), how the message travels (`ordak-edge`). What it says was written for
//! people without any customer's data, and nothing is added.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::json::Json;
use crate::rpc::Answer;

/// The longest text that Slack shows whole, in characters.
const LIMIT: usize = 40_000;

/// How much of an alert's message is shown, in characters.
const MESSAGE: usize = 300;

/// How much is shown of what an alert is about, in characters.
const SUBJECT: usize = 60;

/// How many alerts of a kind are told in full; of more, only what they are about.
const IN_FULL: usize = 5;

/// An alert that people are to be told of, or that it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What went wrong, as `task_stuck`.
    pub kind: String,
    /// Whether it is `critical` and not a `warning`.
    pub critical: bool,
    /// The code of the store; none where it concerns all of them.
    pub store: Option<String>,
    /// What it is about, as a task's number.
    pub subject: String,
    /// The same for a person.
    pub message: String,
    /// Whether it is over.
    pub resolved: bool,
}

impl Answer for Alert {
    fn read(json: Json<'_>) -> Option<Alert> {
        let fields = json.fields(["kind", "severity", "subject", "message", "store", "resolved"])?;
        let [kind, severity, subject, message, store, resolved] = fields;
        let text = |field: Option<Json<'_>>| Some(field?.string()?.into_owned());
        Some(Alert {
            kind: text(kind)?,
            critical: severity?.string()? == "critical",
            store: text(store),
            subject: text(subject)?,
            message: text(message)?,
            resolved: bool::read(resolved?)?,
        })
    }
}

#[derive(Serialize)]
struct Body {
    text: String,
}

/// The body of the request to an incoming webhook that tells these alerts.
pub fn message(alerts: &[Alert]) -> String {
    // A plain struct always serializes.
    serde_json::to_string(&Body { text: text(alerts) }).unwrap_or_default()
}

fn text(alerts: &[Alert]) -> String {
    // What concerns all stores has none, and comes first.
    let mut stores = BTreeMap::<_, Vec<_>>::new();
    for alert in alerts {
        stores.entry(alert.store.as_deref()).or_default().push(alert);
    }
    let mut lines = Vec::new();
    for (store, alerts) in stores {
        lines.push(format!("*{}*", escaped(store.unwrap_or("all stores"))));
        // False before true: the critical first, then what is over.
        for resolved in [false, true] {
            let mut kinds = BTreeMap::<_, Vec<_>>::new();
            for alert in alerts.iter().filter(|alert| alert.resolved == resolved) {
                kinds.entry((!alert.critical, &*alert.kind)).or_default().push(*alert);
            }
            lines.extend(kinds.into_values().flat_map(|alerts| group(&alerts)));
        }
    }
    within_limit(&lines)
}

/// The lines of the alerts of one store and kind, of which there is at least one.
fn group(alerts: &[&Alert]) -> Vec<String> {
    let [first, ..] = alerts else { return Vec::new() };
    let kind = escaped(&first.kind.replace('_', " "));
    if first.resolved {
        return vec![format!(":white_check_mark: *{kind}* is over: {}", subjects(alerts))];
    }
    let sign = if first.critical { ":rotating_light:" } else { ":warning:" };
    let count = if alerts.len() > 1 { format!(" ({})", alerts.len()) } else { String::new() };
    let (in_full, others) = alerts.split_at(alerts.len().min(IN_FULL));
    let mut lines = vec![format!("{sign} *{kind}*{count}")];
    lines.extend(in_full.iter().map(|alert| format!("• {}", escaped(&shortened(&alert.message, MESSAGE)))));
    if !others.is_empty() {
        lines.push(format!("• and {} more: {}", others.len(), subjects(others)));
    }
    lines
}

fn subjects(alerts: &[&Alert]) -> String {
    let subjects: Vec<_> = alerts.iter().map(|alert| escaped(&shortened(&alert.subject, SUBJECT))).collect();
    subjects.join(", ")
}

/// The lines as one text, without those that Slack would cut off, but saying that there are more.
fn within_limit(lines: &[String]) -> String {
    const REST: usize = 100;
    let mut text = String::new();
    let mut length = 0;
    for (place, line) in lines.iter().enumerate() {
        length += line.chars().count() + 1;
        if length > LIMIT - REST {
            let _ = write!(text, "… and {} more lines, see list_alerts", lines.len() - place);
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// A text on one line, at most so many characters of it.
fn shortened(text: &str, most: usize) -> String {
    let mut line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let short: String = line.by_ref().take(most).collect();
    if line.next().is_some() { short + "…" } else { short }
}

/// A text in which Slack sees no link and no mention.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::json::Document;
    use crate::rpc::ClaimedAlerts;

    fn alert(store: Option<&str>, kind: &str, subject: &str, resolved: bool) -> Alert {
        Alert {
            kind: kind.into(),
            critical: ["no_orders", "schedule_missed"].contains(&kind),
            store: store.map(Into::into),
            subject: subject.into(),
            message: format!("{subject} needs you"),
            resolved,
        }
    }

    /// What Slack reads of the body.
    fn shown(alerts: &[Alert]) -> String {
        let body: Value = serde_json::from_str(&message(alerts)).unwrap();
        assert_eq!(body.as_object().unwrap().len(), 1);
        body["text"].as_str().unwrap().to_owned()
    }

    #[test]
    fn alerts_are_grouped_the_worst_first_and_what_is_over_last() {
        let mut alerts = vec![
            alert(Some("bannos"), "stock_short", "BOX-10", true),
            alert(Some("bannos"), "task_stuck", "B1", false),
            alert(Some("flourlane"), "task_stuck", "F1", true),
            alert(Some("bannos"), "no_orders", "bannos", false),
            alert(Some("bannos"), "task_stuck", "B2", false),
            alert(None, "schedule_missed", "sync-worker", false),
            alert(Some("flourlane"), "task_stuck", "F2", true),
        ];
        let expected = "\
*all stores*
:rotating_light: *schedule missed*
• sync-worker needs you
*bannos*
:rotating_light: *no orders*
• bannos needs you
:warning: *task stuck* (2)
• B1 needs you
• B2 needs you
:white_check_mark: *stock short* is over: BOX-10
*flourlane*
:white_check_mark: *task stuck* is over: F1, F2";
        assert_eq!(shown(&alerts), expected);
        alerts.extend((3..10).map(|n| alert(Some("bannos"), "task_stuck", &format!("B{n}"), false)));
        let text = shown(&alerts);
        assert!(
            text.contains("*task stuck* (9)") && text.contains("• and 4 more: B6, B7, B8, B9\n"),
            "{text}"
        );
    }

    #[test]
    fn nothing_that_stands_in_an_alert_is_a_mention_a_link_or_a_line_of_its_own() {
        let mut hostile = alert(Some("bannos"), "stock_short", "A&B <!channel>", false);
        hostile.message = "<https://evil.example|cake>\n*bannos*\u{7} \"x\" ü".into();
        let expected =
            "*bannos*\n:warning: *stock short*\n• &lt;https://evil.example|cake&gt; *bannos*  \"x\" ü";
        assert_eq!(shown(std::slice::from_ref(&hostile)), expected);
        hostile.resolved = true;
        assert!(shown(&[hostile]).ends_with("is over: A&amp;B &lt;!channel&gt;"));
    }

    #[test]
    fn no_message_is_longer_than_slack_shows() {
        // Escaped, each character is five.
        let long = |n: usize| Alert {
            message: "&".repeat(500),
            ..alert(Some("bannos"), &format!("kind_{n}"), "x", false)
        };
        let alerts: Vec<_> = (0..50).map(long).collect();
        let text = shown(&alerts);
        assert!(text.chars().count() <= LIMIT, "{}", text.chars().count());
        assert!(text.ends_with("more lines, see list_alerts"), "{text}");
        let one = shown(&alerts[..1]);
        assert!(one.ends_with(&("&amp;".repeat(MESSAGE) + "…")), "{one}");
    }

    #[test]
    fn what_the_database_answers_is_read() {
        let read = |text: &str| ClaimedAlerts::read(Document::parse(text).unwrap().root());
        let none = ClaimedAlerts { token: None, alerts: Vec::new() };
        assert_eq!(read(r#"{"token":null,"alerts":[]}"#), Some(none));
        let text = r#"{"token":"t","alerts":[{"kind":"no_orders","severity":"critical","store":null,
            "subject":"s","message":"s needs you","resolved":true}]}"#;
        let expected = Alert { store: None, ..alert(None, "no_orders", "s", true) };
        assert_eq!(read(text), Some(ClaimedAlerts { token: Some("t".into()), alerts: vec![expected] }));
        for wrong in ["[]", r#"{"token":"t"}"#, r#"{"token":"t","alerts":[{"kind":"no_orders"}]}"#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
