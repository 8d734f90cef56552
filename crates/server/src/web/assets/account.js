"use strict";
// What whoever has signed in does: each change takes a touch of an enrolled authenticator.
{
  const byId = (id) => document.getElementById(id);
  const tenant = `/api/v1/tenants/${byId("account").dataset.tenantId}`;
  const failure = byId("account-error");
  const proof = async () => loopctl.prove(await loopctl.post(`${tenant}/webauthn/challenge`));

  byId("sign-out-btn").addEventListener("click", (event) =>
    loopctl.busy(event.currentTarget, failure, async () => location.assign((await loopctl.post("/sign-out")).redirect_to)),
  );

  for (const button of document.querySelectorAll("#enrolled-authenticators .remove")) {
    button.addEventListener("click", () =>
      loopctl.busy(button, failure, async () => {
        const id = button.closest("li").dataset.id;
        await loopctl.remove(`${tenant}/authenticators/${id}`, { webauthn_assertion: await proof() });
        location.reload();
      }),
    );
  }

  byId("add-authenticator-form")?.addEventListener("submit", (event) => {
    event.preventDefault();
    loopctl.busy(byId("add-authenticator-btn"), failure, async () => {
      const name = loopctl.named(byId("authenticator-friendly-name"), "Name the authenticator");
      if (!name) return;
      // The proof first: without it nothing is to be left on the new one.
      const webauthn_assertion = await proof();
      const asked = await loopctl.post(`${tenant}/authenticators/challenge`);
      const authenticator = await loopctl.enroll(asked, document.querySelector("h1").textContent, name);
      await loopctl.post(`${tenant}/authenticators`, { authenticator, webauthn_assertion });
      location.reload();
    });
  });

  byId("create-key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    loopctl.busy(byId("create-key-btn"), failure, async () => {
      const name = loopctl.named(byId("key-name"), "Name the key");
      if (!name) return;
      const made = await loopctl.post("/account/keys", { name, webauthn_assertion: await proof() });
      byId("raw-key").textContent = made.api_key.raw_key;
      byId("new-key").hidden = false;
      byId("raw-key").focus();
      byId("key-name").value = "";
    });
  });
}
