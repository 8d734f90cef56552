//! A page as people see it, in narrow and wide windows, light and dark.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::browser::Browser;

/// From the narrowest to the widest window that pages are made for.
const WIDTHS: [u32; 3] = [320, 768, 1920];

/// What is known of what people cannot make sense of.
const AXE: &str = include_str!("axe/axe.min.js");

impl Browser {
    /// Looks at the page as it is: in every width it fits, there is nothing to complain about in either colour scheme, and nothing came from
    /// elsewhere. With `LOOPCTL_TEST_PICTURES` the pictures are kept in that directory.
    pub(crate) async fn look(&self, name: &str) {
        for width in WIDTHS {
            let metrics =
                json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500});
            self.tool("Emulation.setDeviceMetricsOverride", metrics).await;
            let over = self
                .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                .await;
            assert!(over.as_i64().unwrap() <= 0, "{name} is {over} pixels too wide for {width}");
            for scheme in ["light", "dark"] {
                let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
                self.tool("Emulation.setEmulatedMedia", media).await;
                // Each width and each scheme once: what axe looks at does not depend on both.
                if [(320, "light"), (1920, "dark")].contains(&(width, scheme)) {
                    assert_eq!(self.violations().await, json!([]), "{name} in {scheme}, {width}");
                }
                self.keep_picture(&format!("{name}-{width}-{scheme}")).await;
            }
        }
        self.tool("Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.tool("Emulation.setEmulatedMedia", json!({"features": []})).await;
        assert_eq!(self.run(FAULTS).await, json!([]), "{name}");
    }

    /// What axe has to say against the page.
    async fn violations(&self) -> Value {
        // Half a megabyte is sent to a page once.
        if self.run("return !window.axe").await == json!(true) {
            self.run(AXE).await;
        }
        self.run(VIOLATIONS).await
    }

    async fn keep_picture(&self, name: &str) {
        let Some(dir) = std::env::var_os("LOOPCTL_TEST_PICTURES").filter(|dir| !dir.is_empty()) else {
            return;
        };
        let shot = self.tool("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
        let png = BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(std::path::Path::new(&dir).join(format!("{name}.png")), png).unwrap();
    }
}

/// Asks axe for everything that it knows; of what it cannot decide, contrasts are looked at by whoever keeps the pictures.
const VIOLATIONS: &str = "
    return axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations.map(
        ({id, nodes}) => [id, ...nodes.map((node) => `${node.html} ${node.failureSummary}`)]));
";

/// What axe does not ask: a page has one title, no script and no style of its own, and nothing from elsewhere.
const FAULTS: &str = "
    const faults = [], all = (css) => [...document.querySelectorAll(css)];
    if (all('h1').length !== 1) faults.push('not one h1');
    const ids = all('[id]').map((one) => one.id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`twice: ${id}`);
    for (const one of all('script')) if (!one.src) faults.push('a script in the page');
    for (const one of all('body *')) {
        if (one.hasAttribute('style')) faults.push('a style in the page');
        for (const name of one.getAttributeNames()) if (name.startsWith('on')) faults.push(`a script in ${name}`);
    }
    for (const one of performance.getEntriesByType('resource'))
        if (new URL(one.name).origin !== location.origin) faults.push(`from elsewhere: ${one.name}`);
    return faults;
";
