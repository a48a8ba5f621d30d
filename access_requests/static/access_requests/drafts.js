// Saves the draft while one types, and says whether it is saved. What is not saved yet stays in this
// browser, under the account and the draft that it was typed in. Without this script the buttons save.
"use strict";
(() => {
  const form = document.getElementById("questions");
  const status = document.getElementById("draft-status");
  if (!form || !status) return;
  const PAUSE = 1200, PATIENCE = 20000; // ms after the last key; for one answer of the server
  const KEEPALIVE_BYTES = 60000; // a browser sends no more than 64 KiB after the page is gone
  const CARRIED = new Set(["csrfmiddlewaretoken", "base", "form", "account"]);
  const NONE = "-"; // no version of any draft
  const chooses = form.dataset.unsaved === "conflict"; // between two texts: the button saves, nothing else
  const field = (name) => form.elements.namedItem(name);
  const key = () => `draft:${field("account").value}:${form.dataset.draft}`;

  // ---- What was typed ----------------------------------------------------------------------------
  const typed = () => [...new FormData(form)].filter(([, value]) => typeof value === "string");
  const answers = (of = form) =>
    [...new FormData(of)].filter(([name, value]) => typeof value === "string" && !CARRIED.has(name));
  // As the server keeps it: without margins and without what is empty.
  const plain = (pairs) =>
    JSON.stringify(pairs.map(([name, value]) => [name, value.replace(/\r\n/g, "\n").trim()]).filter(([, value]) => value));
  const hasFile = () => [...form.querySelectorAll("input[type=file]")].some((one) => one.files.length);
  const fill = (pairs) => {
    for (const one of form.elements) {
      if (!one.name || CARRIED.has(one.name) || ["file", "hidden", "submit"].includes(one.type)) continue;
      const values = pairs.filter(([name]) => name === one.name).map(([, value]) => value);
      if (one.type === "checkbox") one.checked = values.includes(one.value);
      else one.value = values[0] ?? "";
    }
  };
  const remember = () => {
    const base = chooses ? NONE : field("base").value; // another window must not take it as its own
    try {
      localStorage.setItem(key(), JSON.stringify({ base, answers: answers(), unanswered }));
      return true;
    } catch {
      return false; // full, or switched off
    }
  };
  const remembered = () => {
    try {
      return JSON.parse(localStorage.getItem(key()));
    } catch {
      return null;
    }
  };
  const forget = (of = key()) => {
    try {
      localStorage.removeItem(of);
    } catch { /* there is nothing, then */ }
  };

  // ---- What the page says ------------------------------------------------------------------------
  const say = (kind, text, ...more) => {
    status.className = `draft-status small ${kind}`;
    status.replaceChildren(text, ...more.flatMap((one) => [" ", one]));
  };
  const button = (text, act) => {
    const made = Object.assign(document.createElement("button"), { type: "button", className: "link", textContent: text });
    made.addEventListener("click", act);
    return made;
  };
  const link = (text, href) =>
    Object.assign(document.createElement("a"), { textContent: text, href, target: "_blank", rel: "noopener" });
  const notSaved = (reason, ...more) => {
    const where = stored ? "Your text is kept in this browser." : "Copy your text before you leave this page.";
    say("bad", `Not saved: ${reason} ${where}`, ...more);
  };
  const saved = () => {
    const at = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    if (hasFile()) say("warn", `Saved at ${at}, but for the chosen file: press “Upload and save”.`);
    else say("ok", `Saved at ${at}`);
  };

  // ---- Saving ------------------------------------------------------------------------------------
  let unanswered = []; // what was sent, and nobody knows whether it arrived: a conflict with it is none
  let dirty = false, stored = true, timer = 0, running = null, leaving = false, retryAfter = 5000;
  const cookie = () => /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1]; // a new one after each sign-in
  const token = () => cookie() ?? field("csrfmiddlewaretoken").value;
  const later = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(save, ms);
  };
  const again = () => {
    later(retryAfter);
    retryAfter = Math.min(retryAfter * 2, 60000);
  };

  async function send() {
    field("csrfmiddlewaretoken").value = token();
    const body = new URLSearchParams(typed()).toString();
    const text = plain(answers());
    unanswered = [...unanswered, text].slice(-5);
    if (remembered()) remember(); // not after a sign-out, which emptied it
    dirty = false;
    let answer;
    try {
      answer = await fetch(form.action, {
        method: "POST",
        body,
        redirect: "manual",
        keepalive: body.length < KEEPALIVE_BYTES,
        signal: AbortSignal.timeout(PATIENCE),
        headers: { Accept: "application/json", "Content-Type": "application/x-www-form-urlencoded" },
      });
    } catch {
      dirty = true;
      again();
      notSaved(navigator.onLine ? "the site could not be reached. It is tried again." : "you are offline. It is saved when you are back.");
      return "away";
    }
    const noCookies = answer.status === 403 && !cookie();
    unanswered = unanswered.filter((one) => one !== text);
    if (answer.type === "opaqueredirect" || answer.status === 401 || noCookies) {
      dirty = true;
      notSaved("you are signed out.", link("Sign in in a new tab", form.dataset.signIn), "and come back here: it is saved then.");
      return "away";
    }
    const told = await answer.json().catch(() => ({}));
    if (answer.ok && told.base) return accept(told);
    dirty = true;
    if (told.code === "conflict" && (await isOwn())) return send();
    refuse(answer.status, told);
    return "refused";
  }

  // Whether the draft holds what this browser sent, though the answer was lost; if so, build on that.
  async function isOwn() {
    if (!unanswered.length) return false;
    try {
      const answer = await fetch(form.action, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE) });
      const there = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("questions");
      if (!there || !unanswered.includes(plain(answers(there)))) return false;
      field("base").value = there.elements.namedItem("base").value;
      unanswered = [];
      return true;
    } catch {
      return false;
    }
  }

  function accept(told) {
    const was = key();
    field("base").value = told.base;
    field("form").value = told.form;
    form.action = told.action;
    form.dataset.draft = told.draft;
    if (location.pathname !== told.action) history.replaceState(null, "", told.action);
    if (was !== key()) forget(was);
    retryAfter = 5000;
    unanswered = [];
    if (dirty) {
      remember();
      later(PAUSE);
      return "saved";
    }
    forget();
    saved();
    return "saved";
  }

  function refuse(code, told) {
    if (told.code === "conflict")
      notSaved("the draft was changed in another window.", button("Compare both texts", () => go()));
    else if (told.code === "wrong_state" && told.url) notSaved(told.detail, link("Open it", told.url));
    else if (told.detail && code !== 429) notSaved(`${told.detail} ${told.way_out ?? ""}`);
    else {
      again();
      notSaved(`${told.detail ?? `the site answered with an error (${code}).`} It is tried again.`);
    }
  }

  function save() {
    clearTimeout(timer);
    if (running) return running.then((how) => (dirty && how === "saved" ? save() : how));
    if (!dirty) return Promise.resolve("saved");
    if (status.classList.contains("ok") || status.classList.contains("muted")) say("muted", "Saving…");
    running = send().finally(() => (running = null));
    return running;
  }

  // The form itself is sent after what is under way, so that it stands on the newest version.
  function go(submitter) {
    leaving = true;
    field("csrfmiddlewaretoken").value = token();
    form.requestSubmit(submitter);
  }

  form.addEventListener("input", (event) => {
    if (event.target.type === "file") return;
    dirty = true;
    stored = remember();
    if (!chooses) later(PAUSE);
  });
  let pressed; // the button that was clicked last
  form.addEventListener("submit", (event) => {
    if (leaving) return;
    pressed = event.submitter;
    if (chooses || (!dirty && !running)) {
      field("csrfmiddlewaretoken").value = token();
      leaving = true;
      return;
    }
    event.preventDefault();
    if (form.dataset.sending) return; // another click: what is under way ends as that button says
    form.dataset.sending = "1";
    save().then((how) => {
      delete form.dataset.sending;
      if (how === "away") status.scrollIntoView({ block: "center" });
      else go(pressed);
    });
  });
  const now = () => {
    if (dirty && !leaving && !chooses) save();
  };
  document.addEventListener("visibilitychange", now); // hidden: before it is lost; back: after a sign-in elsewhere
  addEventListener("pagehide", now);
  addEventListener("online", now);
  addEventListener("focus", now);
  addEventListener("pageshow", () => (leaving = false));
  addEventListener("beforeunload", (event) => {
    if (dirty && !stored && !leaving) event.preventDefault();
  });

  // ---- What an earlier page could not save ---------------------------------------------------------
  const left = remembered();
  if (form.dataset.unsaved) { // the page came back with what was typed, and says why it is not saved
    dirty = true;
    stored = remember();
    say("bad", chooses ? "Not saved: choose below, then save." : "Not saved: correct the marked fields.");
    return;
  }
  const same = left && plain(left.answers) === plain(answers());
  if (same) forget();
  else if (left && left.base === field("base").value) {
    unanswered = left.unanswered ?? [];
    fill(left.answers);
    form.dispatchEvent(new Event("input", { bubbles: true }));
    say("warn", "What was not saved last time is filled in again.");
    return;
  } else if (left?.unanswered?.includes(plain(answers()))) { // it arrived, and more was typed after it
    fill(left.answers);
    form.dispatchEvent(new Event("input", { bubbles: true }));
    return;
  } else if (left) {
    const base = field("base").value;
    say(
      "warn",
      "Text of yours was not saved last time, and the draft has changed since.",
      button("Compare both texts", () => {
        fill(left.answers);
        field("base").value = left.base || NONE;
        go();
      }),
      button("Discard it", () => {
        forget();
        field("base").value = base;
        say("muted", "Saved as you type. Nobody sees it before you submit.");
      }),
    );
    return;
  }
  say("muted", "Saved as you type. Nobody sees it before you submit.");
})();
