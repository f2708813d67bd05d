// Keys, autosave and time on the page where people label. Without it the forms do the same, one request each.
(() => {
  "use strict";

  const form = document.getElementById("judgement");
  if (!form) return;
  const note = document.getElementById("note");
  const saved = document.getElementById("saved");
  const typing = (target) => target.closest("textarea, select, [contenteditable], input:not([type=checkbox])");

  // Only time in which the page was on the screen counts.
  let since = document.visibilityState === "visible" ? performance.now() : null;
  let spent = 0;
  const seconds = () => (spent + (since === null ? 0 : performance.now() - since)) / 1000;
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") {
      since = performance.now();
    } else {
      spent = seconds() * 1000;
      since = null;
      save();
    }
  });
  const tell = () => {
    form.elements.seconds.value = seconds().toFixed(1);
  };

  // Autosave: what was written is kept a moment after the last key, and before one goes away.
  const written = () => {
    const fields = new FormData(form);
    return JSON.stringify([fields.get("note"), fields.getAll("tag"), fields.get("new_tags")]);
  };
  let kept = written();
  let waiting = 0;
  let leaving = false;
  let pending = null; // the autosave that is on its way

  function save() {
    clearTimeout(waiting);
    if (leaving || written() === kept || note.disabled) return pending;
    const mine = (pending ?? Promise.resolve()).then(send).finally(() => {
      if (pending === mine) pending = null;
    });
    pending = mine;
    return mine;
  }

  async function send() {
    if (written() === kept) return;
    tell();
    const now = written();
    const body = new URLSearchParams(new FormData(form));
    body.set("value", "keep");
    saved.textContent = "Saving…";
    try {
      const answer = await fetch(form.action, { method: "POST", body, keepalive: true, headers: { "X-Autosave": "1" } });
      if (!answer.ok) throw new Error(String(answer.status));
      kept = now;
      spent = 0;
      if (since !== null) since = performance.now();
      saved.textContent = written() === kept ? "Saved" : "";
    } catch {
      saved.textContent = "Not saved: is outlast view still running?";
    }
  }
  form.addEventListener("input", () => {
    saved.textContent = "";
    clearTimeout(waiting);
    waiting = setTimeout(save, 700);
  });
  note.addEventListener("blur", save);

  // What is no JSON is said while it is written; whether it has its type only the server knows.
  form.addEventListener("input", (event) => {
    const field = event.target;
    if (!field.matches("[data-json]")) return;
    let wrong = "";
    try {
      JSON.parse(field.value);
    } catch (error) {
      wrong = `This is no JSON yet: ${error.message}`;
    }
    field.setAttribute("aria-invalid", String(Boolean(wrong)));
    document.getElementById(field.getAttribute("aria-describedby")).textContent = wrong;
  });

  // Right answers are not autosaved: half of one is wrong. Whoever goes on is asked once.
  let warned = false;
  const unkept = () =>
    [...form.querySelectorAll("[name^='right.']")].some((field) => {
      const was = form.elements[`was.${field.name.slice(6)}`];
      return was && field.value.replaceAll("\r\n", "\n").trim() !== was.value.replaceAll("\r\n", "\n").trim();
    });
  window.addEventListener("pagehide", save);

  form.addEventListener("submit", (event) => {
    if (leaving) {
      event.preventDefault();
      return;
    }
    if (pending) {
      event.preventDefault(); // else an older note could arrive after the verdict, and count
      pending.finally(() => form.requestSubmit(event.submitter));
      return;
    }
    leaving = true; // a second press of a key would label the next trace unseen
    clearTimeout(waiting);
    tell();
  });
  window.addEventListener("pageshow", (event) => {
    leaving = false;
    if (event.persisted) location.reload(); // what the back button shows may be old
  });

  async function go(selector) {
    const link = document.querySelector(selector);
    if (!link || leaving) return;
    if (unkept() && !warned) {
      warned = true;
      saved.textContent = "What it should have been is not kept: save it, give a verdict, or press again to leave it.";
      return;
    }
    await save();
    leaving = true;
    link.click();
  }
  const press = (selector) => {
    const button = form.querySelector(selector);
    if (button && !button.disabled) form.requestSubmit(button);
  };
  const focus = (id) => {
    const field = document.getElementById(id);
    field?.focus();
    field?.select?.();
  };
  const acts = {
    1: () => press(".verdict.pass"),
    2: () => press(".verdict.fail"),
    d: () => press(".verdict.defer"),
    u: () => press(".undo"),
    n: () => note.focus(),
    t: () => focus("new-tags"),
    g: () => focus("jump"),
    j: () => go("[data-next]"),
    k: () => go("[data-previous]"),
    ArrowRight: () => go("[data-next]"),
    ArrowLeft: () => go("[data-previous]"),
  };

  // Before the keys of all pages, some of which mean something else.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (typing(event.target)) return;
      if (document.querySelector("dialog[open]")) return;
      const act = Object.hasOwn(acts, event.key) ? acts[event.key] : null;
      if (!act) return;
      if (event.key.startsWith("Arrow") && event.target.closest("[role=group][tabindex]")) return; // a table scrolls
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!event.repeat) act();
    },
    true,
  );
})();
