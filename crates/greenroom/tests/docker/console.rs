//! What the console tells somebody who looks.

use greenroom_test_support::greenroom::Api;
use reqwest::{Client, RequestBuilder, header, redirect::Policy};
use tokio::time::Instant;

use crate::world::TOLD_WITHIN;

/// An administrator's browser.
pub(crate) struct Console {
    http: Client,
    url: String,
    session: String,
}

impl Console {
    /// Signs in with the admin token.
    pub(crate) async fn open(api: &Api) -> Self {
        let http = Client::builder().redirect(Policy::none()).build().unwrap();
        let url = format!("{}/console", api.url);
        let (form, cookie) = answer(http.get(format!("{url}/sign-in"))).await;
        let csrf = form.split_once("name=\"csrf\" value=\"").unwrap().1.split_once('"').unwrap().0;
        // Of letters, digits, - and _ both; nothing needs to be written in another way.
        let filled = format!("csrf={csrf}&name=&password={}&next=/console", api.admin_token);
        let sign_in = http
            .post(format!("{url}/sign-in"))
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(filled);
        let (_, session) = answer(sign_in).await;
        Self { http, url, session }
    }

    /// Waits until the page at `path` has `text` in it, and not `absent`.
    pub(crate) async fn shows(&self, path: &str, text: &str, absent: Option<&str>) {
        let deadline = Instant::now() + TOLD_WITHIN;
        loop {
            let asked = self.http.get(format!("{}/{path}", self.url)).header(header::COOKIE, &self.session);
            let (page, _) = answer(asked).await;
            if page.contains(text) && absent.is_none_or(|absent| !page.contains(absent)) {
                return;
            }
            assert!(Instant::now() < deadline, "{path} does not show {text:?} (without {absent:?}):\n{page}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// The page, and the cookies that came with it.
async fn answer(request: RequestBuilder) -> (String, String) {
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success() || answer.status().is_redirection(), "{answer:?}");
    let set = answer.headers().get_all(header::SET_COOKIE);
    let kept = set.iter().filter_map(|set| set.to_str().ok()?.split(';').next());
    let cookies = kept.collect::<Vec<_>>().join("; ");
    (answer.text().await.unwrap(), cookies)
}
