// Labelling one step of a trace in its place: keys, autosave, focus. Without it the form is a page of its own.
(() => {
  "use strict";

  const typing = (target) => target.closest("textarea, select, input:not([type=checkbox])");
  const kept = new WeakMap(); // what the store has of a form
  const waiting = new WeakMap();
  const pending = new WeakMap(); // the autosave that is on its way
  const gone = new WeakSet(); // forms whose verdict was sent
  let held = null; // keys that were pressed while a form was on its way: they are about the step, not the page

  const written = (form) => {
    const fields = new FormData(form);
    return JSON.stringify([fields.get("note"), fields.getAll("tag"), fields.get("new_tags")]);
  };
  const status = (form, text) => {
    form.querySelector(".saved").textContent = text;
  };

  function save(form) {
    clearTimeout(waiting.get(form));
    if (gone.has(form) || written(form) === kept.get(form)) return pending.get(form);
    const mine = (pending.get(form) ?? Promise.resolve())
      .then(() => send(form))
      .finally(() => pending.get(form) === mine && pending.delete(form));
    pending.set(form, mine);
    return mine;
  }

  async function send(form) {
    const now = written(form);
    if (now === kept.get(form)) return;
    const body = new URLSearchParams(new FormData(form));
    body.set("value", "");
    status(form, "Saving…");
    try {
      const answer = await fetch(form.action, { method: "POST", body, keepalive: true, headers: { "X-Autosave": "1" } });
      if (!answer.ok) throw new Error(String(answer.status));
      kept.set(form, now);
      status(form, written(form) === now ? "Saved" : "");
    } catch {
      status(form, "Not saved: is outlast view still running?");
    }
  }

  document.addEventListener("input", (event) => {
    const form = event.target.closest(".step-form");
    if (!form) return;
    status(form, "");
    clearTimeout(waiting.get(form));
    waiting.set(form, setTimeout(() => save(form), 700));
  });
  addEventListener("pagehide", () => document.querySelectorAll(".step-form").forEach(save));

  // A verdict goes after the autosave that is on its way: else an older note could arrive last, and count.
  document.addEventListener("htmx:confirm", (event) => {
    const form = event.target.closest(".step-form");
    if (!form) return;
    const closing = event.target.matches("[data-cancel]");
    event.preventDefault();
    Promise.resolve(closing ? save(form) : pending.get(form)).finally(() => {
      if (gone.has(form)) return;
      gone.add(form); // a second press sends nothing
      clearTimeout(waiting.get(form));
      event.detail.issueRequest(true);
    });
  });
  for (const name of ["htmx:responseError", "htmx:sendError"]) {
    document.addEventListener(name, (event) => {
      held = null;
      const form = event.target.closest(".step-form");
      if (!form) return;
      gone.delete(form);
      status(form, "Not saved: is outlast view still running?");
    });
  }

  document.addEventListener("htmx:afterSettle", (event) => {
    const place = event.target.closest(".step-says");
    if (!place) return;
    const form = place.querySelector(".step-form");
    if (form) {
      kept.set(form, written(form));
      form.querySelector(".verdict").focus({ preventScroll: true });
      form.scrollIntoView({ block: "nearest" });
      const key = held?.[0];
      held = null;
      if (key) inside[key](form);
    } else {
      place.closest("section[data-span]")?.focus({ preventScroll: true });
    }
  });

  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.matches("[data-say]")) held = [];
  });

  const steps = () => [...document.querySelectorAll("section[data-span]")];

  function open() {
    const all = steps();
    const here = document.activeElement?.closest("section[data-span]");
    const chosen = here ?? all.find((one) => one.hasAttribute("data-current")) ?? all[0];
    const folded = chosen?.closest("details:not([open])");
    if (folded) folded.open = true;
    if (!chosen) return;
    for (const one of all) one.toggleAttribute("data-current", one === chosen);
    const link = chosen.querySelector("[data-say]");
    if (!link || chosen.querySelector(".step-form")) {
      chosen.querySelector(".step-form .verdict")?.focus();
      return;
    }
    link.click();
  }

  // On a page where j and k go to another trace, s and S go from step to step.
  function walk(by) {
    const all = steps();
    if (!all.length) return;
    for (const folded of document.querySelectorAll("details.inner")) folded.open = true;
    const at = all.findIndex((one) => one.hasAttribute("data-current"));
    const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    for (const one of all) one.toggleAttribute("data-current", one === next);
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "start" });
  }

  const inside = {
    1: (form) => form.querySelector(".verdict.pass").click(),
    2: (form) => form.querySelector(".verdict.fail").click(),
    d: (form) => form.querySelector(".verdict.defer").click(),
    n: (form) => form.querySelector("textarea").focus(),
    t: (form) => form.querySelector("[name=new_tags]").focus(),
    Escape: (form) => form.querySelector("[data-cancel]").click(),
  };

  // Before the keys of the page: in the form of a step they are about the step.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (document.querySelector("dialog[open]")) return;
      const form = event.target.closest(".step-form");
      const stop = () => {
        event.preventDefault();
        event.stopImmediatePropagation();
      };
      if (form && typing(event.target)) {
        if (event.key === "Escape") {
          form.querySelector(".verdict").focus();
          stop();
        }
        return;
      }
      if (form) {
        if (Object.hasOwn(inside, event.key) && !event.repeat) {
          inside[event.key](form);
          stop();
        }
        return;
      }
      if (typing(event.target)) return;
      if (held) {
        if (Object.hasOwn(inside, event.key)) held.push(event.key);
        stop();
        return;
      }
      if (event.key === "l") {
        open();
        stop();
      } else if ((event.key === "s" || event.key === "S") && document.querySelector("details.inner")) {
        walk(event.key === "s" ? 1 : -1);
        stop();
      }
    },
    true,
  );
})();
