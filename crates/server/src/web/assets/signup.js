"use strict";
// Signing up: authenticators are enrolled one by one, and sent with the rest.
{
  const byId = (id) => document.getElementById(id);
  const { origin, most } = byId("signup").dataset;
  const [form, failure, submit] = ["signup-form", "signup-error", "signup-submit-btn"].map(byId);
  const [name, slug, email] = ["tenant-name-input", "tenant-slug-input", "tenant-email-input"].map(byId);
  const [label, enroll, list] = ["authenticator-friendly-name", "enroll-authenticator-btn", "enrolled-authenticators"].map(byId);
  const fields = { name, slug, email };
  let enrolled = [];
  // Whether there was an attempt of which nobody knows what became of it.
  let tried = false;

  function show() {
    list.replaceChildren(
      ...enrolled.map((one, index) => {
        const [row, title, remove] = ["li", "strong", "button"].map((tag) => document.createElement(tag));
        row.id = `authenticator-${index + 1}`;
        title.textContent = one.friendly_name;
        remove.type = "button";
        remove.textContent = "Remove";
        remove.setAttribute("aria-label", `Remove ${one.friendly_name}`);
        remove.addEventListener("click", () => {
          enrolled = enrolled.filter((other) => other !== one);
          show();
          label.focus();
        });
        row.append(title, remove);
        return row;
      }),
    );
    submit.disabled = enrolled.length === 0;
    enroll.disabled = enrolled.length >= Number(most);
    enroll.textContent = enrolled.length ? "Enroll another authenticator" : "Enroll authenticator";
  }

  const hindrance = loopctl.hindrance(origin);
  if (hindrance) {
    loopctl.tell(failure, hindrance);
    enroll.disabled = true;
  }

  // A slug after the name, until somebody has written their own.
  let isOurs = true;
  slug.addEventListener("input", () => (isOurs = slug.value === ""));
  name.addEventListener("input", () => {
    if (!isOurs) return;
    const plain = name.value.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
    slug.value = plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 64);
  });
  for (const field of Object.values(fields)) field.addEventListener("input", () => loopctl.tellOf(field, null));

  enroll.addEventListener("click", () =>
    loopctl.busy(enroll, failure, async () => {
      const friendlyName = loopctl.named(label, "Name the authenticator");
      if (!friendlyName) return;
      const asked = await loopctl.post("/signup/challenge");
      const account = slug.value.trim() || name.value.trim() || "loopctl";
      enrolled.push(await loopctl.enroll(asked, account, friendlyName, enrolled.map((one) => one.credential_id)));
      label.value = "";
      show();
    }),
  );
  label.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    enroll.click();
  });

  const keep = (event) => event.preventDefault();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    loopctl.busy(submit, failure, async () => {
      for (const field of Object.values(fields)) loopctl.tellOf(field, null);
      try {
        const values = { name: name.value, slug: slug.value, email: email.value };
        const made = await loopctl.post("/signup", { ...values, authenticators: enrolled });
        byId("raw-key").textContent = made.api_key.raw_key;
        byId("signup-done-title").textContent = `${made.tenant.name} is there`;
        byId("onboarding-link").href = made.redirect_to;
        form.hidden = true;
        byId("signup-done").hidden = false;
        byId("signup-done-title").focus();
        // The key would be gone with the page.
        addEventListener("beforeunload", keep);
      } catch (error) {
        throw refused(error);
      }
    });
  });
  byId("onboarding-link").addEventListener("click", () => removeEventListener("beforeunload", keep));

  // Tells of each field what is wrong with it. What an authenticator made is good for one attempt within five minutes.
  function refused(error) {
    const refusal = error.refusal ?? {};
    let first;
    for (const [field, messages] of Object.entries(refusal.details ?? {})) {
      if (!fields[field]) continue;
      loopctl.tellOf(fields[field], messages.join("; "));
      first ??= fields[field];
    }
    first?.focus();
    if (refusal.code === "invalid_attestation") {
      enrolled = [];
      show();
      return new Error(`${error.message}. Nothing was created; enroll your authenticators again, which are good for five minutes.`);
    }
    // An earlier attempt whose answer was lost may have been the one that took the slug.
    if (tried && refusal.code === "slug_taken") {
      return new Error("If your tenant was created by the attempt before, sign in with your authenticator, and make a key there.");
    }
    tried ||= !refusal.status;
    return first ? new Error("Nothing was created: correct what is marked.") : error;
  }
}
