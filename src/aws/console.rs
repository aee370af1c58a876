//! What an instance has printed on its serial console, and what its screen shows.

use super::id::is_id;
use super::{Aws, AwsError, Call};
use aws_smithy_types::base64;

/// Fewer bytes in common are an accident, but for all that was there before.
const OVERLAP: usize = 32;

/// The end of what an instance has printed: 64 KiB at most (EC2, `GetConsoleOutput`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Console {
    /// When AWS took it, in ISO 8601.
    pub taken: Option<String>,
    /// As the instance sent it, control sequences and all.
    pub bytes: Vec<u8>,
}

/// Whether `id` has the form of an instance's id: `i-` and 8 or 17 digits, hexadecimal.
#[must_use]
pub fn is_instance_id(id: &str) -> bool {
    is_id(id, "i-")
}

/// Reads the console of `instance`: as it was posted after the last change of the instance's state, or, with
/// `latest`, as it is now, which instances of the Nitro generation alone can do.
///
/// # Errors
/// Those of [`Aws::call`], and an answer that is not base64.
pub async fn console(aws: &Aws, instance: &str, latest: bool) -> Result<Console, AwsError> {
    let call = Call::new("ec2:GetConsoleOutput", instance);
    let request = || {
        aws.ec2()
            .get_console_output()
            .instance_id(instance)
            .set_latest(latest.then_some(true))
            .send()
    };
    let answer = aws.call(&call, request).await?;
    let bytes = decode(answer.output().unwrap_or_default());
    Ok(Console {
        taken: answer.timestamp().map(ToString::to_string),
        bytes: bytes.ok_or(AwsError::Answer {
            call,
            missing: "console in base64",
        })?,
    })
}

/// Takes a picture of the screen of `instance`, a JPEG; a screen that sleeps is woken.
///
/// # Errors
/// Those of [`Aws::call`], and an answer that is no JPEG.
pub async fn screenshot(aws: &Aws, instance: &str) -> Result<Vec<u8>, AwsError> {
    let call = Call::new("ec2:GetConsoleScreenshot", instance);
    let request = || {
        aws.ec2()
            .get_console_screenshot()
            .instance_id(instance)
            .wake_up(true)
            .send()
    };
    let answer = aws.call(&call, request).await?;
    let picture = decode(answer.image_data().unwrap_or_default());
    picture
        .filter(|p| p.starts_with(&[0xFF, 0xD8, 0xFF]))
        .ok_or(AwsError::Answer {
            call,
            missing: "JPEG",
        })
}

/// Base64, whose lines EC2 may break.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text.split_ascii_whitespace().collect();
    base64::decode(text).ok()
}

/// What was last seen of a console: 64 KiB that slide on while the instance prints.
#[derive(Clone, Debug, Default)]
pub struct Window(Vec<u8>);

/// What a look at a console shows that the look before did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// They do not continue what was seen: the instance began anew, or printed more in between than is kept.
    pub gap: bool,
}

impl Window {
    /// What of `now` is new. AWS numbers nothing: it is found by content. An answer from before the last one, as a
    /// service that is eventually consistent gives it, has nothing new.
    pub fn look<'a>(&mut self, now: &'a [u8]) -> News<'a> {
        let common = match common(&self.0, now) {
            Common::Whole => now.len(),
            Common::End(len) if len >= OVERLAP.min(self.0.len()) => {
                self.0 = now.to_vec();
                len
            }
            Common::End(_) => {
                self.0 = now.to_vec();
                return News {
                    bytes: now,
                    gap: true,
                };
            }
        };
        News {
            bytes: now.get(common..).unwrap_or_default(),
            gap: false,
        }
    }
}

enum Common {
    /// All of the new is somewhere in the old.
    Whole,
    /// So many bytes end the old and begin the new, at most.
    End(usize),
}

/// Where `now` begins in `seen`, by Knuth, Morris and Pratt: a console of one letter repeated takes no longer.
fn common(seen: &[u8], now: &[u8]) -> Common {
    if now.is_empty() {
        return Common::Whole;
    }
    // borders[n]: how much of the beginning of `now` ends its first n + 1 bytes, all of them aside.
    let mut borders = vec![0; now.len()];
    let mut len = 0;
    for at in 1..now.len() {
        while len > 0 && now[at] != now[len] {
            len = borders[len - 1];
        }
        len += usize::from(now[at] == now[len]);
        borders[at] = len;
    }
    len = 0;
    for byte in seen {
        while len > 0 && *byte != now[len] {
            len = borders[len - 1];
        }
        len += usize::from(*byte == now[len]);
        if len == now.len() {
            return Common::Whole;
        }
    }
    Common::End(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_seen_is_not_shown_again() {
        let mut window = Window::default();
        let mut look = |now: &str| {
            let news = window.look(now.as_bytes());
            (String::from_utf8(news.bytes.to_vec()).unwrap(), news.gap)
        };
        assert_eq!(look(""), (String::new(), false));
        assert_eq!(look("booting\n"), ("booting\n".into(), false));
        assert_eq!(look("booting\nlogin: "), ("login: ".into(), false));
        assert_eq!(look("booting\n"), (String::new(), false));
        assert_eq!(look(""), (String::new(), false));
        assert_eq!(look("booting\nlogin: root"), ("root".into(), false));
        // It came up anew, and begins with what ended the old.
        assert_eq!(look("root of it"), ("root of it".into(), true));
    }

    #[test]
    fn an_id_of_an_instance_is_told_from_others() {
        assert!(is_instance_id("i-0123456789abcdef0") && is_instance_id("i-1a2b3c4d"));
        for id in [
            "ami-1a2b3c4d",
            "i-",
            "i-0123456789abcdeg0",
            "i-1a2b3c4d5",
            "",
        ] {
            assert!(!is_instance_id(id), "{id}");
        }
    }

    proptest! {
        /// However the window slides: every byte is shown once, or it is said that some are missing.
        #[test]
        fn a_sliding_window_shows_every_byte_once(
            printed in prop::collection::vec(0_usize..900, 1..20),
            size in 64_usize..800,
        ) {
            // No two lines are the same, as a kernel's clock makes them.
            let all: Vec<u8> = (0..1000)
                .flat_map(|n| format!("[{n:>12}] line\n").into_bytes())
                .collect();
            let (mut window, mut end) = (Window::default(), OVERLAP);
            window.look(&all[..end]);
            for more in printed {
                let now = end + more;
                let start = now.saturating_sub(size);
                let news = window.look(&all[start..now]);
                let continued = start + OVERLAP <= end;
                prop_assert_eq!(news.gap, !continued);
                prop_assert_eq!(news.bytes, &all[if continued { end } else { start }..now]);
                end = now;
            }
        }

        /// Of text that repeats itself, as no more than two letters do, nothing is shown that is not at the end.
        #[test]
        fn what_is_new_is_the_end_of_what_is_there(
            looks in prop::collection::vec(prop::collection::vec(b'a'..=b'b', 0..80), 1..12),
        ) {
            let mut window = Window::default();
            for now in looks {
                let news = window.look(&now);
                prop_assert!(now.ends_with(news.bytes));
                prop_assert!(!news.gap || news.bytes == now);
                prop_assert_eq!(window.look(&now).bytes, b"");
            }
        }
    }
}
