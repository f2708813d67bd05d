// Keys and focus. Everything here is a convenience: each page works without it.
(() => {
  "use strict";

  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.offsetParent !== null);
  const typing = (target) => target.closest("input, textarea, select, [contenteditable]");

  function current() {
    return document.querySelector("[data-row][data-current]");
  }

  function choose(row, quiet) {
    current()?.removeAttribute("data-current");
    row.setAttribute("data-current", "");
    const target = row.matches("a, button, [tabindex]") ? row : row.querySelector("a, button, [tabindex]");
    target?.focus({ preventScroll: true });
    row.scrollIntoView({ block: row.hasAttribute("data-top") ? "start" : "nearest" });
    if (!quiet) row.dispatchEvent(new CustomEvent("row", { bubbles: true }));
  }

  function move(step) {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(current());
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step));
    choose(all[next]);
  }

  function fold() {
    const folds = "details:not([hx-get])"; // what is fetched when it opens is opened one by one
    const here = current()?.querySelector(folds) ? current() : document.querySelector("main");
    const all = [...here.querySelectorAll(folds)];
    const open = all.some((one) => !one.open);
    for (const one of all) one.open = open;
  }

  function toggle(dialog) {
    if (dialog.open) dialog.close();
    else dialog.showModal();
  }

  const acts = {
    j: () => move(1),
    k: () => move(-1),
    e: fold,
    u: () => document.querySelector("[data-up]")?.click(),
    "/": () => document.querySelector("[data-find], #find")?.focus(),
    "?": () => toggle(document.getElementById("keys")),
    Enter: (event) => {
      if (event.target.closest("a, button, summary")) return false;
      const link = current()?.querySelector("a[href]");
      if (!link) return false;
      link.click();
    },
  };
  const places = { t: "Traces", r: "Runs", p: "Programs", v: "Review", c: "Compile" };
  let going = 0;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]") && event.key !== "?") return;
    if (event.key === "g") {
      going = Date.now();
      return;
    }
    if (Date.now() - going < 1200 && places[event.key]) {
      going = 0;
      for (const link of document.querySelectorAll("header nav a")) {
        if (link.textContent === places[event.key]) link.click();
      }
      return;
    }
    const act = acts[event.key];
    if (act && act(event) !== false) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    if (opener) toggle(document.getElementById(opener.dataset.opens));
    const row = event.target.closest("tr[data-row]");
    if (row && !event.target.closest("a, button, input, label, summary") && !getSelection().toString()) {
      const link = row.querySelector("a[href]");
      if (link) link.click();
    }
    const target = event.target.closest('a[href^="#"]');
    if (target) {
      const section = document.getElementById(target.getAttribute("href").slice(1));
      if (section?.matches("[data-row]")) {
        current()?.removeAttribute("data-current");
        section.setAttribute("data-current", "");
      }
    }
  });

  document.addEventListener("submit", (event) => {
    if (event.target.method !== "get") return;
    for (const field of event.target.elements) {
      if (field.name && field.value === "") field.disabled = true; // an address says only what is set
    }
    setTimeout(() => {
      for (const field of event.target.elements) field.disabled = false;
    });
  });

  // A question to a model takes a while: the button says so, and a second click does nothing.
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button[data-busy]");
    if (!button || event.defaultPrevented) return;
    const before = button.textContent;
    setTimeout(() => {
      button.disabled = true;
      button.textContent = button.dataset.busy;
    });
    addEventListener("pageshow", () => {
      button.disabled = false;
      button.textContent = before;
    });
  });

  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-sends]");
    if (form) form.requestSubmit();
  });

  // The bar of a span is marked in the tree while its section is on the screen.
  const sections = () => [...document.querySelectorAll("section[data-span]")];
  if ("IntersectionObserver" in window && document.querySelector(".tree")) {
    const seen = new Set();
    const mark = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          if (entry.isIntersecting) seen.add(entry.target);
          else seen.delete(entry.target);
        }
        const first = sections().find((section) => seen.has(section));
        for (const line of document.querySelectorAll(".tree [aria-current]")) line.removeAttribute("aria-current");
        if (first) {
          document.querySelector(`.tree a[href="#${first.id}"]`)?.setAttribute("aria-current", "true");
        }
      },
      { rootMargin: "-60px 0px -60% 0px" },
    );
    const watch = () => sections().forEach((section) => mark.observe(section));
    watch();
    document.addEventListener("fresh", watch); // a page of what runs has new ones
  }
})();
