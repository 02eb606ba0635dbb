//! `GET /assets/page.js`: the page's script, with the libraries that it uses. `src/http/assets/README.md` says which.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::error::ApiError;

const SCRIPT: &str = concat!(
    include_str!("assets/uPlot.iife.min.js"),
    "\n",
    include_str!("assets/idiomorph.min.js"),
    "\n",
    include_str!("assets/page.js"),
);

/// The page's style, which stands in the page itself.
pub(super) const STYLE: &str = concat!(
    include_str!("assets/uPlot.min.css"),
    include_str!("assets/page.css")
);

/// Where the page finds its script. A new release has a new address, so that no browser runs an old one.
pub(super) static SCRIPT_PATH: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::digest(SCRIPT);
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/page.js?v={short}")
});

pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, ApiError> {
    if name != "page.js" {
        return Err(ApiError::not_found(format!(
            "there is no asset {name}; the only one is page.js"
        )));
    }
    let headers = [
        (CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, SCRIPT).into_response())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Api, snapshot};
    use super::*;

    #[tokio::test]
    async fn the_script_is_kept_by_browsers_until_it_changes() {
        let api = Api::of([snapshot("etcd")]);
        let answer = api.get(&SCRIPT_PATH).await;
        assert_eq!(answer.body, SCRIPT);
        assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
        assert!(answer.header("cache-control").contains("immutable"));
        assert_eq!(api.get("/assets/other.js").await.json()["errorType"], "not_found");
    }

    #[test]
    fn nothing_in_it_is_loaded_from_elsewhere() {
        for text in [SCRIPT, STYLE] {
            for forbidden in ["import(", "importScripts", "@import", "sourceMappingURL", "eval("] {
                assert!(!text.contains(forbidden), "{forbidden}");
            }
        }
    }
}
