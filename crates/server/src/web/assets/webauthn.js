"use strict";
// What the pages with authenticators share: binary values as the server writes them, its answers, and the two ceremonies.
const loopctl = (() => {
  const encode = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const decode = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));

  // Sends JSON and returns the answer's data. What is refused is thrown, with what the server says of it as `refusal`.
  async function send(method, path, body) {
    let response;
    try {
      response = await fetch(path, {
        method,
        headers: { "content-type": "application/json", accept: "application/json" },
        body: JSON.stringify(body),
      });
    } catch {
      throw new Error("The server gave no answer. Try again; if it was done all the same, it says so.");
    }
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer.data ?? answer;
    const refusal = answer.error ?? {};
    const error = new Error(refusal.message ?? `The server answered ${response.status}.`);
    error.refusal = refusal;
    throw error;
  }
  const post = (path, body = {}) => send("POST", path, body);
  const remove = (path, body) => send("DELETE", path, body);

  // Whether the browser can do it, where this page is: what stands in the way, or null.
  function hindrance(origin) {
    if (origin && location.origin !== origin) {
      return `Authenticators work at ${origin} alone: open ${origin}${location.pathname} instead.`;
    }
    if (!window.PublicKeyCredential || !navigator.credentials) {
      return "This browser cannot use authenticators (WebAuthn). Use a current one, over https or on localhost.";
    }
    return null;
  }

  // What became of a ceremony that did not come to its end, in words.
  function explained(error) {
    switch (error.name) {
      case "NotAllowedError":
        return new Error("It was cancelled, or it took too long. Try again.");
      case "InvalidStateError":
        return new Error("This authenticator is enrolled already. Use another one.");
      case "SecurityError":
        return new Error("The browser does not let authenticators be used at this address.");
      case "NotSupportedError":
        return new Error("This authenticator makes no keys of a kind that is known here. Use another one.");
      default:
        return error;
    }
  }

  // Enrols an authenticator: as `asked` by the server, on an account that people see under this name.
  async function enroll(asked, account, friendlyName, known = []) {
    const exclude = [...(asked.exclude_credentials ?? []), ...known];
    let made;
    try {
      made = await navigator.credentials.create({
        publicKey: {
          challenge: decode(asked.challenge),
          rp: { id: asked.rp_id, name: asked.rp_name },
          user: { id: crypto.getRandomValues(new Uint8Array(32)), name: account, displayName: account },
          pubKeyCredParams: asked.pub_key_cred_params.map((alg) => ({ type: "public-key", alg })),
          timeout: asked.timeout_ms,
          attestation: "direct",
          authenticatorSelection: { residentKey: "preferred", userVerification: asked.user_verification },
          excludeCredentials: exclude.map((id) => ({ type: "public-key", id: decode(id) })),
        },
      });
    } catch (error) {
      throw explained(error);
    }
    return {
      credential_id: encode(made.rawId),
      attestation_object: encode(made.response.attestationObject),
      client_data_json: encode(made.response.clientDataJSON),
      friendly_name: friendlyName,
    };
  }

  // Lets an authenticator sign what the server asked for.
  async function prove(asked) {
    let made;
    try {
      made = await navigator.credentials.get({
        publicKey: {
          challenge: decode(asked.challenge),
          rpId: asked.rp_id,
          timeout: asked.timeout_ms,
          userVerification: asked.user_verification,
          allowCredentials: asked.allow_credentials.map((id) => ({ type: "public-key", id: decode(id) })),
        },
      });
    } catch (error) {
      throw explained(error);
    }
    return {
      challenge_id: asked.challenge_id,
      credential_id: encode(made.rawId),
      authenticator_data: encode(made.response.authenticatorData),
      client_data_json: encode(made.response.clientDataJSON),
      signature: encode(made.response.signature),
    };
  }

  // Shows a message, or none.
  function tell(place, message) {
    place.textContent = message ?? "";
    place.hidden = !message;
  }

  // Says of a field what is wrong with it, or nothing any more.
  function tellOf(input, message) {
    tell(document.getElementById(input.getAttribute("aria-describedby").split(" ").at(-1)), message);
    if (message) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }

  // A name that is required, without blanks around it; null where there is none, of which the field then tells.
  function named(input, what) {
    const name = input.value.trim();
    tellOf(input, name ? null : `${what} first.`);
    if (name) return name;
    input.focus();
    return null;
  }

  // Does one thing at a time: while `work` goes on, the button cannot be pressed again, and what goes wrong is told.
  async function busy(button, place, work) {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    tell(place, null);
    try {
      await work();
    } catch (error) {
      tell(place, error.message);
      place.scrollIntoView({ block: "nearest" });
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  return { post, remove, hindrance, enroll, prove, tell, tellOf, named, busy };
})();
