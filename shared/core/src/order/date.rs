//! Days and instants as Shopify and its delivery apps write them.
//!
//! Not here: time zones and today. A due date is a pure day, and an instant is only checked: Postgres
//! reads it.

use std::fmt;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A day of the calendar from 2000 to 2100, displayed as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

/// Why a text names no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadDate {
    /// It is in none of the forms that [`parse`] takes.
    Unreadable,
    /// It has the form of a date, but the calendar has no such day from 2000 to 2100.
    Impossible,
    /// The day exists, but falls on another weekday than the text says: one of the two is a mistake.
    WrongWeekday,
}

/// Reads a day: `8/12/2025` (always day first), `Mon 8 Dec 2025` or `2025-12-08`.
///
/// Names of weekdays and months are English, in any case, whole or cut to three letters or more ("Sept"
/// and "Thurs" occur); a comma may follow them.
///
/// # Errors
///
/// [`BadDate`] says whether the text is no date at all or a date that cannot be.
pub fn parse(text: &str) -> Result<Date, BadDate> {
    let text = text.trim();
    if text.contains('/') {
        let [day, month, year] = parts(text.split('/')).ok_or(BadDate::Unreadable)?;
        day_of(digits(year, 4, 4), digits(month, 1, 2), digits(day, 1, 2))
    } else if text.contains('-') {
        parse_iso(text)
    } else {
        parse_with_weekday(text)
    }
}

/// Reads a day with a time behind it: `8/12/2025 10:00 AM`, `Mon 8 Dec 2025, 10:00 - 12:00` or
/// `2025-12-08T10:00`. The time is returned as it was written, empty where there is none.
///
/// A time that names its offset from UTC makes the text unreadable: there, the day may be another than here.
pub fn parse_with_time(text: &str) -> (Result<Date, BadDate>, &str) {
    // No date is longer; and a long text must not be read once for each of its words.
    const LONGEST: usize = 40;
    for (end, separator) in text.bytes().enumerate().take(LONGEST) {
        if !matches!(separator, b' ' | b',' | b'T') {
            continue;
        }
        let (day, rest) = text.split_at_checked(end).unwrap_or_default();
        let day = parse(day);
        let time = rest.strip_prefix('T').unwrap_or(rest).trim_start_matches([',', ' ']);
        if day != Err(BadDate::Unreadable) && is_time(time, separator == b'T') {
            return (day, time);
        }
    }
    (parse(text), "")
}

/// Whether it is a time of day, or (where that may be) two with something between them.
fn is_time(text: &str, alone: bool) -> bool {
    let part = |byte| match byte {
        b'0'..=b'9' | b':' | b'.' => true,
        b' ' | b'-' | b'a' | b'm' | b'p' | b'A' | b'M' | b'P' | b't' | b'o' => !alone,
        _ => false,
    };
    text.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) && text.bytes().all(part)
}

/// Reads only the form `Mon 8 Dec 2025`, which no other text takes by accident.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_with_weekday(text: &str) -> Result<Date, BadDate> {
    let [weekday, day, month, year] = parts(text.split_whitespace()).ok_or(BadDate::Unreadable)?;
    let weekday = named(&WEEKDAYS, weekday).ok_or(BadDate::Unreadable)?;
    let month = MONTHS.iter().zip(1..).find(|(name, _)| abbreviates(month, name)).map(|(_, number)| number);
    let date = day_of(digits(year, 4, 4), month, digits(day, 1, 2))?;
    if date.weekday() == weekday { Ok(date) } else { Err(BadDate::WrongWeekday) }
}

/// Reads only the form `2025-12-08`.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_iso(text: &str) -> Result<Date, BadDate> {
    let [year, month, day] = parts(text.split('-')).ok_or(BadDate::Unreadable)?;
    day_of(digits(year, 4, 4), digits(month, 2, 2), digits(day, 2, 2))
}

/// Whether `text` is an RFC 3339 instant that Postgres takes: date, `T`, time, and `Z` or an offset.
pub fn is_instant(text: &str) -> bool {
    let Some((date, rest)) = text.split_once('T') else { return false };
    let time = match rest.strip_suffix('Z') {
        Some(time) => Some(time),
        // Postgres has no offset of sixteen hours or more.
        None => rest
            .rsplit_once(['+', '-'])
            .and_then(|(time, offset)| clock(offset.split(':'), [15, 59]).then_some(time)),
    };
    let Some(time) = time else { return false };
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    parse_iso(date).is_ok()
        && (1..=9).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        // The second 60 is a leap second.
        && clock(time.split(':'), [23, 59, 60])
}

impl Date {
    /// The day, when the calendar has it and it is from 2000 to 2100.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Date> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 31,
        };
        let exists = (2000..=2100).contains(&year) && (1..=12).contains(&month) && (1..=last).contains(&day);
        exists.then_some(Date { year, month, day })
    }

    /// The English name of its weekday.
    pub fn weekday(self) -> &'static str {
        // Zeller's congruence: the year begins in March, so that the leap day is its last.
        let (year, month) =
            if self.month < 3 { (self.year - 1, self.month + 12) } else { (self.year, self.month) };
        let days =
            u16::from(self.day) + 13 * (u16::from(month) + 1) / 5 + year + year / 4 - year / 100 + year / 400;
        match days % 7 {
            0 => "Saturday",
            1 => "Sunday",
            2 => "Monday",
            3 => "Tuesday",
            4 => "Wednesday",
            5 => "Thursday",
            _ => "Friday",
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

fn day_of(year: Option<u16>, month: Option<u16>, day: Option<u16>) -> Result<Date, BadDate> {
    let (Some(year), Some(month), Some(day)) = (year, month, day) else {
        return Err(BadDate::Unreadable);
    };
    let (Ok(month), Ok(day)) = (u8::try_from(month), u8::try_from(day)) else {
        return Err(BadDate::Impossible);
    };
    Date::new(year, month, day).ok_or(BadDate::Impossible)
}

/// Whether the parts are two digits each and none is above its bound.
fn clock<'a, const N: usize>(fields: impl Iterator<Item = &'a str>, bounds: [u16; N]) -> bool {
    parts::<N>(fields).is_some_and(|fields| {
        fields.iter().zip(bounds).all(|(field, bound)| digits(field, 2, 2).is_some_and(|n| n <= bound))
    })
}

/// Exactly `N` parts.
fn parts<'a, const N: usize>(mut all: impl Iterator<Item = &'a str>) -> Option<[&'a str; N]> {
    let mut parts = [""; N];
    for part in &mut parts {
        *part = all.next()?;
    }
    all.next().is_none().then_some(parts)
}

/// The number, when it is written in `least..=most` digits and nothing else.
fn digits(text: &str, least: usize, most: usize) -> Option<u16> {
    let plain = (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    // `parse` alone would also take a plus sign.
    if plain { text.parse().ok() } else { None }
}

fn named(names: &[&'static str], word: &str) -> Option<&'static str> {
    names.iter().copied().find(|name| abbreviates(word, name))
}

fn abbreviates(word: &str, name: &str) -> bool {
    let word = word.strip_suffix(',').unwrap_or(word);
    word.len() >= 3 && name.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<&str, BadDate>) {
        let found = parse(text).map(|date| date.to_string());
        assert_eq!(found.as_deref().map_err(|bad| *bad), expected, "{text:?}");
    }

    #[test]
    fn reads_each_form() {
        for (text, expected) in [
            ("08/12/2025", "2025-12-08"),
            ("8/12/2025", "2025-12-08"),
            (" 1/2/2026 ", "2026-02-01"),
            ("29/02/2028", "2028-02-29"),
            ("29/2/2000", "2000-02-29"),
            ("31/12/2100", "2100-12-31"),
            ("Mon 8 Dec 2025", "2025-12-08"),
            ("Mon, 8 Dec 2025", "2025-12-08"),
            ("Monday 08 December, 2025", "2025-12-08"),
            ("fri 14 nov 2025", "2025-11-14"),
            ("Thurs 11 Sept 2025", "2025-09-11"),
            ("Fri  14   Nov 2025", "2025-11-14"),
            ("2025-12-08", "2025-12-08"),
        ] {
            check(text, Ok(expected));
        }
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in [
            "",
            " ",
            "soon",
            "8/12",
            "8/12/25",
            "8/12/2025/1",
            "008/12/2025",
            "+8/12/2025",
            "8 / 12 / 2025",
            "8/12/2025 10:00",
            "2025-12-8",
            "8-12-2025",
            "8 Dec 2025",
            "Mo 8 Dec 2025",
            "Mon 8 De 2025",
            "Mondays 8 Dec 2025",
            "Mon 8th Dec 2025",
            "Mon 8 Dec 2025 noon",
            "Mon 8 Dec 25",
            "Mön 8 Dec 2025",
            "٨/١٢/٢٠٢٥",
        ] {
            check(text, Err(BadDate::Unreadable));
        }
    }

    #[test]
    fn refuses_what_the_calendar_has_not() {
        for text in [
            "12/25/2025",
            "31/04/2025",
            "29/02/2025",
            "29/02/2100",
            "0/1/2025",
            "1/0/2025",
            "1/1/1999",
            "1/1/2101",
            "2025-02-30",
            "Mon 31 Nov 2025",
        ] {
            check(text, Err(BadDate::Impossible));
        }
        check("Tue 8 Dec 2025", Err(BadDate::WrongWeekday));
        check("Sunday, 8 December 2025", Err(BadDate::WrongWeekday));
    }

    #[test]
    fn a_time_behind_the_day_is_told_apart() {
        for (text, day, time) in [
            ("8/12/2025 10:00 AM", Some("2025-12-08"), "10:00 AM"),
            ("8/12/2025, 10am to 12pm", Some("2025-12-08"), "10am to 12pm"),
            ("2025-12-08T10:00", Some("2025-12-08"), "10:00"),
            ("2025-12-08T10:00:00.000", Some("2025-12-08"), "10:00:00.000"),
            ("2025-12-08 10:00 - 12:00", Some("2025-12-08"), "10:00 - 12:00"),
            ("Tuesday, 9 December, 2025 09:30", Some("2025-12-09"), "09:30"),
            ("8/12/2025", Some("2025-12-08"), ""),
            ("Tue 9 Dec 2025", Some("2025-12-09"), ""),
            ("Tue 8 Dec 2025 10:00", None, "10:00"),
            ("2025-12-08T10:00:00Z", None, ""),
            ("2025-12-08T10:00:00-05:00", None, ""),
            ("2025-12-08T10:00:00+11:00", None, ""),
            ("8/12/2025 9/12/2025", None, ""),
            ("8/12/2025 or later", None, ""),
            ("8/12/2025 2 days", None, ""),
            ("10:00", None, ""),
        ] {
            let (found, rest) = parse_with_time(text);
            assert_eq!((found.ok().map(|date| date.to_string()).as_deref(), rest), (day, time), "{text}");
        }
    }

    #[test]
    fn an_instant_has_a_date_a_time_and_an_offset() {
        for text in [
            "2025-11-10T09:15:00+11:00",
            "2025-11-10T09:15:00Z",
            "2025-11-10T09:15:00.123-05:00",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(is_instant(text), "{text}");
        }
        for text in [
            "",
            "2025-11-10",
            "2025-11-10T09:15:00",
            "2025-11-10 09:15:00Z",
            "2025-11-10t09:15:00z",
            "2025-02-29T09:15:00Z",
            "2025-11-10T24:00:00Z",
            "2025-11-10T09:60:00Z",
            "2025-11-10T09:15:61Z",
            "2025-11-10T09:15Z",
            "2025-11-10T9:15:00Z",
            "2025-11-10T09:15:00.Z",
            "2025-11-10T09:15:00.1234567890Z",
            "2025-11-10T09:15:00+1100",
            "2025-11-10T09:15:00+16:00",
            "2025-11-10T09:15:00+11:00Z",
            "2025-11-10T09:15:00ZZ",
            " 2025-11-10T09:15:00Z",
            "now",
        ] {
            assert!(!is_instant(text), "{text}");
        }
    }

    fn any_date() -> impl Strategy<Value = Date> {
        (2000u16..=2100, 1u8..=12, 1u8..=31)
            .prop_filter_map("the month is shorter", |(year, month, day)| Date::new(year, month, day))
    }

    #[test]
    fn each_day_follows_the_weekday_before_it() {
        let mut weekdays = WEEKDAYS.iter().cycle().skip(5); // 1 January 2000 was a Saturday.
        let mut days = 0;
        for year in 2000..=2100 {
            for (month, day) in (1..=12).flat_map(|month| (1..=31).map(move |day| (month, day))) {
                if let Some(date) = Date::new(year, month, day) {
                    assert_eq!(Some(&date.weekday()), weekdays.next(), "{date}");
                    days += 1;
                }
            }
        }
        assert_eq!(days, 101 * 365 + 25);
    }

    proptest! {
        #[test]
        fn every_form_of_a_day_reads_back(date in any_date(), full in any::<bool>()) {
            let Date { year, month, day } = date;
            let cut = |name: &'static str| if full { name } else { &name[..3] };
            let (weekday, name) = (cut(date.weekday()), cut(MONTHS[usize::from(month) - 1]));
            prop_assert_eq!(parse(&date.to_string()), Ok(date));
            prop_assert_eq!(parse(&format!("{day}/{month}/{year}")), Ok(date));
            prop_assert_eq!(parse(&format!("{day:02}/{month:02}/{year}")), Ok(date));
            prop_assert_eq!(parse(&format!("{weekday} {day} {name} {year}")), Ok(date));
        }

        #[test]
        fn a_weekday_that_is_not_the_days_is_refused(date in any_date(), other in 0usize..7) {
            let Date { year, month, day } = date;
            let (weekday, name) = (WEEKDAYS[other], MONTHS[usize::from(month) - 1]);
            let expected = if weekday == date.weekday() { Ok(date) } else { Err(BadDate::WrongWeekday) };
            prop_assert_eq!(parse(&format!("{weekday} {day} {name} {year}")), expected);
        }

        #[test]
        fn no_text_panics(text in any::<String>(), near in "[A-Za-zé]{0,4}[ ,/:.T-]{0,2}[0-9/:+ TZ.-]{0,24}") {
            for text in [text, near] {
                let _ = (parse(&text), parse_with_time(&text), is_instant(&text));
            }
        }
    }
}
