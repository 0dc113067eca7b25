//! Which requests the gateway lets through, and as whom: the rules of Supabase's hosted one as its pages
//! on API keys tell them. Pure: a request in, a request for PostgREST or a refusal out.

use super::http::{Request, Response};
use super::keys::Role;
use super::stack::Stack;

const PREFIX: &str = "/rest/v1";

/// The keys of a project.
pub(crate) struct Gate {
    secret: String,
    publishable: String,
    service: String,
    anon: String,
}

impl Gate {
    pub(crate) fn of(stack: &Stack) -> Self {
        Self {
            secret: stack.secret_key().to_owned(),
            publishable: stack.publishable_key().to_owned(),
            service: stack.token(Role::Service, None),
            anon: stack.token(Role::Anon, None),
        }
    }

    /// What PostgREST is asked, or what the gateway answers by itself.
    pub(crate) fn admit(&self, request: &Request) -> Result<Request, Response> {
        let Some(path) = request.path.strip_prefix(PREFIX).filter(|path| path.starts_with('/')) else {
            return Err(refusal(404, "no Route matched with those values", ""));
        };
        let Some(key) = request.header("apikey") else {
            let hint = "No `apikey` request header or url param was found.";
            return Err(refusal(401, "No API key found in request", hint));
        };
        let inner = if key == self.secret {
            refuse_browser(request)?;
            Some(&self.service)
        } else if key == self.publishable {
            Some(&self.anon)
        } else if key == self.service || key == self.anon {
            None
        } else {
            return Err(refusal(401, "Invalid API key", "Double check the API key."));
        };
        let mut passed = request.clone().without("apikey");
        path.clone_into(&mut passed.path);
        Ok(match inner {
            // A key of the new kind stands for a token that the gateway alone knows. Whatever the caller
            // has put there himself is passed on: PostgREST refuses an `sb_…` key, which is no token.
            Some(token) if request.header("Authorization").is_none() => {
                passed.with("Authorization", &format!("Bearer {token}"))
            }
            _ => passed,
        })
    }
}

/// A secret key in a browser is a leak.
fn refuse_browser(request: &Request) -> Result<(), Response> {
    match request.header("User-Agent") {
        Some(agent) if agent.starts_with("Mozilla/") => Err(refusal(
            401,
            "Forbidden use of secret API key in browser",
            "Secret API keys stay on servers.",
        )),
        _ => Ok(()),
    }
}

fn refusal(status: u16, message: &str, hint: &str) -> Response {
    let body = serde_json::json!({ "message": message, "hint": hint });
    Response::new(status, "application/json", body.to_string())
}
