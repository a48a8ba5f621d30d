// Passkeys. A form says what is asked of the browser (data-passkey: add, use or sign-in) and takes the answer in its
// hidden field `credential`. Nothing is sent before the browser's own dialogue was confirmed.
(() => {
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const keys = (list) => (list || []).map((key) => ({ ...key, id: bytes(key.id) }));

  function written(credential) {
    const given = credential.response;
    const response = { clientDataJSON: text(given.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"])
      if (given[name]) response[name] = text(given[name]);
    if (given.getTransports) response.transports = given.getTransports();
    return JSON.stringify({
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      response,
      clientExtensionResults: credential.getClientExtensionResults(),
    });
  }

  function make(form, asked) {
    const alone = form.elements.passwordless && form.elements.passwordless.checked;
    return navigator.credentials.create({
      publicKey: {
        ...asked,
        challenge: bytes(asked.challenge),
        user: { ...asked.user, id: bytes(asked.user.id) },
        excludeCredentials: keys(asked.excludeCredentials),
        authenticatorSelection: {
          ...asked.authenticatorSelection,
          residentKey: alone ? "required" : "discouraged",
          requireResidentKey: Boolean(alone),
          userVerification: alone ? "required" : "preferred",
        },
      },
    });
  }

  const use = (asked) =>
    navigator.credentials.get({
      publicKey: {
        ...asked,
        challenge: bytes(asked.challenge),
        allowCredentials: keys(asked.allowCredentials),
      },
    });

  async function options(form) {
    if (form.dataset.passkey !== "sign-in")
      return JSON.parse(document.getElementById("passkey-options").textContent);
    // X-Requested-With: the answer is the challenge and not a page.
    const headers = { Accept: "application/json", "X-Requested-With": "XMLHttpRequest" };
    const answer = await fetch(form.action, { headers });
    if (!answer.ok) throw new Error(`The site answered ${answer.status}.`);
    return answer.json();
  }

  function tell(form, error) {
    const place = form.querySelector("[data-passkey-says]");
    const known = {
      NotAllowedError: "Nothing was confirmed: the dialogue was closed, or no passkey for this site is on this device.",
      InvalidStateError: "This device holds a passkey of yours already.",
      SecurityError: "Passkeys need https, or http://localhost; not a numeric address.",
    };
    place.textContent = `${known[error.name] || error.message} Try again, or take another way.`;
    place.hidden = false;
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    if (!window.PublicKeyCredential) {
      tell(form, new Error("This browser knows no passkeys."));
      form.querySelector("button").hidden = true;
      continue;
    }
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        const asked = await options(form);
        const credential = asked.creation_options
          ? await make(form, asked.creation_options.publicKey)
          : await use(asked.request_options.publicKey);
        form.elements.credential.value = written(credential);
        form.submit();
      } catch (error) {
        tell(form, error);
      }
    });
  }
})();
