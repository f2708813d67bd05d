// A page of something that runs brings itself up to date, until it has ended. What somebody does on it stays: scroll,
// focus, what is typed, what is unfolded, the step that is chosen.
(() => {
  "use strict";

  const main = document.querySelector("main[data-live]");
  if (!main) return;
  const EVERY = 2000;
  const said = document.getElementById("said");
  const pause = document.querySelector("[data-pause]");
  const OWN = new Set(["open", "data-current", "aria-current", "aria-pressed", "hidden"]); // what the browser's user changed
  let seen = main.dataset.live;
  let failed = 0;
  let paused = false;

  const key = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id ? node.id : null);
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

  function attributes(old, fresh) {
    for (const { name, value } of [...fresh.attributes]) {
      if (!OWN.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!OWN.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
  }

  // Makes `old` as `fresh` is, and keeps every node that stands in both where it is.
  function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    if (old.matches(".step-says, form, input, textarea, select, [data-paused]")) return; // it is somebody's
    const version = old.dataset.version;
    if (version && version === fresh.dataset.version) return;
    if (old.matches("[hx-get][hx-trigger~=once]")) {
      old.replaceWith(fresh.cloneNode(true)); // what was fetched is of before
      return;
    }
    attributes(old, fresh);
    children(old, fresh);
  }

  function children(old, fresh) {
    const wanted = [...fresh.childNodes];
    const ids = new Set(wanted.map(key).filter(Boolean));
    for (const node of [...old.childNodes]) {
      if (key(node) && !ids.has(key(node))) node.remove();
    }
    let at = old.firstChild;
    for (const one of wanted) {
      const id = key(one);
      const known = id && [...old.children].find((node) => node.id === id);
      if (known) {
        if (known !== at) old.insertBefore(known, at);
        at = known.nextSibling;
        morph(known, one);
      } else if (at && !key(at) && alike(at, one)) {
        const next = at.nextSibling;
        morph(at, one);
        at = next;
      } else {
        old.insertBefore(one.cloneNode(true), at);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  function take(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("main");
    if (!fresh) return;
    children(main, fresh);
    globalThis.htmx?.process(main);
    document.dispatchEvent(new CustomEvent("fresh"));
    seen = fresh.dataset.live;
    if (!seen) {
      main.removeAttribute("data-live");
      said.textContent = "It has ended.";
    }
  }

  async function ask() {
    if (!paused && document.visibilityState === "visible") {
      try {
        const answer = await fetch(location.pathname + location.search, { headers: { "X-Seen": seen } });
        if (answer.status === 200) take(await answer.text());
        else if (answer.status !== 204) throw new Error(String(answer.status));
        if (failed) said.textContent = "";
        failed = 0;
      } catch {
        failed += 1;
        if (failed === 3) said.textContent = "The page is not brought up to date any more: is outlast view still running?";
      }
    }
    if (seen) setTimeout(ask, failed > 2 ? 5 * EVERY : EVERY);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-pause]");
    if (!button) return;
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    button.setAttribute("data-paused", "");
    said.textContent = paused ? "The page stands still." : "The page is brought up to date.";
  });
  if (pause) pause.hidden = false;
  setTimeout(ask, EVERY);
})();
