"use strict";
// The page is complete without this: it keeps it up to date, and says when it can't.
(() => {
  const EVERY = 5000;
  const state = document.getElementById("state");
  let heard = new Date();
  let waiting;

  // What has changed takes the place of what was; who stands on a button or a link keeps standing there.
  const show = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const [main, next] = [document.getElementById("main"), fresh.getElementById("main")];
    if (!next) throw new Error("no page");
    document.title = fresh.title;
    document.getElementById("at").textContent = fresh.getElementById("at").textContent;
    document.querySelector("link[rel=icon]").href = fresh.querySelector("link[rel=icon]").href;
    if (main.innerHTML === next.innerHTML) return;
    const on = document.activeElement && document.activeElement.id;
    const cards = (of) => [...of.querySelectorAll("article")];
    const [old, now] = [cards(main), cards(next)];
    const same = old.length === now.length && old.every((card, place) => card.id === now[place].id);
    if (same && main.querySelector(".trouble")?.textContent === next.querySelector(".trouble")?.textContent) {
      main.querySelector("h1").textContent = next.querySelector("h1").textContent;
      old.forEach((card, place) => {
        if (card.outerHTML !== now[place].outerHTML) card.replaceWith(now[place]);
      });
    } else {
      main.replaceChildren(...next.childNodes);
    }
    if (on && document.activeElement === document.body) document.getElementById(on)?.focus({ preventScroll: true });
  };

  // A name and a password that were typed into the address stand in those that are read from the page.
  const plain = (address) => {
    const url = new URL(address, location.href);
    url.username = url.password = "";
    return url;
  };

  const ask = async (where, what) => {
    clearTimeout(waiting);
    try {
      const response = await fetch(plain(where), { cache: "no-store", signal: AbortSignal.timeout(EVERY * 2), ...what });
      if (!response.ok) throw new Error((await response.json()).error);
      show(await response.text());
      heard = new Date();
      state.textContent = "";
    } catch (error) {
      state.textContent = `lbtest has not answered since ${heard.toLocaleTimeString()} (${error.message}): what is shown may be wrong by now.`;
    }
    waiting = setTimeout(look, EVERY);
  };
  // Nobody looks at a page that is hidden; it is asked for as soon as somebody does.
  const look = () => (document.hidden ? clearTimeout(waiting) : ask(location.pathname));

  document.addEventListener("visibilitychange", look);
  document.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(event.target.action, { method: "POST" });
  });
  waiting = setTimeout(look, EVERY);
})();
