//! Due dates and instants: what is a day is written so that it reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ordak_core::order::date;

fuzz_target!(|text: &str| {
    let _ = date::is_instant(text);
    let (day, rest) = date::parse_with_time(text);
    assert!(text.ends_with(rest));
    for day in [day, date::parse(text), date::parse_with_weekday(text)].into_iter().flatten() {
        assert_eq!(date::parse_iso(&day.to_string()), Ok(day));
    }
});
