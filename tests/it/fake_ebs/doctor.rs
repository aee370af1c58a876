//! What `doctor --aws` asks: whose the keys are, and how the account is set.

use super::ec2::NAMESPACE;
use super::http::Response;
use super::state::State;

pub const OPERATIONS: &[&str] = &[
    "GetCallerIdentity",
    "GetEbsEncryptionByDefault",
    "GetSnapshotBlockPublicAccessState",
];

/// As STS says it.
pub fn error(status: u16, code: &str, message: &str) -> Response {
    Response::new(
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>0-fake</RequestId></ErrorResponse>"
        ),
    )
}

pub fn answer(operation: &str, state: &State) -> Response {
    let inner = match operation {
        "GetCallerIdentity" => {
            "<GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/ann</Arn>\
             <Account>111122223333</Account></GetCallerIdentityResult>"
                .to_owned()
        }
        "GetEbsEncryptionByDefault" => format!(
            "<ebsEncryptionByDefault>{}</ebsEncryptionByDefault>",
            state.manner.encrypts
        ),
        _ => "<state>block-all-sharing</state>".to_owned(),
    };
    Response::new(
        200,
        format!("<{operation}Response xmlns=\"{NAMESPACE}\">{inner}</{operation}Response>"),
    )
}
