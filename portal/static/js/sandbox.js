// The sandbox's pages: presets, Ctrl-Enter, and the card that tells of one token. Without it the pages still work.

// ---- Forms --------------------------------------------------------------------------------------
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  const form = event.target.closest("form[data-sends-by-key]");
  if (!form) return;
  event.preventDefault();
  form.requestSubmit();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-preset]");
  if (!button) return;
  for (const [name, value] of Object.entries(JSON.parse(button.dataset.preset))) {
    const field = button.form.elements[name];
    if (field.type === "checkbox") field.checked = value;
    else field.value = value;
  }
});

// A run that begins or ends changes the quota, the slots and the list of earlier runs.
document.addEventListener("htmx:afterSwap", (event) => {
  const earlier = document.getElementById("earlier");
  if (earlier && event.target.matches?.("#live, .run")) htmx.trigger(earlier, "refresh");
});

// ---- One token ----------------------------------------------------------------------------------
const SHOWN_AFTER = 90, HIDDEN_AFTER = 250; // ms: on the way over the text nothing flickers
const card = document.getElementById("token-card");
let current = null, pinned = false, timer = 0;

const percent = (p) => (p >= 0.9995 ? "> 99.9 %" : p >= 0.001 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %");
const blanks = { " ": "·", "\n": "↵", "\t": "⇥" };
const visible = (text) => (/^\uFFFD+$/.test(text) ? "part of a character" : text.replace(/[ \n\t]/g, (c) => blanks[c]) || "nothing");
const place = (token) => [...token.parentElement.children].indexOf(token);
const textOf = (token) => (token.textContent ? visible(token.textContent) : "part of a character");

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function share(p) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of [["viewBox", "0 0 100 6"], ["preserveAspectRatio", "none"], ["aria-hidden", "true"], ["class", "share"]])
    svg.setAttribute(name, value);
  rect.setAttribute("width", 100 * p);
  rect.setAttribute("height", 6);
  svg.append(rect);
  return svg;
}

function alternative([id, text, logprob], token, chosen, branches) {
  const p = Math.exp(logprob);
  const line = element("li", "");
  const takes = branches && id !== chosen;
  const row = element(takes ? "button" : "span", `alt${id === chosen ? " came" : ""}`);
  if (takes) row.append(element("span", "sr", "Go on from here with "));
  row.append(element("code", "", visible(text)), " ", share(p), element("span", "num", percent(p)));
  if (takes) {
    row.name = "take";
    row.value = `${place(token)}:${id}`;
  }
  line.append(row);
  return line;
}

function show(token) {
  clearTimeout(timer);
  if (!card || token === current) return;
  current?.classList.remove("current");
  current = token;
  token.classList.add("current");
  const [id, logprob, entropy, top] = JSON.parse(token.dataset.f);
  const branches = token.parentElement.dataset.branch;
  const form = card.querySelector("form");
  if (branches) form.action = branches;
  card.querySelector(".token-head").replaceChildren(
    element("code", "", textOf(token)), element("span", "muted small", `token ${place(token) + 1}, number ${id}`));
  const facts = logprob === null ? "Nothing precedes it: it has no probability."
    : `Probability ${percent(Math.exp(logprob))}, surprisal ${(-logprob / Math.LN2).toFixed(2)} bits${entropy === null ? "" : `, entropy before it ${entropy.toFixed(2)} bits`}.`;
  card.querySelector(".token-facts").textContent = facts;
  form.querySelector("ol").replaceChildren(...top.map((one) => alternative(one, token, id, branches)));
  card.querySelector(".token-hint").textContent = !top.length ? "" : branches ? "Choose another one: a new run goes on from there." : "The likeliest in this place.";
  card.hidden = false;
  put(token);
  mark(token);
  if (document.activeElement === token)
    document.getElementById("token-said").textContent = `${textOf(token)}. ${facts} Enter for the alternatives.`;
}

// Beneath the token where there is room, else above; on a phone the style sheet puts it at the foot.
function put(token) {
  const box = token.getClientRects()[0] ?? token.getBoundingClientRect();
  const width = document.documentElement.clientWidth;
  const below = box.bottom + card.offsetHeight < innerHeight || box.top < card.offsetHeight;
  card.style.left = `${Math.max(8, Math.min(box.left, width - card.offsetWidth - 8)) + scrollX}px`;
  const covered = getComputedStyle(card).position === "fixed" ? box.bottom + card.offsetHeight + 8 - innerHeight : 0;
  if (covered > 0) scrollBy(0, covered);
  card.style.top = `${(below ? box.bottom + 2 : box.top - card.offsetHeight - 2) + scrollY}px`;
}

function mark(token) {
  for (const rect of document.querySelectorAll(".chart .here")) rect.setAttribute("x", -2);
  token?.closest(".reading").querySelector(".chart .here")?.setAttribute("x", place(token));
}

function hide() {
  clearTimeout(timer);
  current?.classList.remove("current");
  current = null;
  pinned = false;
  mark(null);
  if (card) card.hidden = true;
}

function later(act, ms) {
  clearTimeout(timer);
  timer = setTimeout(act, ms);
}

const tokenAt = (event) => event.target.closest?.(".tokens > .t[data-f]");

// What appears or scrolls beneath a pointer that rests is pointed at once the pointer moves.
let rests = "", overlooked = false;

function point(event) {
  if (pinned) return;
  const token = tokenAt(event);
  if (token) later(() => show(token), SHOWN_AFTER);
  else if (card?.contains(event.target)) clearTimeout(timer);
  else if (current && document.activeElement !== current) later(hide, HIDDEN_AFTER);
}

const spot = (event) => `${event.screenX} ${event.screenY}`;
document.addEventListener("mouseover", (event) => {
  overlooked = spot(event) === rests;
  if (!overlooked) point(event);
});
document.addEventListener("mousemove", (event) => {
  if (spot(event) === rests) return;
  rests = spot(event);
  if (overlooked) point(event);
  overlooked = false;
});

// Between mousedown, which brings the focus, and mouseup the card waits for the click: making room for it would scroll the
// token away from beneath the pointer, and the click would hit something else. A tap sends the same events.
let pressing = false;
document.addEventListener("mousedown", () => { pressing = true; });
document.addEventListener("mouseup", () => { pressing = false; });

document.addEventListener("focusin", (event) => {
  const token = tokenAt(event);
  if (token) {
    const before = token.parentElement.querySelector('.t[tabindex="0"]');
    before?.setAttribute("tabindex", -1);
    token.setAttribute("tabindex", 0);
    pinned = false;
    if (!pressing) show(token);
  } else if (current && !card.contains(event.target)) hide();
});

document.addEventListener("click", (event) => {
  const token = tokenAt(event);
  if (token) {
    show(token);
    pinned = true;
  } else if (current && !card.contains(event.target)) hide();
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && current) {
    const token = current;
    hide();
    token.focus();
    hide();
    return;
  }
  const token = tokenAt(event);
  if (!token) return;
  const all = token.parentElement.children;
  const moves = { ArrowRight: place(token) + 1, ArrowLeft: place(token) - 1, Home: 0, End: all.length - 1 };
  if (event.key in moves) {
    event.preventDefault();
    all[moves[event.key]]?.focus();
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    show(token);
    pinned = true;
    card.querySelector("button")?.focus();
  }
});

// ---- What is new on the page ----------------------------------------------------------------------
// Each token is a button, of which one of a text stands in the order of the Tab key.
function prepare(root) {
  for (const shown of root.querySelectorAll(".presets[hidden], .keys[hidden]")) shown.hidden = false;
  for (const tokens of root.querySelectorAll(".reading .tokens"))
    [...tokens.children].forEach((token, number) => {
      token.setAttribute("role", "button");
      token.setAttribute("tabindex", number ? -1 : 0);
      if (!token.textContent.trim()) token.setAttribute("aria-label", textOf(token));
    });
}
prepare(document);
document.addEventListener("htmx:load", (event) => {
  if (current && !current.isConnected) hide();
  prepare(event.target);
});
