//! The time of an image in FAT's terms, and the way to hand it to fatfs.

use std::cell::Cell;

use fatfs::{Date, DateTime, Time, TimeProvider};

use crate::units::Timestamp;

/// 1980-01-01T00:00:00Z, the first second that FAT can name.
const FIRST: i64 = 315_532_800;
/// 2107-12-31T23:59:59Z, the last.
const LAST: i64 = 4_354_819_199;
const DAY: i64 = 86_400;

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::from_secs(FIRST)) };
}

/// The clock that fatfs is given: it wants one that lives for ever.
#[derive(Debug)]
pub(super) struct Clock;

impl Clock {
    /// Sets the time that this thread's volumes are made at.
    pub(super) fn set(time: Timestamp) -> &'static Self {
        NOW.set(time);
        &Self
    }
}

impl TimeProvider for Clock {
    fn get_current_date(&self) -> Date {
        self.get_current_date_time().date
    }

    fn get_current_date_time(&self) -> DateTime {
        dos(NOW.get())
    }
}

/// A time as FAT's directory entries have it, in UTC: what Linux mounts as, and no zone of the host.
/// Clamped to what FAT can name.
fn dos(time: Timestamp) -> DateTime {
    let sec = time.sec.clamp(FIRST, LAST);
    let millis = if sec == time.sec {
        time.nsec / 1_000_000
    } else {
        0
    };
    let (days, in_day) = (sec.div_euclid(DAY), sec.rem_euclid(DAY));
    let small = |n: i64| u16::try_from(n).expect("clamped to the years 1980 to 2107");
    let (year, month, day) = crate::units::civil(days);
    DateTime {
        date: Date {
            year: small(year),
            month: small(month),
            day: small(day),
        },
        time: Time {
            hour: small(in_day / 3600),
            min: small(in_day / 60 % 60),
            sec: small(in_day % 60),
            millis: u16::try_from(millis).expect("below 1000"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sec: i64) -> String {
        let t = dos(Timestamp::from_secs(sec));
        let (d, t) = (t.date, t.time);
        format!(
            "{}-{:02}-{:02} {:02}:{:02}:{:02}",
            d.year, d.month, d.day, t.hour, t.min, t.sec
        )
    }

    #[test]
    fn dates_are_those_of_date_1() {
        // `date -u -d @N '+%F %T'`
        assert_eq!(text(1_700_000_000), "2023-11-14 22:13:20");
        assert_eq!(text(951_782_400), "2000-02-29 00:00:00");
        assert_eq!(text(4_107_542_399), "2100-02-28 23:59:59");
        assert_eq!(text(4_107_542_400), "2100-03-01 00:00:00");
        assert_eq!(text(1_735_689_599), "2024-12-31 23:59:59");
    }

    #[test]
    fn times_that_fat_cannot_name_are_clamped() {
        assert_eq!(text(0), "1980-01-01 00:00:00");
        assert_eq!(text(-1), "1980-01-01 00:00:00");
        assert_eq!(text(i64::MAX), "2107-12-31 23:59:59");
    }
}
