//! Who else may start an AMI.

use super::{Image, ImageError};
use crate::aws::{Aws, Call};
use aws_sdk_ec2::types::{
    CreateVolumePermission, CreateVolumePermissionModifications, LaunchPermission,
    LaunchPermissionModifications, PermissionGroup, SnapshotAttributeName,
};

/// Who else may start an AMI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sharing {
    /// Accounts: twelve digits.
    pub accounts: Vec<String>,
    /// ARNs of organizations.
    pub organizations: Vec<String>,
    /// ARNs of organizational units.
    pub organizational_units: Vec<String>,
    /// Everybody.
    pub public: bool,
    /// The accounts may make volumes of the AMI's snapshots too: without it they cannot copy it.
    pub snapshots: bool,
}

impl Sharing {
    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
            && self.organizations.is_empty()
            && self.organizational_units.is_empty()
            && !self.public
    }

    /// Refuses what AWS would refuse, before anything is sent.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), ImageError> {
        for account in &self.accounts {
            if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
                let why = "an account has twelve digits";
                return Err(ImageError::value("account", account, why));
            }
        }
        for (list, what, kind) in [
            (&self.organizations, "organization", ":organization/o-"),
            (&self.organizational_units, "organizational unit", ":ou/o-"),
        ] {
            for arn in list {
                if !arn.starts_with("arn:aws")
                    || !arn.contains(":organizations::")
                    || !arn.contains(kind)
                {
                    let why = format!("it is an ARN, arn:aws:organizations::ACCOUNT{kind}…");
                    return Err(ImageError::value(what, arn, why));
                }
            }
        }
        Ok(())
    }

    fn permissions(&self) -> Vec<LaunchPermission> {
        let new = LaunchPermission::builder;
        let accounts = self.accounts.iter().map(|a| new().user_id(a));
        let organizations = self.organizations.iter();
        let organizations = organizations.map(|o| new().organization_arn(o));
        let units = self.organizational_units.iter();
        let units = units.map(|u| new().organizational_unit_arn(u));
        let all = self.public.then(|| new().group(PermissionGroup::All));
        let builders = accounts.chain(organizations).chain(units).chain(all);
        builders.map(|b| b.build()).collect()
    }
}

/// Lets others start an available AMI. Who may already, still may.
///
/// # Errors
/// When AWS would refuse or refuses: an encrypted AMI cannot be public, and no AMI where the account blocks it.
pub async fn share(aws: &Aws, image: &Image, sharing: &Sharing) -> Result<(), ImageError> {
    sharing.check()?;
    if sharing.is_empty() {
        return Ok(());
    }
    let aws = aws.in_region(&image.region);
    let id = &image.image_id;
    if sharing.public {
        may_be_public(&aws, image).await?;
    }
    // First what is worth nothing alone.
    if sharing.snapshots && !sharing.accounts.is_empty() {
        let add = sharing
            .accounts
            .iter()
            .map(|account| CreateVolumePermission::builder().user_id(account).build());
        let add = CreateVolumePermissionModifications::builder().set_add(Some(add.collect()));
        let add = add.build();
        for snapshot in &image.snapshot_ids {
            let call = Call::new("ec2:ModifySnapshotAttribute", snapshot);
            let request = || {
                let request = aws.ec2().modify_snapshot_attribute().snapshot_id(snapshot);
                request
                    .attribute(SnapshotAttributeName::CreateVolumePermission)
                    .create_volume_permission(add.clone())
                    .send()
            };
            aws.call(&call, request).await?;
        }
    }
    let add = LaunchPermissionModifications::builder().set_add(Some(sharing.permissions()));
    let add = add.build();
    let call = Call::new("ec2:ModifyImageAttribute", id);
    let request = || {
        let request = aws.ec2().modify_image_attribute().image_id(id);
        request.launch_permission(add.clone()).send()
    };
    aws.call(&call, request).await?;
    Ok(())
}

async fn may_be_public(aws: &Aws, image: &Image) -> Result<(), ImageError> {
    if image.encrypted {
        return Err(ImageError::Pair(format!(
            "{} in {} is encrypted, and AWS makes no such AMI public",
            image.image_id, image.region
        )));
    }
    let call = Call::new("ec2:GetImageBlockPublicAccessState", aws.region());
    let request = || aws.ec2().get_image_block_public_access_state().send();
    let answer = aws.call(&call, request).await?;
    match answer.image_block_public_access_state() {
        Some("block-new-sharing") => Err(ImageError::PublicBlocked {
            region: aws.region().to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_aws_does_not_know_is_refused() {
        let unit = "arn:aws:organizations::111122223333:ou/o-abcdefghij/ou-ab12-34567890";
        let organization = "arn:aws-cn:organizations::111122223333:organization/o-abcdefghij";
        let sharing = |accounts: &str, organizations: &str, units: &str| Sharing {
            accounts: vec![accounts.into()],
            organizations: vec![organizations.into()],
            organizational_units: vec![units.into()],
            ..Sharing::default()
        };
        assert!(sharing("111122223333", organization, unit).check().is_ok());
        for bad in [
            sharing("11112222333", organization, unit),
            sharing("1111-2222-3333", organization, unit),
            sharing("111122223333", unit, unit),
            sharing("111122223333", organization, "ou-ab12-34567890"),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
