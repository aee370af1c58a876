//! How long an AMI is to serve, and where it is looked up.

use super::{Image, ImageError};
use crate::aws::{Aws, AwsError, Call, Made};
use aws_sdk_ssm::types::ParameterType;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use std::time::{Duration, SystemTime};

/// The data type by which Systems Manager looks whether a parameter is an AMI.
const DATA_TYPE: &str = "aws:ec2:image";
const DAY: Duration = Duration::from_secs(86_400);
/// The furthest deprecation date (EnableImageDeprecation, `DeprecateAt`): ten years, two for a public AMI.
const FURTHEST: u32 = 3652;
const FURTHEST_PUBLIC: u32 = 730;

/// Whether an AMI can be deregistered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not until the protection is taken away.
    On,
    /// Nor for 24 hours after that.
    WithCooldown,
}

/// How long an AMI is to serve, and where it is looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// From when on it is no longer shown to those whom it is shared with; AWS rounds it to minutes.
    pub deprecate_at: Option<SystemTime>,
    /// Whether it can be deregistered.
    pub protection: Option<Protection>,
    /// A parameter of Systems Manager that is to hold its id, in each of its regions.
    pub parameter: Option<String>,
}

impl Publication {
    /// Refuses what AWS would refuse, before anything is sent.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, public: bool) -> Result<(), ImageError> {
        let now = SystemTime::now();
        if let Some(at) = self.deprecate_at {
            let (days, whose) = match public {
                true => (FURTHEST_PUBLIC, "a public AMI"),
                false => (FURTHEST, "an AMI"),
            };
            if at <= now || at > now + DAY * days {
                let why = format!("for {whose} it is in the next {} years", days / 365);
                let text = DateTime::from(at).fmt(Format::DateTime);
                return Err(ImageError::value(
                    "deprecation date",
                    &text.unwrap_or_default(),
                    why,
                ));
            }
        }
        self.parameter.as_deref().map_or(Ok(()), check_parameter)
    }
}

/// A date as `2027-12-31`, `2027-12-31T12:00:00Z`, or `90d`: so many days from now.
///
/// # Errors
/// When it is none of these.
pub fn parse_date(text: &str) -> Result<SystemTime, ImageError> {
    let days = text.strip_suffix('d').and_then(|n| n.parse::<u32>().ok());
    if let Some(days) = days {
        return Ok(SystemTime::now() + DAY * days);
    }
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    let date = DateTime::from_str(&full, Format::DateTime).ok();
    let date = date.and_then(|d| SystemTime::try_from(d).ok());
    date.ok_or_else(|| {
        ImageError::value(
            "date",
            text,
            "it is as 2027-12-31, 2027-12-31T12:00:00Z or 90d",
        )
    })
}

/// Names of parameters (PutParameter, `Name`).
fn check_parameter(name: &str) -> Result<(), ImageError> {
    let bad = |why: &str| Err(ImageError::value("parameter", name, why));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-/".contains(&b);
    if name.is_empty() || name.len() > 1011 || !name.bytes().all(plain) {
        return bad("it has 1 to 1011 of the characters a-z, A-Z, 0-9 and _.-/");
    }
    if name.contains('/') && !name.starts_with('/') {
        return bad("a name with levels begins with a slash");
    }
    if name.contains("//") || name.ends_with('/') || name.matches('/').count() > 15 {
        return bad("it has at most 15 levels, none of them empty");
    }
    let first = name.trim_start_matches('/').to_ascii_lowercase();
    if first.starts_with("aws") || first.starts_with("ssm") {
        return bad("names that begin with aws or ssm are AWS's");
    }
    Ok(())
}

/// Sets deprecation dates, and when all that is done for every AMI, puts its id where it is looked up: whoever does sees
/// a whole set. Protects last: nothing that fails after it could be taken back. Under [`Aws::run`] a parameter gets its
/// old value back when the run fails.
///
/// # Errors
/// When AWS would refuse or refuses.
pub async fn publish(
    aws: &Aws,
    images: &[Image],
    publication: &Publication,
) -> Result<(), ImageError> {
    publication.check(false)?;
    if let Some(at) = publication.deprecate_at {
        for image in images {
            let aws = aws.in_region(&image.region);
            let call = Call::new("ec2:EnableImageDeprecation", &image.image_id);
            let request = || {
                let request = aws.ec2().enable_image_deprecation();
                let request = request.image_id(&image.image_id);
                request.deprecate_at(DateTime::from(at)).send()
            };
            aws.call(&call, request).await?;
        }
    }
    if let Some(name) = &publication.parameter {
        for image in images {
            let aws = aws.in_region(&image.region);
            let was = parameter(&aws, name).await?;
            if was.as_ref() == Some(&image.image_id) {
                continue;
            }
            aws.made(Made::Parameter {
                name: name.clone(),
                value: image.image_id.clone(),
                was,
            });
            put_parameter(&aws, name, &image.image_id).await?;
        }
    }
    if let Some(protection) = publication.protection {
        for image in images {
            let aws = aws.in_region(&image.region);
            let call = Call::new("ec2:EnableImageDeregistrationProtection", &image.image_id);
            let cooldown = (protection == Protection::WithCooldown).then_some(true);
            let request = || {
                let request = aws.ec2().enable_image_deregistration_protection();
                let request = request.image_id(&image.image_id);
                request.set_with_cooldown(cooldown).send()
            };
            aws.call(&call, request).await?;
        }
    }
    Ok(())
}

async fn parameter(aws: &Aws, name: &str) -> Result<Option<String>, AwsError> {
    let call = Call::new("ssm:GetParameter", name);
    let request = || aws.ssm().get_parameter().name(name).send();
    match aws.call(&call, request).await {
        Ok(answer) => {
            let value = answer.parameter().and_then(|p| p.value());
            Ok(value.map(ToOwned::to_owned))
        }
        Err(e) if super::register::code(&e) == Some("ParameterNotFound") => Ok(None),
        Err(e) => Err(e),
    }
}

async fn put_parameter(aws: &Aws, name: &str, value: &str) -> Result<(), AwsError> {
    let call = Call::new("ssm:PutParameter", name);
    let request = || {
        let request = aws.ssm().put_parameter().name(name).value(value);
        let request = request.r#type(ParameterType::String).data_type(DATA_TYPE);
        request.overwrite(true).send()
    };
    aws.call(&call, request).await.map(drop)
}

/// Gives a parameter its old value back, or deletes one that was not there; unless its value is not `ours` any more:
/// then it is another run's.
pub(in crate::aws) async fn restore(
    aws: &Aws,
    name: &str,
    ours: &str,
    was: Option<&str>,
) -> Result<(), AwsError> {
    if parameter(aws, name).await?.as_deref() != Some(ours) {
        return Ok(());
    }
    if let Some(was) = was {
        return put_parameter(aws, name, was).await;
    }
    let call = Call::new("ssm:DeleteParameter", name);
    let request = || aws.ssm().delete_parameter().name(name).send();
    match aws.call(&call, request).await {
        Err(e) if super::register::code(&e) == Some("ParameterNotFound") => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_names_that_aws_refuses_are_refused() {
        for (text, seconds) in [
            ("2027-12-31", 1_830_211_200),
            ("2027-12-31T12:00:00Z", 1_830_254_400),
        ] {
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(parse_date(text).unwrap(), date);
        }
        for bad in ["", "d", "90", "2027-13-01", "tomorrow"] {
            assert!(parse_date(bad).is_err(), "{bad}");
        }
        let check = |date: &str, public| {
            Publication {
                deprecate_at: Some(parse_date(date).unwrap()),
                ..Publication::default()
            }
            .check(public)
        };
        assert!(check("700d", true).is_ok() && check("800d", false).is_ok());
        for (date, public) in [("800d", true), ("3700d", false), ("2001-01-01", false)] {
            assert!(check(date, public).is_err(), "{date}");
        }
        for good in ["web", "/images/web/latest"] {
            assert!(check_parameter(good).is_ok(), "{good}");
        }
        for bad in ["", "a/b", "/a//b", "/a/", "/aws/x", "ssm-x", "a b"] {
            assert!(check_parameter(bad).is_err(), "{bad}");
        }
    }
}
