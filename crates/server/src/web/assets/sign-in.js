"use strict";
// Signing in: any authenticator that knows of us, or one of the tenant's whose slug is given.
{
  const byId = (id) => document.getElementById(id);
  const [form, button, failure, slug] = ["sign-in-form", "sign-in-btn", "sign-in-error", "tenant-slug-input"].map(byId);
  const hindrance = loopctl.hindrance(form.dataset.origin);
  if (hindrance) loopctl.tell(failure, hindrance);
  button.disabled = Boolean(hindrance);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    loopctl.busy(button, failure, async () => {
      const asked = await loopctl.post("/sign-in/challenge", slug.value.trim() ? { slug: slug.value } : {});
      const made = await loopctl.post("/sign-in", { webauthn_assertion: await loopctl.prove(asked) });
      location.assign(made.redirect_to);
    });
  });
}
