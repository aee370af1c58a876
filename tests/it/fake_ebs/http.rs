//! As much of HTTP/1.1 as the SDKs speak: bodies with a length, connections that stay open.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub struct Request {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// SHA-256 of a block that is put: while it is computed, other requests are answered.
    pub digest: [u8; 32],
}

pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, value.to_string()).with("content-type", "application/json")
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Writes the answer, or but the first half of its body.
    pub fn write(&self, out: &mut TcpStream, now: SystemTime, half: bool) -> io::Result<()> {
        let mut head = format!(
            "HTTP/1.1 {} x\r\ncontent-length: {}\r\ndate: {}\r\nx-amzn-requestid: 0-fake\r\n",
            self.status,
            self.body.len(),
            date(now)
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        let end = if half {
            self.body.len() / 2
        } else {
            self.body.len()
        };
        bytes.extend_from_slice(&self.body[..end]);
        out.write_all(&bytes)
    }
}

impl Request {
    /// The line and the headers; the body is still to come, into `body`.
    pub fn head(from: &mut BufReader<TcpStream>, body: Vec<u8>) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        Ok(Some(Self {
            method,
            path: decode(path),
            query: form(query),
            headers,
            body,
            digest: [0; 32],
        }))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The region that it is signed for.
    pub fn region(&self) -> &str {
        let scope = self.header("authorization").split('/').nth(2);
        scope.unwrap_or_default()
    }

    pub fn body_len(&self) -> usize {
        self.header("content-length").parse().unwrap_or(0)
    }

    pub fn read_body(&mut self, from: &mut BufReader<TcpStream>) -> io::Result<()> {
        self.body.resize(self.body_len(), 0);
        from.read_exact(&mut self.body)
    }
}

pub fn form(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|p| !p.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                out.push(u8::from_str_radix(&text[at + 1..at + 3], 16).unwrap());
                at += 2;
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
        at += 1;
    }
    String::from_utf8(out).unwrap()
}

/// A calendar date from days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    (year, month, doy - (153 * mp + 2) / 5 + 1)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn date(time: SystemTime) -> String {
    let s = seconds(time);
    let (year, month, day) = civil(s / 86400);
    let names = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let at = usize::try_from(month - 1).unwrap() * 3;
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let weekday = weekday[usize::try_from(s / 86400 % 7).unwrap()];
    let month = &names[at..at + 3];
    let (h, m, s) = (s / 3600 % 24, s / 60 % 60, s % 60);
    format!("{weekday}, {day:02} {month} {year} {h:02}:{m:02}:{s:02} GMT")
}

/// How far `x-amz-date` (20260102T030405Z) is from `now`.
pub fn skew(amz_date: &str, now: SystemTime) -> Option<Duration> {
    let digit = |from: usize, to: usize| amz_date.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (digit(0, 4)?, digit(4, 6)?, digit(6, 8)?);
    let days = (year - 1970) * 365;
    let mut days = days..days + 1000;
    let day = days.find(|d| civil(*d) == (year, month, day))?;
    let told = day * 86400 + digit(9, 11)? * 3600 + digit(11, 13)? * 60 + digit(13, 15)?;
    Some(Duration::from_secs(told.abs_diff(seconds(now))))
}
